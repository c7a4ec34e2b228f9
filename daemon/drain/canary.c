#include "daemon/drain/canary.h"

#include "common/base/assert.h"
#include "daemon/drain/drain_priv.h"

void canary_look_out(struct dest *dst)
{
	const struct config *c = dst->drain->config;
	const struct machine *m = &dst->machine;

	if (m->state == DRAIN_UP || dst->live > 0 || !flow_is_watched(dst->drain) ||
	    slots_is_strangers(dst))
		return;
	if (m->since_ms != 0 &&
	    clock_mono_ms() - m->since_ms <= c->drain.canary_after_ms)
		return;
	dst->flow.is_canary = true;
	dst->flow.tries = 0;
}

void canary_sent(struct attempt *a)
{
	struct domain *dom = a->domain;

	MX_ASSERT(dom->dest != NULL && flow_is_open(&dom->dest->flow));
	if (dom->dest->flow.is_canary)
		dom->dest->flow.ahead = a;
	if (dom->flow.is_canary)
		dom->flow.ahead = a;
}

/* However it ended; what hears nothing but 4yz does not keep all others
 * waiting for ever. */
static bool come_back(struct drain *d, struct flow *f, const struct attempt *a)
{
	bool was_ahead = f->ahead == a;

	if (was_ahead)
		f->ahead = NULL;
	if (delivery_job_count(a->job, OUTCOME_DELIVERED) > 0 ||
	    (was_ahead && ++f->tries > 2 * d->config->drain.brake_least))
		f->is_canary = false;
	return was_ahead;
}

void canary_back(struct dest *dst, struct attempt *a)
{
	struct domain *dom = a->domain;
	bool was_ahead = come_back(dst->drain, &dst->flow, a);

	was_ahead |= come_back(dst->drain, &dom->flow, a);
	if (!was_ahead)
		return;
	if (dom->has_mail)
		domain_enter_ring(dom);
	turns_touch(dst);
}

void canary_relayed(struct domain *dom)
{
	dom->flow.is_canary = false;
	if (dom->dest != NULL)
		dom->dest->flow.is_canary = false;
}
