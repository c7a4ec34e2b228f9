/* Mail is taken for domains of the allowlist, and for nobody else's. */
#include "daemon/policy/links.h"
#include "daemon/policy/policy.h"

/* Who made the list shorter may not have meant it, as long as mail waits here
 * for the line that went. */
static bool has_left(const struct policy_options *opt, struct span domain)
{
	return opt->is_left != NULL && opt->is_left(domain, opt->arg);
}

static enum gate_reply ask_listed(struct gate_question *q, struct verdict *v)
{
	const struct gate_rcpt *r = q->rcpt;

	if (r->row != NULL || r->is_postmaster)
		return GATE_GO;
	return gate_refuse(v, has_left(q->link_arg, buf_span(&r->domain))
				      ? V_RCPT_LEFT
				      : V_RCPT_FOREIGN);
}

const struct gate_link link_listed = {
	.name = "listed",
	.ask = { [GATE_RCPT] = ask_listed },
};
