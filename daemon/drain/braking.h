/*
 * The brake, carried out: what a primary refuses for good is told to those of
 * its domain and of its destination (brake.h); one that is pulled (stops.h)
 * stops the mail of either, until an operator releases it.  What was refused in
 * the window, and is not final yet, waits again.
 */
#ifndef MX_DRAIN_BRAKING_H
#define MX_DRAIN_BRAKING_H

#include "daemon/drain/link.h"

/* A job is back from this connection.  Refusals of it are undone if the brake
 * is pulled, or is so by them: they come back untried. */
void braking_weigh(struct link *l, struct attempt *a);
/* Nothing was refused of late: it costs no memory. */
void braking_sweep(struct drain *d, struct flow *f);

#endif
