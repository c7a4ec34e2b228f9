/* Which domains a destination serves. */
#include "common/base/assert.h"
#include "daemon/drain/deferral.h"
#include "daemon/drain/drain_priv.h"

static struct machine_params params_of(const struct dest *dst)
{
	const struct config *c = dst->drain->config;

	return (struct machine_params){
		.probe_max_ms = c->drain.probe_max_ms,
		.probe_busy_ms = c->drain.probe_busy_ms,
		.connect_timeout_ms = c->drain.connect_timeout_ms,
		.connections = slots_each(dst),
	};
}

void dest_set_params(struct dest *dst)
{
	dst->machine.params = params_of(dst);
	if (dst->machine.limit > dst->machine.params.connections)
		dst->machine.limit = dst->machine.params.connections;
}

struct dest *dest_find(struct drain *d, const struct route *route)
{
	struct dest *dst;

	HASH_FIND(hh, d->dests, route->key.p, route->key.n, dst);
	return dst;
}

static void count(struct domain *dom, bool is_listed)
{
	if (dom->is_counted == is_listed)
		return;
	MX_ASSERT(is_listed || dom->dest->listed > 0);
	dom->is_counted = is_listed;
	dom->dest->listed += is_listed ? 1 : -1U;
	dest_set_params(dom->dest);
}

void dest_weigh(struct domain *dom)
{
	count(dom, !dom->is_stranger);
}

void dest_join(struct dest *dst, struct domain *dom)
{
	MX_ASSERT(dst->magic == DEST_MAGIC && dom->dest == NULL);
	dom->dest = dst;
	LIST_INSERT_HEAD(&dst->domains, dom, member);
	dest_weigh(dom);
}

void dest_quit(struct domain *dom)
{
	if (dom->dest == NULL)
		return;
	deferral_leave(dom);
	MX_ASSERT(dom->dest->magic == DEST_MAGIC);
	domain_leave_ring(dom);
	LIST_REMOVE(dom, member);
	count(dom, false);
	dom->dest = NULL; /* the sweep frees what nobody belongs to */
}
