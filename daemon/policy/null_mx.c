/* RFC 7505: a domain that says it takes no mail.  Where the operator says where
 * its mail goes, nobody asks DNS. */
#include "daemon/policy/links.h"

#include "daemon/route/route.h"

static enum gate_reply ask_null_mx(struct gate_question *q, struct verdict *v)
{
	const struct gate_rcpt *r = q->rcpt;
	struct route *route;
	bool is_null;

	if (r->row != NULL && r->row->primary_count > 0)
		return GATE_GO;
	route = router_cached(q->link_arg, buf_span(&r->domain));
	is_null = route != NULL && route->result == ROUTE_NULL_MX;
	route_unref(&route);
	return is_null ? gate_refuse(v, V_NULL_MX) : GATE_GO;
}

const struct gate_link link_null_mx = {
	.name = "null_mx",
	.ask = { [GATE_RCPT] = ask_null_mx },
};
