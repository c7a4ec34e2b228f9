/*
 * The verb bounce: mail goes back to its senders at the operator's word.
 *
 * The drain does it, since it knows what is under way.  A unit that is being
 * delivered at that moment is left to that, and what the delivery leaves is
 * given up then: it is delivered or bounced, never both.  That is waited for a
 * while; then the answer says that it is still to come.
 */
#include "daemon/control/walk.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"

enum { UNITS_PER_STEP = 16, PATIENCE_MS = 2000 };

/* An order that the drain has. */
struct given {
	LIST_ENTRY(given) link;
	struct walk *walk; /* NULL: nobody waits for it any more */
	bool is_late;	   /* behind a delivery */
};
LIST_HEAD(givens, given);

static void on_given_up(enum mx_err err, void *arg)
{
	struct given *g = arg;
	struct walk *w = g->walk;
	bool is_late = g->is_late;

	if (w != NULL) {
		LIST_REMOVE(g, link);
		w->under_way -= is_late;
		w->done += err == MX_OK;
	}
	free(g);
	if (w != NULL && !is_late)
		walk_end(w, err);
}

static void keep(struct walk *w, struct given *g)
{
	if (w->own == NULL)
		w->own = mx_alloc(sizeof(struct givens));
	LIST_INSERT_HEAD((struct givens *)w->own, g, link);
	w->under_way += g->is_late;
	if (!g->is_late)
		walk_begin(w);
}

static void bounce_unit(struct walk *w, const struct unit *u)
{
	const struct request *r = w->request;
	struct drain *d = r->control->opt.drain;
	struct drain_order by = { .uid = r->uid };
	struct given *g;
	enum mx_err err;

	if (w->err != MX_OK)
		return;
	snprintf(by.claimed_uid, sizeof(by.claimed_uid), "%s", r->claimed_uid);
	g = mx_alloc(sizeof(*g));
	g->walk = w;
	g->is_late = drain_is_in_flight(d, u->envelope.id, u->domain);
	err = drain_give_up(d, u->envelope.id, u->domain, &by, on_given_up, g);
	if (err == MX_OK) {
		keep(w, g);
		return;
	}
	free(g);
	if (err != MX_ENOENT && err != MX_EBUSY)
		w->err = err;
}

/* Some deliveries may end in that time. */
static bool again(struct walk *w)
{
	int64_t now = clock_mono_ms();

	if (w->patience_ms == 0)
		w->patience_ms = now + PATIENCE_MS;
	return w->under_way > 0 && now < w->patience_ms;
}

/* What is still to come is in the log. */
static void forget(struct walk *w)
{
	struct givens *all = w->own;
	struct given *g;

	while (all != NULL && (g = LIST_FIRST(all)) != NULL) {
		LIST_REMOVE(g, link);
		g->walk = NULL;
	}
	free(all);
	w->own = NULL;
}

static void end(struct walk *w)
{
	struct request *r = w->request;

	surgery_log_order(r, w->done);
	request_done(r, walk_answer(w));
}

static const struct walk_ops ops = {
	.units_per_step = UNITS_PER_STEP,
	.unit = bounce_unit,
	.again = again,
	.end = end,
	.forget = forget,
};

static void bounce(struct request *r)
{
	walk_start(r, &ops, false);
}

void bounce_run(struct request *r)
{
	select_check(r, bounce);
}
