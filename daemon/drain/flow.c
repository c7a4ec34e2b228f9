#include <stdlib.h>

#include "common/base/assert.h"
#include "daemon/drain/drain_priv.h"

bool flow_is_watched(const struct drain *d)
{
	return d->config->drain.brake_window_ms > 0;
}

void flow_drop_watch(struct drain *d, struct flow *f)
{
	if (f->watch != NULL && f->is_strangers) {
		MX_ASSERT(d->watches > 0);
		d->watches--;
	}
	f->is_strangers = false;
	free(f->watch);
	f->watch = NULL;
}

const struct braked *flow_stopped_by(const struct domain *dom)
{
	if (dom->flow.stop != NULL)
		return &dom->flow.stop->why;
	if (dom->dest != NULL && dom->dest->flow.stop != NULL)
		return &dom->dest->flow.stop->why;
	return NULL;
}

bool flow_knows_its_own(const struct domain *dom)
{
	return flow_stopped_by(dom) == NULL && !dom->flow.is_canary &&
	       (dom->dest == NULL || !dom->dest->flow.is_canary);
}

void flow_unrefuse(struct drain *d, struct span domain)
{
	spool_unrefuse(d->spool, domain, 0, NULL, NULL);
}

void flow_recall(struct drain *d, const struct spool_domain *row)
{
	struct span name = span_str(row->name);

	if (stops_of_domain(d, name) != NULL ||
	    stops_of_route(d, span_str(row->destination)) != NULL)
		flow_unrefuse(d, name);
}

void flow_recorded(const struct domain *dom)
{
	if (flow_stopped_by(dom) != NULL)
		flow_unrefuse(dom->drain, domain_name(dom));
}
