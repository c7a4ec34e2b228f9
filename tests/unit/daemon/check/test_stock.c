#include <criterion/criterion.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/check/exam.h"

#define GIB(n) ((uint64_t)(n) << 30)

static struct arena arena;

Test(check_room, days_at_the_rate_of_the_last_outage)
{
	static const struct {
		uint64_t used, size, disk, messages, bytes, outage;
		int64_t outage_ms;
		enum severity severity;
		const char *remedy;
	} cases[] = {
		/* no outage yet */
		{ 0, GIB(64), GIB(100), 0, 0, 0, 0, SEVERITY_OK, NULL },
		/* 1,000 of 100 kB an hour: 2.4 GB a day */
		{ 0, GIB(64), GIB(100), 1000, 100000000, 1000, HOURS(1),
		  SEVERITY_OK, NULL },
		{ 0, GIB(4), GIB(100), 1000, 100000000, 1000, HOURS(1),
		  SEVERITY_WARNING, "spool = { size = \"32G\"; };" },
		{ 0, GIB(2), GIB(100), 1000, 100000000, 1000, HOURS(1),
		  SEVERITY_ERROR, "spool = { size = \"32G\"; };" },
		/* the disk ends before */
		{ 0, GIB(64), GIB(2), 1000, 100000000, 1000, HOURS(1),
		  SEVERITY_ERROR, "make room on the disk of the spool" },
		{ GIB(8), GIB(10), GIB(100), 0, 0, 0, 0, SEVERITY_WARNING,
		  "spool = { size = \"33G\"; };" },
		{ GIB(95), GIB(100), GIB(100), 0, 0, 0, 0, SEVERITY_ERROR,
		  NULL },
		{ 0, GIB(64), 0, 0, 0, 0, 0, SEVERITY_ERROR,
		  "make room on the disk of the spool" },
		/* too short to go by */
		{ 0, GIB(64), GIB(100), 0, 0, 1000, SECONDS(20), SEVERITY_OK,
		  NULL },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct check_room room = {
			.is_known = true,
			.messages = cases[i].messages,
			.bytes = cases[i].bytes,
			.used_bytes = cases[i].used,
			.size_bytes = cases[i].size,
			.disk_bytes = cases[i].disk,
			.outage_messages = cases[i].outage,
			.outage_ms = cases[i].outage_ms,
			.lifetime_ms = DAYS(14),
		};
		struct findings f = { .arena = &arena };

		room_judge(&f, &room);
		cr_assert_eq(f.count, 1u, "%zu", i);
		cr_expect_eq(f.list[0].severity, cases[i].severity, "%zu: %s",
			     i, f.list[0].what.p);
		if (cases[i].remedy != NULL)
			cr_expect_str_eq(f.list[0].remedy.p, cases[i].remedy,
					 "%zu", i);
		arena_reset(&arena);
	}
}

Test(check_room, unknown_is_said)
{
	const struct check_room room = { .why = SPAN_LIT("no spool") };
	struct findings f = { .arena = &arena };

	room_judge(&f, &room);
	cr_assert_eq(f.count, 1u);
	cr_expect_eq(f.list[0].severity, SEVERITY_INFO);
	cr_expect_not_null(strstr(f.list[0].what.p, "no spool"));
	arena_reset(&arena);
}
