#include "daemon/drain/answers.h"

#include "common/base/clock.h"
#include "daemon/drain/drain_priv.h"

bool dest_is_down(const struct dest *dst)
{
	return dst->machine.state == DRAIN_DOWN ||
	       (dst->machine.state != DRAIN_UP && dst->logged == DRAIN_DOWN);
}

/* One that nobody has asked for long is not down any more, and nobody knows. */
enum drain_answers dest_answers(struct dest *dst)
{
	const struct machine *m = &dst->machine;

	if (hold_of(dst) != NULL || dst->flow.stop != NULL)
		return ANSWERS_NO;
	if (m->state == DRAIN_UP &&
	    machine_has_heard(m, clock_mono_ms() - ANSWERS_MS))
		return ANSWERS_YES;
	if (m->state == DRAIN_UNKNOWN || !dest_is_down(dst))
		return ANSWERS_UNKNOWN;
	return ANSWERS_NO;
}

static bool is_held(struct drain *d, struct span name)
{
	struct spool_domain row;

	return stops_of_domain(d, name) != NULL ||
	       (spool_domain_get(d->spool, name, &row) == MX_OK && row.is_held);
}

/* A domain without mail is not known here, but its destination may be. */
static enum drain_answers by_route(struct drain *d, struct span name)
{
	struct route *route = router_cached(d->router, name);
	enum drain_answers answers = ANSWERS_UNKNOWN;
	struct dest *dst;

	if (route == NULL)
		return ANSWERS_UNKNOWN;
	dst = dest_find(d, route);
	if (route->result == ROUTE_OK && dst != NULL)
		answers = dest_answers(dst);
	route_unref(&route);
	return answers;
}

enum drain_answers drain_answers(struct drain *d, struct span name)
{
	const struct domain *dom = domain_find(d, name);

	if (!drain_is_at_work(d) || is_held(d, name))
		return ANSWERS_NO;
	if (dom == NULL)
		return by_route(d, name);
	if (dom->dest != NULL)
		return dest_answers(dom->dest);
	return dom->route == NULL || domain_is_old(dom) ? ANSWERS_UNKNOWN
							: ANSWERS_NO;
}

/* Enough of what was relayed was lost: others find out what is wrong. */
static bool is_paused(struct drain *d, struct span name)
{
	const struct domain *dom = domain_find(d, name);

	return dom != NULL && dom->dest != NULL &&
	       clock_mono_ms() < dom->dest->lanes.pause_ms;
}

bool drain_may_answer(struct drain *d, struct span name)
{
	return drain_answers(d, name) != ANSWERS_NO && !is_paused(d, name);
}
