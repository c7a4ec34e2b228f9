/* One transaction for everything that waits. */
#ifndef MX_SPOOL_BATCH_H
#define MX_SPOOL_BATCH_H

#include "common/spool/spool_priv.h"

/* Run everything in list in as few transactions as can be; sets r->err and
 * r->again.  Appends to ready the domains to announce. */
void batch_run(struct spool *sp, struct request_list *list, struct buf *ready);

#endif
