/*
 * What the log says of a route: once when it changes, not each time it is
 * looked up; that there is none is said again every hour.
 */
#ifndef MX_ROUTE_REPORT_H
#define MX_ROUTE_REPORT_H

#include "daemon/route/route.h"

/* When a name server lies about a hundred thousand domains, a thousand lines
 * an hour say enough.  Zeroed: nothing was said. */
struct report_budget {
	int64_t hour_ms; /* monotonic: the hour that is counted began */
	unsigned said;
};

/* before: the last answer; NULL: none.  *said_ms: when this failure was last
 * said (monotonic); kept beside the answer, 0 at first. */
void report_route(struct report_budget *b, const struct route *before,
		  const struct route *now, int64_t *said_ms);

#endif
