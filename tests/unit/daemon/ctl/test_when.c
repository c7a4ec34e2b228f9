/* Times as operators write them. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/ctl/when.h"

/* 2026-11-28 12:00:00 UTC, which is 13:00 in Vienna */
#define NOW INT64_C(1795867200000)

Test(ctl_when, forms)
{
	static const struct {
		const char *text;
		int64_t ms;
	} cases[] = {
		{ "today", NOW - HOURS(13) },
		{ "yesterday", NOW - HOURS(37) },
		{ "24h", NOW - DAYS(1) },
		{ "7d", NOW - DAYS(7) },
		{ "2026-11-28", NOW - HOURS(13) },
		{ "2026-11-28 10:30", NOW - MINUTES(150) },
		{ "2026-11-28T10:30:00Z", NOW - MINUTES(90) },
	};

	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	tzset();
	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t ms = 0;

		cr_assert(when_parse(cases[i].text, NOW, &ms), "%s",
			  cases[i].text);
		cr_expect_eq(ms, cases[i].ms, "%s: %lld", cases[i].text,
			     (long long)ms);
	}
}

Test(ctl_when, what_is_none)
{
	static const char *const texts[] = { "", "tomorrow", "7", "2026-13-01",
					     "2026-11-28x", "noon" };
	int64_t ms;

	for (size_t i = 0; i < COUNT(texts); i++)
		cr_expect_not(when_parse(texts[i], NOW, &ms), "%s", texts[i]);
}
