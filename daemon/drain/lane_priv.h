/* The inside of lane.h. */
#ifndef MX_DRAIN_LANE_PRIV_H
#define MX_DRAIN_LANE_PRIV_H

#include "daemon/drain/drain_priv.h"
#include "daemon/drain/lane.h"
#include "daemon/drain/lane_net.h"

enum { LANE_MAGIC = 0x446c616e };

struct lane {
	unsigned magic;
	struct drain *drain;
	struct domain *domain;
	TAILQ_ENTRY(lane) link; /* where it waits */
	enum lane_state {
		LANE_ROUTED,  /* for its route: in domain->lanes */
		LANE_WAITS,   /* for a connection: in dest->lanes.waiting */
		LANE_CARRIES, /* has one */
		LANE_OVER,
	} state;
	struct lane *beside;
	struct lane_stake stake;
	unsigned needs; /* SMTP_EXT_ bits */
	struct link *carrier;
	struct unit *unit; /* until it is given */
	struct delivery_source source;
	struct delivery_job *job;
	const struct lane_listener *listener;
	void *arg;
	ev_timer deadline;
	bool has_stolen;    /* another one's, to wait for it once more */
	int64_t since_ms;   /* monotonic */
	int64_t paid_ms;    /* so much of its client's time does not count */
	uint64_t bytes;	    /* of content that have paid for it */
};

/* ---- lane_carry.c ---- */
/* What waits goes over this connection, which is free. */
void lane_give(struct link *l, struct lane *lane);
/* It has its connection no longer, and is over. */
void lane_part(struct lane *lane);

/* ---- lane_supply.c ---- */
/* What waits, and may, gets the connections that are free. */
void lanes_hand_out(struct dest *dst);

/* ---- lane_pace.c ---- */
/* Those connections that there are, and those that could be made. */
unsigned lane_places(const struct dest *dst);
/* Slow start. */
void lane_went_well(struct dest *dst);
void lane_was_lost(struct dest *dst);
/* How long the primary took for it, whatever its client took. */
void lane_learn_latency(const struct link *l, const struct delivery_job *job);

/* ---- lane_wait.c ---- */
/* It waits for its route; or for a connection, behind all others. */
void lane_wait(struct lane *l);
/* It is in no queue any more. */
void lane_leave_queue(struct lane *l);
/* The same, and it carries. */
void lane_take_from_queue(struct lane *l);
void lane_answer(struct lane *l, enum lane_none why, struct span reply);

#endif
