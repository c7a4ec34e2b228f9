/* The recipients that the allowlist names for a domain. */
#include "daemon/policy/links.h"

#include "config/allow/domains.h"

/* Nobody can say now whether he exists.  A table that was never fetched says
 * nothing of anybody: that refuses nobody. */
static enum gate_reply say_unknown(const struct config_domain *row,
				   enum listed_as found, struct verdict *v)
{
	if (row->unknown == UNKNOWN_ACCEPT)
		return GATE_GO;
	if (row->unknown == UNKNOWN_REJECT && found == RECIPIENT_NO)
		return gate_refuse(v, V_RCPT_UNKNOWN);
	return gate_refuse(v, V_RCPT_UNTOLD);
}

static enum gate_reply ask_recipients(struct gate_question *q,
				      struct verdict *v)
{
	const struct gate_rcpt *r = q->rcpt;
	enum listed_as found;

	if (r->is_postmaster)
		return GATE_GO;
	found = domains_recipient(q->config->domains, r->row,
				  buf_span(&r->domain), q->to->local);
	if (found == RECIPIENT_YES)
		return GATE_GO;
	if (found == RECIPIENT_UNKNOWN || r->row->verify)
		return say_unknown(r->row, found, v);
	return gate_refuse(v, V_RCPT_UNKNOWN);
}

const struct gate_link link_recipients = {
	.name = "recipients",
	.ask = { [GATE_RCPT] = ask_recipients },
};
