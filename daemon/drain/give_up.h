/*
 * The one way in which a unit ends without having been delivered: refused by a
 * host, at the end of its lifetime, or at the operator's word.  What becomes of
 * it is decided here: a report to the sender, a hold, or silence.
 *
 *            refused          lifetime over    operator
 *   dsn      report           report           report
 *   proven   report or shelf  report or shelf  report
 *   hold     held             held             report
 *
 * (bounce.mode).  Silence instead of a report: our own reports, <>, and whoever
 * wants none (report_is_due); of those that are not ours, with `proven` it is
 * the shelf.
 *
 * Nothing that takes time stands between the end of a delivery and the disk:
 * what is not final (drain.brake_window), or has to be proven first, is parked
 * in the spool and comes back from there (parked.c):
 *
 *   refused ----> parked --drain.brake_window--> as above
 *   expired ----> parked, if the sender is to be proven
 *   delivered --> parked, if that is to be reported and proven
 */
#ifndef MX_DRAIN_GIVE_UP_H
#define MX_DRAIN_GIVE_UP_H

#include "daemon/drain/attempt.h"

/* What becomes of its recipients that failed for good: parked, held, shelved,
 * or reported at once. */
void give_up_failed(struct attempt *a);
/* The same of parked ones that are due, once it is known whether the sender is
 * proven. */
void give_up_parked(struct attempt *a, enum proof proof);
/* Has that to be asked? */
bool give_up_needs_proof(const struct attempt *a);
/* What is refused, and would be reported, is so later. */
void give_up_defer(struct attempt *a, int64_t wait_ms);
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
/* Why it is given up. */
enum report_cause give_up_cause(const struct attempt *a, size_t i);
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
