/* The inside of callout.h. */
#ifndef MX_DRAIN_CALLOUT_PRIV_H
#define MX_DRAIN_CALLOUT_PRIV_H

#include "daemon/drain/callout.h"
#include "daemon/drain/drain_priv.h"

struct callout {
	struct drain *drain;
	struct domain *domain;
	LIST_ENTRY(callout) all;
	TAILQ_ENTRY(callout) link; /* where it waits, or is answered */
	enum { WAITS, OUT, ANSWERED } state;
	struct link *carrier; /* OUT */
	struct delivery_job *job;
	known_said_cb *cb;
	void *arg;
	ev_timer deadline;
	int64_t since_ms; /* monotonic */
	unsigned tries;
	bool is_from_us; /* the null sender was refused */
	enum known_said said;
	struct buf reply;
	size_t mailbox_len; /* 0: a hail */
	char mailbox[];
};

/* ---- callout_carry.c ---- */
/* It is asked over this connection, which is free. */
void callout_give(struct link *l, struct callout *c);

/* ---- callout_wait.c ---- */
void callout_wait_start(struct drain *d);
/* It is in no queue any more.  Who asked is told in the next turn. */
void callout_answer(struct callout *c, enum known_said said,
		    struct span reply);
void callout_answer_all(struct dest *dst, struct span reply);
/* It answers: that is all that hails want to know. */
void callout_answer_hails(struct dest *dst);
/* The queue where it waits. */
struct callout_queue *callout_queue_of(const struct callout *c);
/* The one that has waited for longest, or NULL. */
const struct callout *callout_first(const struct domain *dom);
void callout_leave_domain(struct callout *c);
void callout_free(struct callout *c);

#endif
