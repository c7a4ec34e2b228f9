/* The mirror's part of a transaction: what it is told, or what is noted. */
#ifndef MX_SPOOL_STEP_H
#define MX_SPOOL_STEP_H

#include "common/spool/spool_priv.h"

/* All of these are for the writer thread, in this order. */

/* Before the first request is applied. */
void step_begin(struct batch *b);
/* All are applied: make the parcel, or the notes. */
enum mx_err step_prepare(struct batch *b);
/* Before the commit: hand the parcel over.  MX_EMIRROR: the mirror comes first
 * and did not take it. */
enum mx_err step_ahead(struct batch *b);
/* After the commit, or without one. */
void step_end(struct batch *b, bool is_committed);

/* Is new mail refused now? */
bool step_refuses(struct spool *sp);
/* Is there something that has to be noted in a transaction of its own? */
bool step_is_due(const struct spool *sp);

/* At the opening: what the row of meta says. */
enum mx_err step_learn(struct spool *sp, MDB_txn *txn);
/* At its end. */
void step_free(struct spool *sp);

#endif
