/* The pages of the file that this process has mapped. */
#ifndef MX_SPOOL_MAPPING_H
#define MX_SPOOL_MAPPING_H

#include "common/spool/spool.h"

void mapping_find(struct spool *sp);
/* Keep the resident part of the map small.  Any thread. */
void mapping_trim(struct spool *sp);

#endif
