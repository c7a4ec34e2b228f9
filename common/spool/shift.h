/* Lifetimes are moved when the clock was wrong. */
#ifndef MX_SPOOL_SHIFT_H
#define MX_SPOOL_SHIFT_H

#include <lmdb.h>

#include "common/spool/spool.h"

/* At the start: what was left undone. */
enum mx_err shift_learn(struct spool *sp, MDB_txn *txn);
/* Loop: now_trusted; what waits for a doubt to end is begun. */
int64_t shift_look(struct spool *sp, int64_t wall_ms);

#endif
