/* Units and their recipients, found inside a transaction of any kind. */
#ifndef MX_SPOOL_FIND_H
#define MX_SPOOL_FIND_H

#include "common/spool/internal.h"

/* A message and how many units it has left; spans borrow from the row. */
enum mx_err find_message(struct spool *sp, MDB_txn *txn, uint64_t id,
			 struct envelope *env, uint32_t *units);

enum mx_err unit_state_get(struct spool *sp, MDB_txn *txn, uint64_t id,
			   struct span domain, enum unit_state *state,
			   int64_t *due_ms);
/* The domain's first id from `from` on in these tables; UINT64_MAX: none. */
enum { IN_READY = 1, IN_PARKED = 2, IN_BOTH = 3 };
enum mx_err unit_first(struct spool *sp, MDB_txn *txn, unsigned where,
		       struct span domain, uint64_t from, uint64_t *id);
/* Why a unit that is held is held, borrowed from the row. */
enum mx_err unit_hold_reason_get(struct spool *sp, MDB_txn *txn, uint64_t id,
				 struct span domain, struct span *reason);
/* The unit's recipient with this number or the next one.  MX_ENOENT: none.
 * The row borrows until the transaction changes. */
enum mx_err unit_recipient(struct spool *sp, MDB_txn *txn, uint64_t id,
			   struct span domain, uint32_t number,
			   struct recipient_row *row);

#endif
