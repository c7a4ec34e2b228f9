/*
 * What the primary may have and our disk does not know of: after a crash it is
 * sent again, and arrives twice.
 *
 *  end of content sent --> unanswered --2yz--> answered --recorded--> over
 *                             |  \--refused, lost--------------------> over
 *                             \--no reply for a while--> no longer counted
 *
 * However fast the primary and slow the disk, no more units than AT_RISK_MAX
 * are counted at a time: connections hold back the last piece of a message
 * until there is room.  One destination takes at most seven eighths of it, those
 * of strangers an eighth between them; and a host that leaves the end of
 * messages unanswered takes room from its own destination alone, so that the
 * others never stand still for it.
 */
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/risk.h"
#include "daemon/drain/slots.h"

enum { AT_RISK_MAX = 64, SHARE = 7, STRANGERS_MOST = 8, PATIENCE_MS = 5000 };

static bool has_room(const struct dest *dst)
{
	const struct drain *d = dst->drain;
	unsigned left;

	if (d->is_broken)
		return false;
	if (slots_is_strangers(dst) && d->strangers_at_risk >= STRANGERS_MOST)
		return false;
	left = d->at_risk < AT_RISK_MAX ? AT_RISK_MAX - d->at_risk : 0;
	return dst->at_risk < AT_RISK_MAX && dst->at_risk < SHARE * left;
}

/* ---- Those without an answer ---- */

static void arm(struct drain *d)
{
	const struct attempt *first = TAILQ_FIRST(&d->unanswered);
	int64_t wait;

	ev_timer_stop(d->loop, &d->patience);
	if (first == NULL)
		return;
	wait = first->risky_ms + PATIENCE_MS - clock_mono_ms();
	ev_timer_set(&d->patience, wait > 0 ? (double)wait / 1000. : 0., 0.);
	ev_timer_start(d->loop, &d->patience);
}

static void leave_unanswered(struct attempt *a)
{
	struct drain *d = a->drain;
	bool was_first = TAILQ_FIRST(&d->unanswered) == a;

	TAILQ_REMOVE(&d->unanswered, a, unanswered);
	if (was_first && TAILQ_EMPTY(&d->unanswered))
		ev_timer_stop(d->loop, &d->patience);
}

/* The connections that wait for room are asked in the next turn of the loop:
 * then all that this turn recorded has made room, and each goes on once. */
static void go_on(struct drain *d)
{
	if (TAILQ_EMPTY(&d->held_back) || ev_is_active(&d->resume))
		return;
	ev_timer_set(&d->resume, 0., 0.);
	ev_timer_start(d->loop, &d->resume);
}

static void make_room(struct attempt *a)
{
	struct drain *d = a->drain;

	MX_ASSERT(d->at_risk > 0);
	d->at_risk--;
	d->strangers_at_risk -= a->is_strangers_risk;
	go_on(d);
}

static void on_patience(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct drain *d = w->data;
	int64_t now = clock_mono_ms();
	struct attempt *a;

	(void)loop;
	(void)revents;
	while ((a = TAILQ_FIRST(&d->unanswered)) != NULL &&
	       now - a->risky_ms >= PATIENCE_MS) {
		MX_ASSERT(a->risk == RISK_UNANSWERED);
		TAILQ_REMOVE(&d->unanswered, a, unanswered);
		a->risk = RISK_UNCOUNTED;
		make_room(a);
	}
	arm(d);
}

/* ---- Those held back ---- */

static void hold_back(struct link *l)
{
	if (l->is_held_back)
		return;
	l->is_held_back = true;
	TAILQ_INSERT_TAIL(&l->dest->drain->held_back, l, held_back);
}

static void on_resume(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct drain *d = w->data;
	struct link *l, *last = TAILQ_LAST(&d->held_back, link_queue);

	(void)loop;
	(void)revents;
	while ((l = TAILQ_FIRST(&d->held_back)) != NULL) {
		bool is_last = l == last;

		risk_forget(l);
		if (has_room(l->dest))
			delivery_resume(l->delivery); /* may queue it again */
		else
			hold_back(l);
		if (is_last)
			break;
	}
}

void risk_forget(struct link *l)
{
	if (!l->is_held_back)
		return;
	l->is_held_back = false;
	TAILQ_REMOVE(&l->dest->drain->held_back, l, held_back);
}

/* ---- In and out ---- */

bool risk_take(struct attempt *a, struct link *l)
{
	struct dest *dst = l->dest;
	struct drain *d = dst->drain;

	if (a->risk != RISK_NONE) /* the same content once more */
		return true;
	if (!has_room(dst)) {
		hold_back(l);
		return false;
	}
	a->risk = RISK_UNANSWERED;
	a->risky_ms = clock_mono_ms();
	a->risk_dest = dst;
	MX_ASSERT(d->at_risk < AT_RISK_MAX && dst->at_risk < AT_RISK_MAX);
	a->is_strangers_risk = slots_is_strangers(dst);
	dst->at_risk++;
	d->at_risk++;
	d->strangers_at_risk += a->is_strangers_risk;
	TAILQ_INSERT_TAIL(&d->unanswered, a, unanswered);
	if (!ev_is_active(&d->patience))
		arm(d);
	return true;
}

void risk_answered(struct attempt *a)
{
	if (a->risk != RISK_UNANSWERED)
		return;
	leave_unanswered(a);
	a->risk = RISK_ANSWERED;
}

void risk_over(struct attempt *a)
{
	if (a->risk == RISK_NONE)
		return;
	risk_answered(a);
	MX_ASSERT(a->risk_dest->at_risk > 0);
	a->risk_dest->at_risk--;
	if (a->risk == RISK_ANSWERED)
		make_room(a);
	else /* room of its own destination */
		go_on(a->drain);
	a->risk = RISK_NONE;
}

void risk_start(struct drain *d)
{
	TAILQ_INIT(&d->unanswered);
	TAILQ_INIT(&d->held_back);
	ev_timer_init(&d->patience, on_patience, 0., 0.);
	ev_timer_init(&d->resume, on_resume, 0., 0.);
	d->patience.data = d->resume.data = d;
}

void risk_stop(struct drain *d)
{
	ev_timer_stop(d->loop, &d->patience);
	ev_timer_stop(d->loop, &d->resume);
}
