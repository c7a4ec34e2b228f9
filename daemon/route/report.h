/* What the log says of a route: once when it changes, not each time it is
 * looked up. */
#ifndef MX_ROUTE_REPORT_H
#define MX_ROUTE_REPORT_H

#include "daemon/route/route.h"

/* before: the last answer; NULL: none. */
void report_route(const struct route *before, const struct route *now);

#endif
