/* Short looks at the spool through one cached read transaction. */
#ifndef MX_SPOOL_LOOK_H
#define MX_SPOOL_LOOK_H

#include <lmdb.h>

#include "common/spool/spool.h"

/* A read transaction.  When there is no slot, those of readers that were
 * killed are taken back.  What LMDB says; *txn is NULL on failure. */
int read_txn_new(MDB_env *env, MDB_txn **txn);

/* A short look at the spool: every read_begin that succeeded has its read_end
 * before the return to the loop. */
enum mx_err read_begin(struct spool *sp, MDB_txn **txn);
void read_end(struct spool *sp);

#endif
