/*
 * The one way in which a unit ends without having been delivered: refused by a
 * host, at the end of its lifetime, or at the operator's word.  What becomes of
 * it is decided here: a report to the sender, a hold, or silence.
 *
 *            refused   lifetime over    operator
 *   dsn      report    report           report
 *   hold     held      held             report
 *
 * (bounce.mode).  Silence instead of a report: our own reports, <>, and whoever
 * wants none (report_is_due).
 */
#ifndef MX_DRAIN_GIVE_UP_H
#define MX_DRAIN_GIVE_UP_H

#include "daemon/drain/attempt.h"

/* Its recipients that failed for good are held, if the mode says so. */
void give_up_failed(struct attempt *a);
/* Its lifetime is over.  Takes the unit. */
void give_up_expired(struct domain *dom, struct unit **unit);
/* What is known of why it waits, for those that were never tried; lives as long
 * as the unit. */
struct span give_up_reason(struct drain *d, struct unit *u);

/* Is anything of the outcome to be reported (delivered without a report by the
 * next hop included, RFC 3461 section 5.2.2)? */
bool give_up_has_report(const struct attempt *a);
/* Is recipient i in it? */
bool give_up_is_reported(const struct attempt *a, size_t i);
/* The queue id of the report that is about this recipient; 0: none is. */
uint64_t give_up_report_of(const struct attempt *a, size_t i);
/*
 * Make the report about it and its followers, for spool_settle; none is due:
 * MX_OK, and out->draft is NULL.  Errors of report_make.  a->report_id is set,
 * unless its report is that of another.
 */
enum mx_err give_up_report(struct attempt *a, int64_t now_ms,
			   struct spool_report *out);

#endif
