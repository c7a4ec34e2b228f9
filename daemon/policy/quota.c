/* How much may wait for one domain. */
#include "daemon/policy/links.h"
#include "daemon/policy/policy.h"

static bool has_quota(const struct config *c)
{
	return domains_have_quota(c->domains);
}

/* What was not announced is taken for small: the end will tell.  So it will of
 * what is carried to the primary, and waits here only if that cannot take it. */
static enum gate_reply ask_quota(struct gate_question *q, struct verdict *v)
{
	const struct policy_options *opt = q->link_arg;
	const struct gate_rcpt *r = q->rcpt;
	const uint64_t size = q->size > 0 ? q->size : 1;
	uint64_t quota;

	if (r->row == NULL || r->row->quota_bytes == 0 ||
	    opt->waiting == NULL || r->is_carried)
		return GATE_GO;
	quota = r->row->quota_bytes;
	if (size <= quota && opt->waiting(buf_span(&r->domain), opt->arg) <=
				     quota - size)
		return GATE_GO;
	return gate_refuse_rcpt(q, v, V_QUOTA);
}

const struct gate_link link_quota = {
	.name = "quota",
	.is_on = has_quota,
	.ask = { [GATE_RCPT] = ask_quota },
};
