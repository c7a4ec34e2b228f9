/* One report a message. */
#ifndef MX_DRAIN_JOIN_H
#define MX_DRAIN_JOIN_H

#include "daemon/drain/attempt.h"

/* Record the outcome, alone or with others of its message. */
void join_conclude(struct attempt *a);
void join_start(struct drain *d);
void join_hurry(struct drain *d); /* nobody waits any longer */
void join_forget(struct drain *d);

#endif
