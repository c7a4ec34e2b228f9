/* Who wants no mail in clear text says so before its sender is named (RFC 3207
 * section 4). */
#include "daemon/policy/links.h"

static bool is_required(const struct config *c)
{
	return c->policy.require_tls;
}

static enum gate_reply ask_tls(struct gate_question *q, struct verdict *v)
{
	return q->tls != NULL ? GATE_GO : gate_refuse(v, V_NO_TLS);
}

const struct gate_link link_require_tls = {
	.name = "require_tls",
	.is_on = is_required,
	.ask = { [GATE_MAIL] = ask_tls },
};
