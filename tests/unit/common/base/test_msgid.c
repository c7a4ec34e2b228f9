#include "common/base/msgid.h"

#include <criterion/criterion.h>

#include "common/base/assert.h"

static const uint64_t ids[] = {
	0,
	1,
	31,
	32,
	1023,
	1024,
	UINT64_C(0x0123456789abcdef),
	UINT64_MAX - 1,
	UINT64_MAX,
};

Test(msg_id, round_trip)
{
	for (size_t i = 0; i < COUNT(ids); i++) {
		struct buf text = { 0 };
		uint64_t id = 0;

		msg_id_add(&text, ids[i]);
		cr_expect_eq(text.n, MSG_ID_CHARS);
		cr_expect(msg_id_parse(buf_span(&text), &id));
		cr_expect_eq(id, ids[i]);
		for (size_t k = 0; k < text.n; k++)
			text.p[k] = ascii_lower(text.p[k]);
		cr_expect(msg_id_parse(buf_span(&text), &id));
		cr_expect_eq(id, ids[i]);
		buf_fini(&text);
	}
}

Test(msg_id, sorts_as_text)
{
	char last[MSG_ID_CHARS + 1] = "";

	for (size_t i = 0; i < COUNT(ids); i++) {
		struct buf text = { 0 };

		msg_id_add(&text, ids[i]);
		cr_expect_gt(strcmp(buf_cstr(&text), last), 0);
		strcpy(last, buf_cstr(&text));
		buf_fini(&text);
	}
}

Test(msg_id, refuses)
{
	static const struct span cases[] = {
		{ "", 0 },
		{ "000000000000", 12 },
		{ "00000000000000", 14 },
		{ "G000000000000", 13 }, /* 65 bits */
		{ "000000000000U", 13 }, /* no digit: I, L, O and U */
		{ "000000000000O", 13 },
		{ "000000000000-", 13 },
		{ "00000 0000000", 13 },
		{ "000000000000\0", 13 },
		{ "000000000000\xff", 13 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		uint64_t id = 42;

		cr_expect_not(msg_id_parse(cases[i], &id), "%s", cases[i].p);
		cr_expect_eq(id, 42);
	}
}
