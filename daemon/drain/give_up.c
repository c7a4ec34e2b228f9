
#include "common/base/clock.h"
#include "common/base/log.h"
#include "daemon/drain/conclude.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/give_up.h"

/* ---- The end of a lifetime ---- */

/* RFC 3463: when we would get it ourselves that is 4.4.6. */
static struct span why_no_route(const struct domain *dom, struct unit *u)
{
	const struct route *r = dom->route;
	struct buf text = { 0 };
	struct span reply;

	buf_adds(&text,
		 r->result == ROUTE_SELF ? "(route) 4.4.6 " : "(route) ");
	buf_add(&text, r->reason);
	reply = arena_span(&u->arena, buf_span(&text));
	buf_fini(&text);
	return reply;
}

/* What was last heard of its primary. */
struct span give_up_reason(struct drain *d, struct unit *u)
{
	const struct domain *dom = domain_find(d, u->domain);

	if (dom != NULL && dom->dest == NULL && dom->route != NULL)
		return why_no_route(dom, u);
	if (dom == NULL || dom->dest == NULL ||
	    dom->dest->last_reply[0] == '\0')
		return SPAN_LIT("(lifetime) Delivery time expired");
	return arena_span(&u->arena, span_str(dom->dest->last_reply));
}

void give_up_expired(struct domain *dom, struct unit **unit)
{
	struct unit *u = *unit;
	struct span reply = give_up_reason(dom->drain, u);
	struct attempt *a;

	for (size_t i = 0; i < u->rcpt_count; i++)
		if (u->rcpts[i].last_reply.n == 0)
			u->rcpts[i].last_reply = reply;
	a = attempt_new(dom, unit);
	a->cause = REPORT_EXPIRED;
	conclude_with(a, OUTCOME_PERMANENT, span_of(NULL, 0));
}
