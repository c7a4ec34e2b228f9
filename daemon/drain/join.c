/*
 * One report a message.
 *
 * A message has a unit for each of its domains, and each ends by itself:
 * a message for a hundred refused recipients at a hundred domains would become
 * a hundred reports to a sender who is easily forged.  So the outcomes of one
 * message that are to be reported wait for each other a moment, and one report
 * names them all:
 *
 *   outcome --no report due, or no other unit--> recorded at once
 *           \--> waiting --all units there, or JOIN_MS over--> joined
 *
 * What was taken and is not to be reported is recorded before it waits: a crash
 * would send it again.
 *
 *   joined --> the first is recorded together with the report about all,
 *              then the others; a crash in between repeats, and loses nothing
 *
 * What comes later, since its primary does, is held against a second bound: a
 * message that was reported on is not again before its age is four times what
 * it was, and a minute has gone by.  What is refused before that is parked
 * until then (without drain.brake_window: deferred like a 4yz, and tried), and
 * reported with whatever else there is by then. That makes eight reports in two
 * weeks at most, whatever the number of recipients.  The end of a lifetime does
 * not wait, nor does what is already delivered (relayed).
 *
 * All of it is in memory only: after a restart a message may be reported on
 * once more.
 */
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/drain/conclude.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/give_up.h"
#include "daemon/drain/join.h"
#include "daemon/drain/risk.h"

enum {
	JOIN_MS = 2000,
	WAITING_MAX = 256,  /* attempts that wait for others, of all messages */
	REMEMBERED = 20000, /* messages that were reported on */
	AGE_FACTOR = 4,
};

/* Outcomes of one message that wait for each other. */
struct group {
	uint64_t id;
	UT_hash_handle hh;
	TAILQ_ENTRY(group) link; /* the oldest first */
	struct drain *drain;
	struct attempt_queue attempts;
	size_t count;
	ev_timer timer;
};

/* A message that was reported on and has not left yet, as far as we know. */
struct reported {
	uint64_t id;
	UT_hash_handle hh;
	TAILQ_ENTRY(reported) link; /* the one said first, first */
	int64_t next_ms;	    /* monotonic: not again before */
};

/* ---- What was reported on ---- */

static struct reported *reported_find(struct drain *d, uint64_t id)
{
	struct reported *r;

	HASH_FIND_BYHASHVALUE(hh, d->reported, &id, sizeof(id), hash_number(id),
			      r);
	return r;
}

/* The one said first goes. */
static void make_room(struct drain *d)
{
	struct reported *r = TAILQ_FIRST(&d->reported_order);

	if (HASH_COUNT(d->reported) < REMEMBERED)
		return;
	HASH_DEL(d->reported, r);
	TAILQ_REMOVE(&d->reported_order, r, link);
	free(r);
}

static void remember(const struct attempt *a)
{
	struct drain *d = a->drain;
	struct reported *r = reported_find(d, a->key.id);
	int64_t age_ms = clock_wall_ms() - a->job->unit->envelope.arrived_ms;
	int64_t wait_ms = (AGE_FACTOR - 1) * age_ms;

	if (r == NULL) {
		make_room(d);
		r = mx_alloc(sizeof(*r));
		r->id = a->key.id;
		TAILQ_INSERT_TAIL(&d->reported_order, r, link);
		HASH_ADD_BYHASHVALUE(hh, d->reported, id, sizeof(r->id),
				     hash_number(r->id), r);
	}
	r->next_ms =
		clock_mono_ms() + (wait_ms > MINUTES(1) ? wait_ms : MINUTES(1));
}

/* How long until the message may be reported on again; 0: at once. */
static int64_t early_ms(const struct attempt *a)
{
	const struct reported *r = reported_find(a->drain, a->key.id);
	int64_t wait_ms = r != NULL ? r->next_ms - clock_mono_ms() : 0;

	return wait_ms > 0 ? wait_ms : 0;
}

/* ---- Joined ---- */

/* Is anything of the message left that may be reported on later? */
static bool is_all(const struct attempt_queue *attempts, size_t count)
{
	const struct attempt *a;

	TAILQ_FOREACH (a, attempts, join)
		if (a->job->unit->message_units > count ||
		    conclude_is_partial(a))
			return false;
	return true;
}

/* The first of them takes the others along. */
static void report(struct attempt_queue *attempts, size_t count)
{
	struct attempt *lead = TAILQ_FIRST(attempts), *a;

	if (!is_all(attempts, count))
		remember(lead);
	MX_ASSERT(lead != NULL && TAILQ_EMPTY(&lead->followers));
	TAILQ_REMOVE(attempts, lead, join);
	TAILQ_CONCAT(&lead->followers, attempts, join);
	TAILQ_FOREACH (a, &lead->followers, join)
		a->is_following = true;
	conclude_submit(lead);
}

/* Those whose failure is not to be reported yet are deferred; the rest may
 * have nothing left to be reported. */
