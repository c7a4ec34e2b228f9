/*
 * What waits and why, as JSON values: made here and nowhere else, for the
 * answers of mx20d and for mx20ctl, which reads the spool itself when there is
 * no daemon to ask.  mx20ctl(8) describes the members.
 */
#ifndef MX_STATUS_STATUS_H
#define MX_STATUS_STATUS_H

#include <jansson.h>

#include "common/spool/spool.h"

/* {"messages","bytes","oldest","used","size","disk_free","reserve","state",
 * "limit"} */
json_t *status_spool(const struct spool_totals *t);

/* {"target","state","since","checked","last_reply"} */
json_t *status_target(struct span name, const char *state, int64_t since_ms,
		      int64_t checked_ms, struct span last_reply);

/*
 * How the destination of a domain does: {"state","down","since","next_probe",
 * "checked","last_reply","targets"}, and where it is known "destination",
 * "destination_hold", "listed", "connections".  The caller's.
 */
typedef json_t *status_state_fn(const struct spool_domain *row, void *arg);

/* A row and its state in one object; takes the state. */
json_t *status_domain(const struct spool_domain *row, json_t *state);

/* Does mail go from here to a destination of this name, as scope.h has it?
 * o has "destination" and "targets". */
bool status_goes_to(const json_t *o, struct span name);

/* ---- Looks at the spool, each bounded ---- */

enum {
	STATUS_ROWS = 64,	/* domains of a page */
	STATUS_MESSAGES = 32,	/* messages of a page; fewer when they have */
	STATUS_RECIPIENTS = 256 /* many recipients: one message at least */
};

/* All zero is empty. */
struct status_page {
	json_t *items;	 /* an array */
	struct buf next; /* what the next page is behind; empty: the end */
};
void status_page_fini(struct status_page *p);

/*
 * Domains with mail or a hold behind the row of this name (empty: from the
 * first on).  Among them are the holds of destinations, which have no
 * "domain": {"destination","reason"}.
 */
enum mx_err status_domains(struct spool *sp, struct span after,
			   status_state_fn *state, void *arg,
			   struct status_page *out);
/* One domain or pattern; of zeros when nothing is known of it. */
enum mx_err status_domain_get(struct spool *sp, struct span name,
			      status_state_fn *state, void *arg, json_t **out);

/*
 * Messages with their pending recipients, of one domain or (empty) of all.  Of
 * one message so many recipients are shown at most; "recipients_left_out" is
 * how many more there are.  On an error what was read before it is there, too.
 */
enum mx_err status_messages(struct spool *sp, struct span domain,
			    uint64_t after, size_t most,
			    struct status_page *out);
/* One message. */
enum mx_err status_message(struct spool *sp, uint64_t id, size_t most,
			   json_t **out);

#endif
