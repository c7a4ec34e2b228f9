#include "daemon/route/stale.h"

enum { STALE_MOST_MS = 24 * 3600 * 1000 };

bool stale_may_go_on(const struct route *route, int64_t now_ms)
{
	const struct route *good;

	if (route == NULL || route->result != ROUTE_OK)
		return false;
	good = route->base != NULL ? route->base : route;
	return now_ms - good->expires_ms <= STALE_MOST_MS;
}

static bool is_silence(const struct route *failed)
{
	bool silent = failed->mx_dnssec == ROUTE_NO_ANSWER;

	if (failed->result != ROUTE_TRANSIENT)
		return false;
	for (size_t i = 0; i < failed->published_count; i++) {
		const struct route_mx *mx = &failed->published[i];

		if (mx->fate != ROUTE_UNKNOWN_NOW)
			continue;
		if (mx->addr_dnssec != ROUTE_NO_ANSWER)
			return false;
		silent = true;
	}
	return silent;
}

bool stale_may_replace(const struct route *route, const struct route *failed,
		       int64_t now_ms)
{
	return stale_may_go_on(route, now_ms) && is_silence(failed);
}
