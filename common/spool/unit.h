/*
 * Units inside the writer's transaction.  Where one stands is said by the rows
 * that name it:
 *
 *   ready      a row in ready
 *   deferred   a row in parked with the due time, one in deferred
 *   held       a row in parked that says so; no rows in expiry
 *
 * so that the ordinary unit, which is ready all its life, costs one row.
 */
#ifndef MX_SPOOL_UNIT_H
#define MX_SPOOL_UNIT_H

#include "common/spool/internal.h"

/* Move a unit from where it is to where it shall be. */
enum mx_err unit_move(struct batch *b, uint64_t id, struct span domain,
		      enum unit_state to, int64_t due_ms);
/* Say why a unit that is held is held. */
enum mx_err unit_hold_reason(struct batch *b, uint64_t id, struct span domain,
			     struct span reason);
/*
 * A unit without recipients goes; with the last one the message.  The times
 * are those of its expiry rows.
 */
enum mx_err unit_drop(struct batch *b, uint64_t id, struct span domain,
		      int64_t expires_ms, int64_t warn_ms);
/* Write a recipient, at its number. */
enum mx_err unit_recipient_put(struct batch *b, uint64_t id, struct span domain,
			       const struct recipient_row *row);
enum mx_err unit_expiry_put(struct batch *b, uint64_t id, struct span domain,
			    int64_t expires_ms, int64_t warn_ms);
enum mx_err unit_expiry_del(struct batch *b, uint64_t id, struct span domain,
			    int64_t expires_ms, int64_t warn_ms);

#endif
