/* The words of every verdict, in one table. */
#ifndef MX_POLICY_VERDICTS_H
#define MX_POLICY_VERDICTS_H

#include "daemon/policy/policy.h"

enum verdict_id {
	V_GO,
	V_BUSY,
	V_CLIENT_BUSY,
	V_CLIENT_FAST,
	V_RCPT_EMPTY,
	V_RCPT_NO_DOMAIN,
	V_RCPT_BAD_DOMAIN,
	V_RCPT_LITERAL,
	V_RCPT_FOREIGN,
	V_RCPT_LEFT, /* foreign since a moment ago */
	V_RCPT_UNKNOWN,
	V_NULL_MX, /* RFC 7505 section 4.1 */
};

struct verdict verdict(enum verdict_id id);

#endif
