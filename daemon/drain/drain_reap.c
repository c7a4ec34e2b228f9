/* Reports to domains that take no mail at all. */
#include "daemon/drain/conclude.h"
#include "daemon/drain/drain_priv.h"

enum { REAP_MAX = 16 }; /* of a domain in one turn */

/* "(route) 5.1.2 NXDOMAIN for example.org"; lives as long as the unit. */
static struct span denial_reply(struct attempt *a, const struct route *r)
{
	struct buf text = { 0 };
	struct span reply;

	if (r->result == ROUTE_NULL_MX)
		return SPAN_LIT("(route) 5.1.10 Recipient domain takes no "
				"mail (null MX)");
	buf_addf(&text, "(route) 5.1.2 %.*s", SPAN_ARG(r->reason));
	reply = arena_span(&a->job->unit->arena, buf_span(&text));
	buf_fini(&text);
	return reply;
}

/* That of a look-up that is still to be believed. */
static bool is_final(const struct domain *dom)
{
	return dom->standing == HAS_DENIAL && dom->route != NULL &&
	       dom->route->is_final && !dom->is_asking && !dom->wants_ask;
}

static void reap_domain(struct domain *dom)
{
	struct drain *d = dom->drain;
	size_t n = 0;
	struct attempt *a;

	while (n < REAP_MAX && dom->has_mail && is_final(dom) &&
	       drain_is_at_work(d)) {
		if (drain_is_full(d))
			return;
		a = domain_take(dom, false);
		if (a == NULL)
			break;
		n++;
		if (a->job->unit->envelope.is_dsn)
			conclude_with(a, OUTCOME_PERMANENT,
				      denial_reply(a, dom->route));
		else
			attempt_drop(a); /* not to be returned for this */
	}
	if (n == REAP_MAX)
		drain_reap(d);
}

void drain_reap_start(struct drain *d)
{
	static const struct visit_ops reap = { reap_domain, NULL };

	d->reap = &reap;
}
