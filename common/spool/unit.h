/*
 * Units inside the writer's transaction.  Where one stands is said by the rows
 * that name it:
 *
 *   ready      a row in ready
 *   deferred   a row in parked with the due time, one in deferred
 *   held       a row in parked that says so; no rows in expiry
 *   refused    the same, and a row in expiry for its parked recipients
 *
 * A unit in any state has that last row while a recipient is parked; it is
 * struck off when it is met and the unit is held.
 *
 * so that the ordinary unit, which is ready all its life, costs one row.
 */
#ifndef MX_SPOOL_UNIT_H
#define MX_SPOOL_UNIT_H

#include "common/spool/find.h"

/* When a unit ends, and when its senders are warned (0: never): the times of
 * its rows in expiry.  All of its recipients have them.  parked_ms: when the
 * first of its parked recipients is due; 0: none is parked. */
struct ends {
	int64_t expires_ms, warn_ms, parked_ms;
};

/* A unit that arrives: all its rows but the recipients. */
enum mx_err unit_put(struct batch *b, const struct found *u,
		     const struct ends *ends, int64_t arrived_ms,
		     uint64_t bytes);
/* Move a unit from where it is to where it shall be; *u says so from then on.
 * due_ms: deferred only. */
enum mx_err unit_move(struct batch *b, struct found *u, enum unit_state to,
		      int64_t due_ms);
/* Say why a unit that is held is held. */
enum mx_err unit_hold_reason(struct batch *b, const struct found *u,
			     struct span reason);
/* A unit without recipients goes; with the last one the message. */
enum mx_err unit_drop(struct batch *b, const struct found *u,
		      const struct ends *ends);

/* A unit with all of its recipients goes, without a report. */
enum mx_err unit_remove(struct batch *b, const struct found *u);

/* What is to become of a recipient's row: it may have been changed in place. */
enum keep { KEEP_AS_IT_IS, KEEP_CHANGED, KEEP_NOT };
typedef enum keep unit_recipient_fn(struct recipient_row *row, void *arg);
/* Show all recipients of a unit to fn, in the order of their numbers.  *ends:
 * as they were, 0 without any; the row for those that are parked follows what
 * fn does, and parked_ms says what it is then. */
enum mx_err unit_recipients(struct batch *b, const struct found *u,
			    unit_recipient_fn *fn, void *arg,
			    struct ends *ends);

/* The same, and nothing is changed.  MX_ENOENT: it has none. */
enum mx_err unit_ends(struct batch *b, const struct found *u,
		      struct ends *ends);
/* The rows of the lifetime, not that of parked recipients. */
enum mx_err unit_expiry_put(struct batch *b, const struct found *u,
			    const struct ends *ends);
enum mx_err unit_expiry_del(struct batch *b, const struct found *u,
			    const struct ends *ends);

#endif
