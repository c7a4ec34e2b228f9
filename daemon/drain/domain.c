/* A domain with mail: its place in the ring, and its ready units in pages. */
#include <stdlib.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/drain/drain_priv.h"

struct span domain_name(const struct domain *dom)
{
	return span_of(dom->name, dom->name_len);
}

struct domain *domain_find(struct drain *d, struct span name)
{
	struct domain *dom;

	HASH_FIND(hh, d->domains, name.p, name.n, dom);
	return dom;
}

bool domain_is_old(const struct domain *dom)
{
	return dom->route == NULL || clock_mono_ms() >= dom->ask_ms ||
	       dom->route->findings != router_findings(dom->drain->router);
}

/* ---- The ring of its destination ---- */

void domain_enter_ring(struct domain *dom)
{
	if (dom->in_ring || dom->dest == NULL || dom->is_asking ||
	    dom->wants_ask || !flow_is_open(&dom->flow))
		return;
	TAILQ_INSERT_TAIL(&dom->dest->ring, dom, ring);
	dom->in_ring = true;
}

void domain_leave_ring(struct domain *dom)
{
	if (!dom->in_ring)
		return;
	MX_ASSERT(dom->dest != NULL);
	TAILQ_REMOVE(&dom->dest->ring, dom, ring);
	dom->in_ring = false;
}

/* ---- Pages ---- */

static void ready_ids_clear(struct ready_ids *c)
{
	free(c->page);
	*c = (struct ready_ids){ 0 };
}

void domain_run_dry(struct domain *dom)
{
	if (dom->drain->is_blind)
		return;
	dom->has_mail = false;
	dom->idle_ms = clock_mono_ms();
	ready_ids_clear(&dom->oldest);
	ready_ids_clear(&dom->newest);
}

void domain_start_over(struct domain *dom)
{
	ready_ids_clear(&dom->oldest);
	ready_ids_clear(&dom->newest);
	dom->is_rewound = false;
	dom->rewound_ms = clock_mono_ms();
}

void domain_reread(struct domain *dom)
{
	ready_ids_clear(&dom->oldest);
}
