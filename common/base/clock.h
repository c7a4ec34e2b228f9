/* Two clocks: the wall for what is stored, monotonic for what is awaited. */
#ifndef MX_BASE_CLOCK_H
#define MX_BASE_CLOCK_H

#include <stdint.h>

#include "common/base/buf.h"

#define SECONDS(n) ((int64_t)(n) * 1000)
#define MINUTES(n) SECONDS((int64_t)(n) * 60)
#define HOURS(n) MINUTES((int64_t)(n) * 60)
#define DAYS(n) HOURS((int64_t)(n) * 24)

/* Milliseconds since 1970 UTC. */
int64_t clock_wall_ms(void);

/* Since some fixed point; never goes back. */
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);

/* The same, and it goes on while the machine sleeps. */
int64_t clock_boot_ms(void);

/* Append wall_ms as RFC 3339 UTC with whole seconds: 2026-11-21T21:34:38Z. */
void clock_rfc3339(struct buf *out, int64_t wall_ms);

#endif