static void dispatch(struct attempt_queue *attempts)
{
	struct attempt_queue due = TAILQ_HEAD_INITIALIZER(due);
	struct attempt *a;
	size_t count = 0;

	while ((a = TAILQ_FIRST(attempts)) != NULL) {
		int64_t wait_ms = early_ms(a);

		TAILQ_REMOVE(attempts, a, join);
		if (wait_ms > 0)
			give_up_defer(a, wait_ms);
		if (!give_up_has_report(a)) {
			conclude_submit(a);
			continue;
		}
		TAILQ_INSERT_TAIL(&due, a, join);
		count++;
	}
	if (count > 0)
		report(&due, count);
}

/* ---- Waiting for each other ---- */

static struct group *group_find(struct drain *d, uint64_t id)
{
	struct group *g;

	HASH_FIND_BYHASHVALUE(hh, d->groups, &id, sizeof(id), hash_number(id),
			      g);
	return g;
}

static void group_end(struct group *g)
{
	struct drain *d = g->drain;
	struct attempt_queue attempts = TAILQ_HEAD_INITIALIZER(attempts);

	TAILQ_CONCAT(&attempts, &g->attempts, join);
	MX_ASSERT(g->count > 0 && d->joining >= g->count);
	d->joining -= g->count;
	ev_timer_stop(d->loop, &g->timer);
	HASH_DEL(d->groups, g);
	TAILQ_REMOVE(&d->group_order, g, link);
	free(g);
	dispatch(&attempts);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	group_end(w->data);
}

static struct group *group_need(struct drain *d, uint64_t id)
{
	struct group *g = group_find(d, id);

	if (g != NULL)
		return g;
	g = mx_alloc(sizeof(*g));
	g->id = id;
	g->drain = d;
	TAILQ_INIT(&g->attempts);
	ev_timer_init(&g->timer, on_timer, JOIN_MS / 1000., 0.);
	g->timer.data = g;
	ev_timer_start(d->loop, &g->timer);
	TAILQ_INSERT_TAIL(&d->group_order, g, link);
	HASH_ADD_BYHASHVALUE(hh, d->groups, id, sizeof(g->id), hash_number(id),
			     g);
	return g;
}

static bool is_alone(const struct attempt *a)
{
	return a->job->unit->message_units <= 1 || a->drain->is_stopping;
}

static bool has_taken(const struct attempt *a)
{
	for (size_t i = 0; i < a->job->count; i++)
		if (conclude_is_taken(a, i))
			return true;
	return false;
}

/* Would a crash send again what was taken?  Not what was parked. */
static bool is_at_risk(const struct attempt *a)
{
	if (a->is_parked)
		return false;
	for (size_t i = 0; i < a->job->count; i++)
		if (a->job->set[i].outcome == OUTCOME_DELIVERED &&
		    !(a->is_taken_known && conclude_is_taken(a, i)))
			return true;
	return false;
}

/* What was taken without a word to anybody is recorded, or could not be. */
static void join_wait(struct attempt *a)
{
	struct drain *d = a->drain;
	struct attempt_queue alone = TAILQ_HEAD_INITIALIZER(alone);
	struct group *g;

	if (is_alone(a)) {
		TAILQ_INSERT_TAIL(&alone, a, join);
		dispatch(&alone);
		return;
	}
	if (!is_at_risk(a))
		risk_over(a); /* it waits for others, not for the disk */
	g = group_need(d, a->key.id);
	TAILQ_INSERT_TAIL(&g->attempts, a, join);
	g->count++;
	d->joining++;
	if (g->count >= a->job->unit->message_units)
		group_end(g);
	else if (d->joining > WAITING_MAX)
		group_end(TAILQ_FIRST(&d->group_order));
}

void join_conclude(struct attempt *a)
{
	if (!give_up_has_report(a))
		conclude_submit(a);
	else if (is_alone(a) || !has_taken(a))
		join_wait(a);
	else
		conclude_taken(a, join_wait);
}

void join_start(struct drain *d)
{
	TAILQ_INIT(&d->group_order);
	TAILQ_INIT(&d->reported_order);
}

void join_hurry(struct drain *d)
{
	struct group *g;

	while ((g = TAILQ_FIRST(&d->group_order)) != NULL)
		group_end(g);
}

/* The attempts are the drain's. */
void join_forget(struct drain *d)
{
	struct reported *r;
	struct group *g;

	HASH_CLEAR(hh, d->groups);
	while ((g = TAILQ_FIRST(&d->group_order)) != NULL) {
		TAILQ_REMOVE(&d->group_order, g, link);
		ev_timer_stop(d->loop, &g->timer);
		free(g);
	}
	HASH_CLEAR(hh, d->reported);
	while ((r = TAILQ_FIRST(&d->reported_order)) != NULL) {
		TAILQ_REMOVE(&d->reported_order, r, link);
		free(r);
	}
}
