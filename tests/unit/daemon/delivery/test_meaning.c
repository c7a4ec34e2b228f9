/* What replies mean: about the mail, about one recipient, about us. */
#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "daemon/delivery/meaning.h"

static void parse(const char *line, struct smtp_reply *r)
{
	memset(r, 0, sizeof(*r));
	cr_assert_eq(smtp_reply_parse(span_str(line), r), MX_OK, "%s", line);
}

Test(meaning, classes_of_replies)
{
	static const struct {
		const char *line;
		enum meaning expected;
	} cases[] = {
		{ "250 2.0.0 ok", MEANS_YES },
		{ "251 will forward", MEANS_YES },
		{ "450 4.2.1 busy", MEANS_LATER },
		{ "452 4.3.1 full", MEANS_LATER },
		{ "550 5.1.1 unknown", MEANS_NEVER },
		{ "500 5.3.0 failed", MEANS_NEVER },
		{ "554 no", MEANS_NEVER },
		{ "503 5.5.1 out of sequence", MEANS_LATER },
		{ "530 5.7.0 STARTTLS first", MEANS_LATER },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct smtp_reply r;

		parse(cases[i].line, &r);
		cr_expect_eq(meaning_of(&r), cases[i].expected, "%s",
			     cases[i].line);
		smtp_reply_fini(&r);
	}
}

/* Only an enhanced code makes sure that it is not about this recipient. */
Test(meaning, a_session_that_is_spent)
{
	static const struct {
		const char *line;
		bool expected;
	} cases[] = {
		{ "452 4.5.3 too many", true },
		{ "552 5.5.3 too many", true },
		{ "452 too many", false },
		{ "452 4.2.2 mailbox full", false },
		{ "451 4.5.3 too many", true },
		{ "550 5.5.3 too many", true },
		{ "550 too many", false },
		{ "550 5.5.2 what?", false },
		{ "250 2.5.3 ok", false },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct smtp_reply r;

		parse(cases[i].line, &r);
		cr_expect_eq(meaning_is_spent(&r), cases[i].expected, "%s",
			     cases[i].line);
		smtp_reply_fini(&r);
	}
}

/* RFC 5321 section 4.2.2: not understood, as far as it is not about the
 * address or a policy. */
Test(meaning, about_options)
{
	static const struct {
		const char *line;
		bool expected;
	} cases[] = {
		{ "500 what?", true },
		{ "501 5.5.4 unsupported parameter", true },
		{ "502 5.5.1 not implemented", true },
		{ "504 parameter not implemented", true },
		{ "555 5.5.4 not recognized", true },
		{ "501 5.1.7 bad sender address", false },
		{ "501 5.1.3 bad address", false },
		{ "555 5.7.1 not from you", false },
		{ "503 5.5.1 sequence", false },
		{ "550 5.5.4 no", false },
		{ "451 4.5.4 later", false },
		{ "250 2.5.4 ok", false },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct smtp_reply r;

		parse(cases[i].line, &r);
		cr_expect_eq(meaning_is_about_options(&r), cases[i].expected,
			     "%s", cases[i].line);
		smtp_reply_fini(&r);
	}
}

/* RFC 5321 section 4.5.3.1.10: 452, and 552 from old servers, is "too many"
 * only behind accepted ones, and only if no enhanced code says otherwise.  So
 * is X.5.3 with any code: RFC 3463 section 3.6. */
Test(meaning, too_many_recipients)
{
	static const struct {
		const char *line;
		size_t accepted;
		enum meaning expected;
	} cases[] = {
		{ "452 4.5.3 too many", 5, MEANS_FULL },
		{ "452 too many", 5, MEANS_FULL },
		{ "552 5.5.3 too many", 5, MEANS_FULL },
		{ "552 too many", 5, MEANS_FULL },
		{ "452 4.5.3 too many", 0, MEANS_LATER },
		{ "552 5.5.3 too many", 0, MEANS_NEVER },
		{ "452 4.2.2 mailbox full", 5, MEANS_LATER },
		{ "552 5.2.2 mailbox full", 5, MEANS_NEVER },
		{ "450 4.5.3 too many", 5, MEANS_FULL },
		{ "450 4.5.3 too many", 0, MEANS_LATER },
		{ "550 5.5.3 too many", 5, MEANS_FULL },
		{ "550 5.5.3 too many", 0, MEANS_NEVER },
		{ "550 too many", 5, MEANS_NEVER },
		{ "250 2.5.3 ok", 5, MEANS_YES },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct smtp_reply r;

		parse(cases[i].line, &r);
		cr_expect_eq(meaning_of_rcpt(&r, cases[i].accepted),
			     cases[i].expected, "%s", cases[i].line);
		smtp_reply_fini(&r);
	}
}
