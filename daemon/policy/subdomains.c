/*
 * A line with a star has as many subdomains as anybody makes up, and each of
 * which something waits takes memory until that has left.  So there are as many
 * at a time as an allowlist of that size would bring, and some more.  What is
 * carried to the primary does not wait.
 */
#include "daemon/policy/links.h"
#include "daemon/policy/policy.h"

enum { SUBDOMAINS_MOST = 250000 };

static enum gate_reply ask_subdomains(struct gate_question *q,
				      struct verdict *v)
{
	const struct policy_options *opt = q->link_arg;
	const struct gate_rcpt *r = q->rcpt;
	size_t all = 0;

	if (r->row == NULL || opt->is_there == NULL || r->is_carried ||
	    !span_starts(r->row->name, SPAN_LIT("*.")) ||
	    opt->is_there(buf_span(&r->domain), &all, opt->arg) ||
	    all < q->config->domain_count + SUBDOMAINS_MOST)
		return GATE_GO;
	return gate_refuse_rcpt(q, v, V_SUBDOMAINS);
}

const struct gate_link link_subdomains = {
	.name = "subdomains",
	.ask = { [GATE_RCPT] = ask_subdomains },
};
