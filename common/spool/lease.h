/* Mail that others may have by now is not shown. */
#ifndef MX_SPOOL_LEASE_H
#define MX_SPOOL_LEASE_H

#include "common/spool/spool_priv.h"

/* On the loop, but for lease_set, which one thread may call. */

int64_t lease_now_ms(const struct spool *sp);
/* Until when it is ours, and for how long nothing goes behind that.  The mirror
 * answers. */
void lease_set(struct spool *sp, int64_t until_ms, int64_t patience_ms);
/* It does not: nothing that is in it goes until lease_set.  Any thread. */
void lease_cut(struct spool *sp);
/* Is the lease over, and patience not?  Then only what is absent from the
 * mirror may go. */
bool lease_is_over(struct spool *sp);
/* May this message go, though it is over? */
bool lease_is_ours(struct spool *sp, MDB_txn *txn, uint64_t id);
/*
 * The nearest id, from this one on (or down), that might: what lies between
 * may not.  UINT64_MAX, or 0: there is none.
 */
uint64_t lease_next(struct spool *sp, MDB_txn *txn, uint64_t id, bool is_down);

#endif
