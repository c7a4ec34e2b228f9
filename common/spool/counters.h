/*
 * The rows of domains as a transaction changes them: each is read once, and
 * written once at the end.
 */
#ifndef MX_SPOOL_COUNTERS_H
#define MX_SPOOL_COUNTERS_H

#include "common/spool/spool_priv.h"

/* The row of a domain, an empty one if there is none.  MX_ECORRUPT. */
enum mx_err counters_get(struct batch *b, struct span domain,
			 struct domain_row **row);
/* After the commit tell the subscriber that units of it became ready. */
void counters_announce(struct batch *b, struct span domain);
/* The message was the domain's oldest and is gone from it. */
void counters_oldest_left(struct batch *b, struct span domain);

/* The end of the transaction: write them, or take them out. */
enum mx_err counters_store(struct batch *b);
/* Append to ready the names to announce, each with NUL; ready is NULL when the
 * transaction did not happen. */
void counters_free(struct batch *b, struct buf *ready);

#endif
