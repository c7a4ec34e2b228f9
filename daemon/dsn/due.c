/* Who wants to know. */
#include "daemon/dsn/dsn.h"

/*
 * RFC 3461 section 4.1.  Without NOTIFY failures are reported, and delays if
 * the configuration asks for warnings at all (the caller's business).
 */
bool dsn_is_due(const struct envelope *env, const struct recipient *rcpt,
		enum dsn_action action)
{
	static const unsigned wanted[] = {
		[DSN_FAILED] = SMTP_NOTIFY_FAILURE,
		[DSN_DELAYED] = SMTP_NOTIFY_DELAY,
		[DSN_RELAYED] = SMTP_NOTIFY_SUCCESS,
	};

	/* RFC 5321 section 6.1: never to the null reverse-path.  One without
	 * a domain leads nowhere. */
	if (env->is_dsn || span_find(env->from, '@') == env->from.n)
		return false;
	if (rcpt->notify == 0)
		return action != DSN_RELAYED;
	if (rcpt->notify & SMTP_NOTIFY_NEVER)
		return false;
	return (rcpt->notify & wanted[action]) != 0;
}
