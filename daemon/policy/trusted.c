#include "daemon/policy/trusted.h"

bool trusted_is(const struct policy_options *opt, const struct gate_question *q)
{
	const struct config *c = q->config;

	for (size_t i = 0; i < c->policy.trusted_count; i++)
		if (net_cidr_has(&c->policy.trusted[i], q->client))
			return true;
	return opt->is_target != NULL && opt->is_target(q->client, opt->arg);
}
