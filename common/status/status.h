/*
 * What waits and why, as JSON values: made here and nowhere else, for the
 * answers of mx20d and for mx20ctl, which reads the spool itself when there is
 * no daemon to ask.  mx20ctl(8) describes the members.
 */
#ifndef MX_STATUS_STATUS_H
#define MX_STATUS_STATUS_H

#include <jansson.h>

#include "common/spool/spool.h"
#include "common/status/destination.h"
#include "common/status/filter.h"

/* {"messages","bytes","oldest","used","size","disk_free","reserve","state",
 * "limit"} */
json_t *status_spool(const struct spool_totals *t);

/* Of a daemon that runs: {"ok","hostname","version","running","spool",
 * "certificate_end","tables_failing"}. */
struct config;
json_t *status_overview(const struct config *c, const struct spool_totals *t);

/* An array of {"target","state","since","checked","last_reply"} */
json_t *status_targets(const struct status_destination *d);

/* Set "state","down","since","next_probe","checked","last_reply","braked" and,
 * if it is, "refusals": an array of {"reply","count"}. */
void status_set_state(json_t *o, const struct status_destination *d);

/* A row, and how its destination does, in one object. */
json_t *status_domain(const struct spool_domain *row,
		      const struct status_destination *d);

/* How does the destination of this domain do?  out is that of which nothing is
 * known; what it borrows from arg lasts until the next call. */
typedef void status_state_fn(const struct spool_domain *row,
			     struct status_destination *out, void *arg);

/* ---- Looks at the spool, each bounded ---- */

enum {
	STATUS_ROWS = 64,	 /* domains of a page */
	STATUS_MESSAGES = 32,	 /* messages of a page; fewer when they have */
	STATUS_RECIPIENTS = 256, /* many recipients: one message at least */
	STATUS_LOOKED_AT = 512	 /* units and recipients, for those of some
				    kind */
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
/* The same of messages with recipients that the filter lets pass, and of these
 * alone.  A page may be empty and have a next one. */
enum mx_err status_search(struct spool *sp, struct span domain, uint64_t after,
			  size_t most, struct status_filter *filter,
			  struct status_page *out);
/* One message. */
enum mx_err status_message(struct spool *sp, uint64_t id, size_t most,
			   json_t **out);

#endif
