/*
 * MX hosts that turned out to be this host: they greeted with our own name,
 * behind a NAT or a forwarded port that nobody told us of.  For a while their
 * addresses count as ours, so that RFC 5321 section 5.1 holds for them, too.
 * Pure.
 */
#ifndef MX_ROUTE_FOUND_H
#define MX_ROUTE_FOUND_H

#include "common/net/addr.h"

enum {
	/* Each makes all routes old, so a domain whose hosts all greet so, as
	 * many as it likes, must not go on for ever. */
	FOUND_MOST = 64,
	FOUND_FOR_MS = 300000, /* it may have been a slip, and be mended */
};

struct found {
	struct net_addr at[FOUND_MOST]; /* with ports */
	int64_t until_ms[FOUND_MOST];	/* monotonic; in order */
	size_t count;
};

/* False: it was known, and is for longer now; or there are too many, and nothing
 * is added before one is forgotten. */
bool found_add(struct found *f, const struct net_addr *at, int64_t now_ms);
/* What has not been found again is forgotten. */
void found_expire(struct found *f, int64_t now_ms);

#endif
