/*
 * An outage of a destination, as the spool keeps it: written by the daemon
 * (daemon/history), read by whoever shows it.
 *
 * The fact "outage:HHHHHHHHHHHHHHHH", where H are the bits of the id turned
 * over, in hexadecimal: the order of the keys is the newest first.  The value
 * is text, a line each:
 *
 *   1790000000000 1790003600000 1790003590000 12 12 1 3605000 0
 *   mx.example.org:25 tls=may
 *   (connect) Connection refused
 *   example.org example.net
 *
 * began, ended (0: it goes on), when it was last known to be down, messages,
 * how many of them have left, refused, worst wait, names that are left out of
 * the last line.
 */
#ifndef MX_STATUS_OUTAGE_H
#define MX_STATUS_OUTAGE_H

#include <jansson.h>

#include "common/base/err.h"
#include "common/status/status.h"

enum {
	OUTAGE_DOMAINS_MAX = 50, /* that are named */
	OUTAGE_KEY_MAX = 32,
};
#define OUTAGE_KEPT_MS DAYS(366)
#define OUTAGE_PREFIX SPAN_LIT("outage:")

/* A value; the spans borrow.  Times are wall milliseconds. */
struct outage {
	uint64_t id; /* rises with began_ms; unique */
	int64_t began_ms, ended_ms, seen_ms;
	uint64_t messages; /* that it made wait */
	uint64_t left;	   /* of these, that do not any more */
	uint64_t refused;  /* recipients of these, for good, afterwards */
	int64_t worst_ms;  /* how long the worst of them waited */
	struct span destination, reply;
	struct span domains; /* with a space between them */
	uint64_t domains_left_out;
};

void outage_key(struct buf *out, uint64_t id);
/* Append the value.  What would not be read back as it is becomes a space. */
void outage_put(struct buf *out, const struct outage *o);
/* False: it is none.  o borrows from the value. */
bool outage_get(struct span key, struct span value, struct outage *o);
/* Is it such a fact, and too old to be kept?  Pure. */
bool outage_is_over(struct span key, struct span value, int64_t now_ms);
/* Is the domain one of those named? */
bool outage_names(const struct outage *o, struct span domain);

/*
 * A page of outages, the newest first: of all, or of a domain.  A domain's are
 * those that name it, and where there were too many to name, those of its
 * destination.  A page may be empty and have a next one.  Of one that goes on,
 * "messages" has what waits for the domains that are named, too.
 */
enum { STATUS_OUTAGES = 16 };
enum mx_err status_outages(struct spool *sp, struct span domain,
			   struct span after, struct status_page *out);

#endif
