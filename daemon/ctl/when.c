#include "daemon/ctl/when.h"

#include <string.h>
#include <time.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "config/value/value.h"
#include "daemon/ctl/print.h"

/* Midnight here, so many days from today. */
static bool day(int64_t now_ms, int days, int64_t *wall_ms)
{
	time_t t = (time_t)(now_ms / 1000);
	struct tm tm;

	if (localtime_r(&t, &tm) == NULL)
		return false;
	tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
	tm.tm_mday += days;
	tm.tm_isdst = -1;
	*wall_ms = SECONDS(mktime(&tm));
	return true;
}

static bool date(const char *text, int64_t *wall_ms)
{
	static const char *const forms[] = { "%Y-%m-%d", "%Y-%m-%d %H:%M",
					     "%Y-%m-%d %H:%M:%S" };

	for (size_t i = 0; i < COUNT(forms); i++) {
		struct tm tm = { .tm_isdst = -1 };
		const char *end = strptime(text, forms[i], &tm);

		if (end == NULL || *end != '\0')
			continue;
		tm.tm_isdst = -1;
		*wall_ms = SECONDS(mktime(&tm));
		return true;
	}
	return false;
}

bool when_parse(const char *text, int64_t now_ms, int64_t *wall_ms)
{
	int64_t ms;

	if (strcmp(text, "today") == 0)
		return day(now_ms, 0, wall_ms);
	if (strcmp(text, "yesterday") == 0)
		return day(now_ms, -1, wall_ms);
	if (value_time(span_str(text), &ms)) {
		*wall_ms = now_ms - ms;
		return true;
	}
	return print_parse_time(span_str(text), wall_ms) ||
	       date(text, wall_ms);
}
