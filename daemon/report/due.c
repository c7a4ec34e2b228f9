/* Who wants to know. */
#include "daemon/report/report.h"

/*
 * RFC 3461 section 4.1.  Without NOTIFY failures are reported, and delays if
 * the configuration asks for warnings at all (the caller's business).
 */
bool report_is_due(const struct envelope *env, const struct recipient *rcpt,
		   enum report_action action)
{
	static const unsigned wanted[] = {
		[REPORT_FAILED] = SMTP_NOTIFY_FAILURE,
		[REPORT_DELAYED] = SMTP_NOTIFY_DELAY,
		[REPORT_RELAYED] = SMTP_NOTIFY_SUCCESS,
	};

	/* RFC 5321 section 6.1: never to the null reverse-path.  One without
	 * a domain leads nowhere. */
	if (env->is_dsn || span_find(env->from, '@') == env->from.n)
		return false;
	if (rcpt->notify == 0)
		return action != REPORT_RELAYED;
	if (rcpt->notify & SMTP_NOTIFY_NEVER)
		return false;
	return (rcpt->notify & wanted[action]) != 0;
}
