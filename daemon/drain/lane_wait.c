/* Relayed mail that waits for a connection, and what it is told if there is
 * none. */
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/drain/lane_priv.h"

void lane_leave_queue(struct lane *l)
{
	if (l->state == LANE_ROUTED) {
		TAILQ_REMOVE(&l->domain->lanes, l, link);
	} else if (l->state == LANE_WAITS) {
		TAILQ_REMOVE(&l->domain->dest->lanes.waiting, l, link);
		lane_net_leave(&l->stake);
	}
	l->state = LANE_OVER;
}

void lane_take_from_queue(struct lane *l)
{
	MX_ASSERT(l->state == LANE_WAITS);
	TAILQ_REMOVE(&l->domain->dest->lanes.waiting, l, link);
	lane_net_hold(&l->stake);
	l->state = LANE_CARRIES;
}

void lane_answer(struct lane *l, enum lane_none why, struct span reply)
{
	lane_leave_queue(l);
	ev_timer_stop(l->drain->loop, &l->deadline);
	unit_free(&l->unit);
	l->listener->on_none(why, reply, l->arg);
}

/* Does the domain's mail go where that of the other is going? */
static enum lane_none compare(const struct lane *l)
{
	const struct lane *with = l->beside;

	return with->carrier != NULL && with->carrier->dest == l->domain->dest
		       ? LANE_SAME
		       : LANE_OTHER;
}

static void enter(struct lane *l)
{
	struct dest *dst = l->domain->dest;

	if (l->beside != NULL) {
		lane_answer(l, compare(l), SPAN_LIT(""));
	} else if (!lane_net_wait(&l->stake, &dst->lanes, LANES_WAITING_MAX)) {
		lane_answer(l, LANE_BUSY, SPAN_LIT(""));
	} else {
		lane_leave_queue(l);
		l->state = LANE_WAITS;
		TAILQ_INSERT_TAIL(&dst->lanes.waiting, l, link);
	}
}

void lane_wait(struct lane *l)
{
	l->state = LANE_ROUTED;
	TAILQ_INSERT_TAIL(&l->domain->lanes, l, link);
}

void lanes_enter(struct domain *dom)
{
	struct lane *l;

	while (dom->dest != NULL && (l = TAILQ_FIRST(&dom->lanes)) != NULL)
		enter(l);
}

void lanes_leave(struct domain *dom)
{
	struct lane *l, *next;

	if (dom->lane_count == 0)
		return;
	for (l = TAILQ_FIRST(&dom->dest->lanes.waiting); l != NULL; l = next) {
		next = TAILQ_NEXT(l, link);
		if (l->domain != dom)
			continue;
		lane_leave_queue(l);
		lane_wait(l);
	}
}

void lanes_no_route(struct domain *dom)
{
	struct lane *l;

	while ((l = TAILQ_FIRST(&dom->lanes)) != NULL)
		lane_answer(l, LANE_DOWN, SPAN_LIT("(route) no route"));
}

void lanes_held(struct dest *dst)
{
	struct lane *l;

	while ((l = TAILQ_FIRST(&dst->lanes.waiting)) != NULL)
		lane_answer(l, LANE_DOWN, SPAN_LIT("(route) mail is held"));
}
