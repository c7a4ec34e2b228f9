#include "daemon/check/days.h"

#include "common/base/clock.h"

enum { WARN_DAYS = 14, LATE_DAYS = 3 };

int64_t days_left(int64_t end_ms)
{
	const int64_t left_ms = end_ms - clock_wall_ms();

	return left_ms >= 0 ? left_ms / DAYS(1) : left_ms / DAYS(1) - 1;
}

enum severity days_severity(int64_t days)
{
	if (days < LATE_DAYS)
		return SEVERITY_ERROR;
	return days < WARN_DAYS ? SEVERITY_WARNING : SEVERITY_OK;
}
