/* The writer's thread. */
#ifndef MX_SPOOL_WRITER_H
#define MX_SPOOL_WRITER_H

#include "common/spool/spool.h"

enum mx_err writer_start(struct spool *sp);
/* All that was asked for is committed and finished. */
void writer_stop(struct spool *sp);

#endif
