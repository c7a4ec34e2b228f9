/* Looks at the room of the spool while the daemon runs, and tells the log and
 * the service manager before it is short, and when it is. */
#ifndef MX_WATCH_H
#define MX_WATCH_H

#include <ev.h>

#include "common/spool/spool.h"

/* From now on, on this loop.  One per process. */
void watch_start(struct ev_loop *loop, struct spool *sp);
void watch_stop(void);

#endif
