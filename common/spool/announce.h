/* The lease's clockwork: who is to hear of mail again. */
#ifndef MX_SPOOL_ANNOUNCE_H
#define MX_SPOOL_ANNOUNCE_H

#include "common/spool/spool.h"

/* The lease is over, from now on, until spool_mirror_lease says otherwise. */
void announce_start(struct spool *sp);
void announce_stop(struct spool *sp);

#endif
