/*
 * What a client network holds of a destination's connections for relaying.
 *
 * No network holds more than is left for all others, as of memory
 * (daemon/policy/shares.h): one alone has half of them, two have a third each,
 * and who comes with none gets one as soon as there is one.  So is it with the
 * places to wait for one.
 *
 *   nothing ──wait──▶ waits ──hold──▶ holds ──leave──▶ nothing
 *                       └──────leave─────────────────────▲
 */
#ifndef MX_DRAIN_LANE_NET_H
#define MX_DRAIN_LANE_NET_H

#include "daemon/drain/dest.h"

/* One network at one destination: there for as long as it waits or holds. */
struct lane_net;

/* What a lane has there; all zero: nothing. */
struct lane_stake {
	struct net_addr client;
	struct lane_net *net;
	bool is_held; /* else it waits */
};

/* False: its network has all the places it can have. */
bool lane_net_wait(struct lane_stake *s, struct lanes *of, unsigned places);
/* It waits: may it have a connection, if there are so many? */
bool lane_net_may_hold(const struct lane_stake *s, unsigned most);
/* It waits no more, and has one. */
void lane_net_hold(struct lane_stake *s);
void lane_net_leave(struct lane_stake *s);

/* Are these of the same network? */
bool lane_net_is_same(const struct lane_stake *a, const struct lane_stake *b);

#endif
