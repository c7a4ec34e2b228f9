/*
 * A walk over all units that an order is about, a few at a time: a domain with
 * a million messages stalls nobody, and every unit has its line in the log.
 *
 *   step: some units --ops->unit--> asked of the spool --durable--> next step
 *
 * The order goes on when the operator hangs up, and ends when the daemon does.
 * Mail that arrives meanwhile is not touched.
 */
#ifndef MX_CONTROL_WALK_H
#define MX_CONTROL_WALK_H

#include "daemon/control/control_priv.h"

struct walk;

struct walk_ops {
	size_t units_per_step;
	/* A domain's turn, and when its units were looked at.  False: leave
	 * them out.  NULL: nothing is to be done. */
	bool (*domain)(struct walk *w, const struct spool_domain *row);
	void (*left)(struct walk *w);
	/* One unit; valid during the call.  NULL: only domains matter. */
	void (*unit)(struct walk *w, const struct unit *u);
	/* All was looked at.  True: look at all of it again, after a while. */
	bool (*again)(struct walk *w);
	/* It is over; answers with request_done (or lets it be answered by
	 * nobody).  w goes afterwards. */
	void (*end)(struct walk *w);
	/* w goes, by whatever way: so does w->own.  NULL: there is none. */
	void (*forget)(struct walk *w);
};

struct walk {
	struct request *request;
	const struct walk_ops *ops;
	struct spool *spool;
	struct ev_loop *loop;
	ev_timer turn;
	uint64_t until_id; /* what has a higher one came later */
	/* where it is */
	char row[256];	  /* the last domain looked at; "": before the first */
	char domain[256]; /* the one whose units are listed */
	bool in_domain, is_over, is_full;
	uint64_t after;
	size_t at;	    /* in the request's ids */
	size_t taken, rows; /* in this step */
	size_t pending;	    /* asked of the spool, not done */
	/* what came of it */
	uint64_t done, under_way, kept;
	char release[300]; /* what lets kept mail go: arguments of release */
	uint64_t kept_id;  /* the last of it that is held by itself; 0: none */
	int64_t patience_ms; /* monotonic: when to look no more again */
	bool was_held;	     /* release: more than single messages */
	enum mx_err err;     /* the first failure: no further step */
	void *own;	     /* of whoever walks */
};

/* Start it; r is the walk's. */
void walk_start(struct request *r, const struct walk_ops *ops, bool was_held);
/* Something was asked of the spool, and is done.  The step goes on when all of
 * it is.  MX_ENOENT is no failure: what was to go had gone. */
void walk_begin(struct walk *w);
void walk_end(struct walk *w, enum mx_err err);
/* The daemon leaves; true: nothing is pending, and w is gone. */
bool walk_stop(struct walk *w);
/* Has it been stopped?  Then the drain is gone. */
bool walk_is_stopped(const struct walk *w);
/* {"ok":true,"count","under_way","still_held","release"}, or what went
 * wrong. */
json_t *walk_answer(const struct walk *w);
/* So many units are held and stay so; because of their domain (row may be
 * NULL), their destination, or by themselves (id). */
void walk_keep(struct walk *w, uint64_t units, uint64_t id,
	       const struct spool_domain *row, struct span domain);

#endif
