/* The spool's trusted clock. */
#ifndef MX_SPOOL_NOW_H
#define MX_SPOOL_NOW_H

#include "common/spool/spool.h"

/* At the start: begin to doubt. */
void now_start(struct spool *sp);
/* Loop: the time that ends lifetimes, while the clock says this. */
int64_t now_trusted(struct spool *sp, int64_t wall_ms);

#endif
