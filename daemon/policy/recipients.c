/* The recipients that the allowlist names for a domain. */
#include "daemon/policy/links.h"

#include "config/allow/domains.h"

static enum gate_reply ask_recipients(struct gate_question *q,
				      struct verdict *v)
{
	const struct gate_rcpt *r = q->rcpt;

	if (r->is_postmaster ||
	    domains_has_recipient(q->config->domains, r->row,
				  buf_span(&r->domain), q->to->local))
		return GATE_GO;
	return gate_refuse(v, V_RCPT_UNKNOWN);
}

const struct gate_link link_recipients = {
	.name = "recipients",
	.ask = { [GATE_RCPT] = ask_recipients },
};
