/*
 * Another mailbox within the local part: user%other.example@ours.  A primary
 * that trusts this host may send it on, and any stranger relays through both.
 * Such a mailbox is there if somebody wrote it down; that any is taken, that
 * the user of a tag is listed, or that the primary would take it from us, says
 * nothing of that.
 */
#include "daemon/policy/links.h"

#include "common/smtp/routed.h"
#include "config/allow/domains.h"

static bool is_routed(struct span local)
{
	struct buf canon = { 0 };
	bool is;

	smtp_local_canon(&canon, local);
	is = smtp_is_routed(buf_span(&canon));
	buf_fini(&canon);
	return is;
}

static enum gate_reply ask_routed(struct gate_question *q, struct verdict *v)
{
	const struct gate_rcpt *r = q->rcpt;

	if (!is_routed(q->to->local) ||
	    (r->row != NULL &&
	     domains_is_named(q->config->domains, r->row,
			      buf_span(&r->domain), q->to->local)))
		return GATE_GO;
	return gate_refuse_rcpt(q, v, V_RCPT_ROUTED);
}

const struct gate_link link_routed = {
	.name = "routed",
	.ask = { [GATE_RCPT] = ask_routed },
};
