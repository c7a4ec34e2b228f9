/* Numbers as people read them: the log, the service manager, mx20ctl. */
#ifndef MX_BASE_HUMAN_H
#define MX_BASE_HUMAN_H

#include "common/base/buf.h"

/* "0B" "999B" "1.2K" "56M" "64G": at most 4 characters. */
void human_size(struct buf *out, uint64_t bytes);

#endif
