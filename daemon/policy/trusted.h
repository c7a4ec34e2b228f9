/* Whom the gates against strangers do not ask. */
#ifndef MX_POLICY_TRUSTED_H
#define MX_POLICY_TRUSTED_H

#include "daemon/policy/policy.h"

/* Is the client in a network of policy.trusted, or one of the hosts that mail
 * goes to? */
bool trusted_is(const struct policy_options *opt,
		const struct gate_question *q);

#endif
