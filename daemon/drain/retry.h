/* How long a recipient that failed before waits. */
#ifndef MX_DRAIN_RETRY_H
#define MX_DRAIN_RETRY_H

#include "common/spool/spool.h"
#include "config/config.h"

/* The longest wait there is. */
int64_t retry_longest_ms(const struct config *c);
/* The wait behind so many failures. */
int64_t retry_step_ms(const struct config *c, uint32_t attempts);
/* When a recipient that failed before may be tried again (wall). */
int64_t retry_due_ms(const struct config *c, const struct recipient *r);

#endif
