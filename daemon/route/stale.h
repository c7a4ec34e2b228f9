/*
 * An answer that has expired, while DNS does not give another: the idea of
 * RFC 8767, so that known domains keep draining.  Pure.
 */
#ifndef MX_ROUTE_STALE_H
#define MX_ROUTE_STALE_H

#include "daemon/route/route.h"

/* Is it good, and has not been stale for a day?  route may be NULL. */
bool stale_may_go_on(const struct route *route, int64_t now_ms);

/* ... and does `failed`, the new answer, say nothing but that DNS is silent?
 * Bogus records, or TLSA that cannot be had, are an answer. */
bool stale_may_replace(const struct route *route, const struct route *failed,
		       int64_t now_ms);

#endif
