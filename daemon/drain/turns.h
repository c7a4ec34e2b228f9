/*
 * What the drain does a little at a time from the loop, so that sessions never
 * wait for it, however many domains and destinations there are.
 *
 *   touch   a destination has something to do: it is run, once, before the
 *           loop sleeps again; what nobody touched costs nothing
 *   visit   every domain and destination is seen, some at a time
 */
#ifndef MX_DRAIN_TURNS_H
#define MX_DRAIN_TURNS_H

#include "common/spool/scope.h"
#include "daemon/drain/dest.h"

enum { VISITED_A_TURN = 256 };

struct turns {
	ev_timer timer;
	void (*run)(struct dest *dst);
	struct dest_queue dirty;    /* each once */
	TAILQ_HEAD(, visit) visits; /* one after the other */
	TAILQ_HEAD(, domain) domains;
	TAILQ_HEAD(, dest) dests; /* all there are, for these */
};

/* run: what is done for a destination that was touched. */
void turns_start(struct drain *d, void (*run)(struct dest *dst));
void turns_stop(struct drain *d);

/* It is run soon, never within this call. */
void turns_touch(struct dest *dst);

/*
 * Call domain for every domain and dest for every destination (either may be
 * NULL), also for some that come meanwhile.  name (at most
 * SCOPE_DESTINATION_MAX bytes) is copied.  Asked for while the same is under
 * way, it is made once more when that is over.  Both may free what they are
 * called with.
 */
struct visit_ops {
	void (*domain)(struct domain *dom);
	void (*dest)(struct dest *dst, struct span name);
};
void turns_visit(struct drain *d, const struct visit_ops *ops,
		 struct span name);

/* It comes and goes. */
void turns_enter_domain(struct domain *dom);
void turns_enter_dest(struct dest *dst);
void turns_leave_domain(struct domain *dom);
void turns_leave_dest(struct dest *dst);

#endif
