/* What became of an attempt: the log, the report, the retry, the commit. */
#ifndef MX_DRAIN_CONCLUDE_H
#define MX_DRAIN_CONCLUDE_H

#include "daemon/drain/attempt.h"

/* Takes the attempt; everything else is in its job. */
void conclude(struct attempt *a);
/* Conclude all recipients alike, without a connection (no route, expired).  An
 * empty reply: each with its last one. */
void conclude_with(struct attempt *a, enum outcome outcome, struct span reply);

/* ---- conclude_record.c ---- */
/* Does anything of the unit stay? */
bool conclude_is_partial(const struct attempt *a);
/* Was recipient i taken, and is nobody to be told? */
bool conclude_is_taken(const struct attempt *a, size_t i);
/* Record those alone; the others stay as they are.  then: also on failure. */
void conclude_taken(struct attempt *a, void (*then)(struct attempt *a));
/* Record it; with a report about it and its followers, unless it follows. */
void conclude_submit(struct attempt *a);

#endif
