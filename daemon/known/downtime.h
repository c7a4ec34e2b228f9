/*
 * For how long a destination has been down in all, so that what is known of its
 * recipients ages only while it is up, and nothing has to be walked through
 * when it goes or comes back.
 *
 * Times are wall milliseconds.  Kept as the facts "down:NUMBER", written only
 * when the state changes: a restart, or a destination nobody talks to, leaves
 * it as it was last heard to be.
 */
#ifndef MX_KNOWN_DOWNTIME_H
#define MX_KNOWN_DOWNTIME_H

#include "common/spool/spool.h"

struct downtime; /* of all destinations */

struct downtime *downtime_new(struct spool *sp);
void downtime_free(struct downtime **d);

/* A destination is a number that outlives a restart; 0 is none. */
void downtime_note(struct downtime *d, uint64_t destination, bool is_down,
		   int64_t now_ms);

/* In all, until now; counted on if it is down now. */
int64_t downtime_total(struct downtime *d, uint64_t destination,
		       int64_t now_ms);
/* The same without the outage that lasts, if it does. */
int64_t downtime_past(struct downtime *d, uint64_t destination);
bool downtime_is_down(struct downtime *d, uint64_t destination);

/* Is it a fact of this room, and of no use any more?  Pure. */
bool downtime_is_over(struct span key, struct span value, int64_t now_ms);

#endif
