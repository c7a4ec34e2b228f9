/*
 * What client networks have done in their last minute: an IPv4 address, an
 * IPv6 /64.  A site has 65,536 of the latter: so what a /48 did counts for each
 * in it, too, as a sixteenth.  The memory is fixed, whatever comes.
 *
 * The error is on one side only.  No network is counted for what another did,
 * so none is refused for it
 * (unless it shares a /48).  One that was forgotten to make room begins at
 * nothing: that happens to those that did least, when eight others of its set
 * of places did more, or as much and more lately; the sets are chosen by a
 * keyed hash, so nobody chooses whom he pushes out.  Who is above a limit stays
 * until eight of his set are.
 */
#ifndef MX_POLICY_RATES_H
#define MX_POLICY_RATES_H

#include "common/net/addr.h"

struct rates;

enum rate { RATE_MESSAGES, RATE_UNKNOWN, RATE_COUNT };

enum {
	RATES_PLACES = 65536,	   /* networks at a time: 1.5 MiB */
	RATES_WIDER = 16,	   /* times as much from a whole /48 */
	RATES_WINDOW_MS = 60 * 1000, /* from the first of what is counted */
};

struct rates *rates_new(void);
void rates_free(struct rates **r);

/* How often in its minute?  Monotonic milliseconds. */
unsigned rates_get(const struct rates *r, const struct net_addr *client,
		   enum rate what, int64_t now_ms);
/* Once more; how often with this one. */
unsigned rates_add(struct rates *r, const struct net_addr *client,
		   enum rate what, int64_t now_ms);

#endif
