/*
 * Connections for mail that is relayed as it arrives (daemon/relay/door.h):
 * one for one client's transaction at a time, and for the next one after it.
 *
 *           drain_lane_ask        a connection is free
 *   ----------------------> waits ---------------------> carries
 *                            |  |                            |
 *    busy, down, no route    |  |  its connection ends       | job done
 *   <------------------------+  +--------------+-------------+
 *                                              v
 *                                            over
 *
 * They are beside those of the backlog, as many as drain.connections, with a
 * slow start of their own, so that neither waits for the other.  When all are
 * in use, one whose client has been slow for some seconds is for others, however
 * often it said a little.  That one cannot be made is told to the machine: no
 * client has a hand in that.  What
 * becomes of one that works may be the work of its client: the machine hears of
 * it only as a sign of life.  After some losses on end, with nothing that went
 * well between them, nothing is relayed for a while; what is kept meanwhile is
 * delivered as all mail is, and finds out.
 */
#ifndef MX_DRAIN_LANE_H
#define MX_DRAIN_LANE_H

#include "daemon/drain/link.h"
#include "daemon/relay/door.h"

enum {
	LANES_WAITING_MAX = 1024, /* of one destination */
	LANE_BUSY_MS = 1000,	  /* all are in use: so long is waited */
	LANE_LOSSES_MAX = 3,	  /* on end: then a pause */
	LANE_IDLE_MS = 10000,	  /* a client that has taken so long for what it
				     has to say, and for so much of its content,
				     has it no longer if others wait */
	LANE_PIECE = 16 * 1024,
};

/* The domain has a destination now, or leaves it, or will have none. */
void lanes_enter(struct domain *dom);
void lanes_leave(struct domain *dom);
void lanes_no_route(struct domain *dom);

/* Give out what waits.  Part of dest_run. */
void lanes_run(struct dest *dst);
/* Nothing goes there: the operator holds it, or its brake is pulled. */
void lanes_held(struct dest *dst);
/* Is a usual connection to be made, to find out whether it answers? */
bool lanes_want(const struct dest *dst);

/* ---- What delivery says of a LINK_RELAY ---- */
void lane_ready(struct link *l);
void lane_fill(struct link *l);
void lane_ended(struct link *l, const struct delivery_end *end);

void lanes_start(struct drain *d);

#endif
