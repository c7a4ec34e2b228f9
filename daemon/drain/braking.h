/*
 * The brake, carried out: what a primary refuses for good is told to those of
 * its domain and of its destination (brake.h); one that is pulled (stops.h)
 * stops the mail of either, until an operator releases it, or a message that is
 * tried hourly is taken.  What was refused in the window, and is not final yet,
 * waits again, and who was refused by name in it is not known to be nobody.
 */
#ifndef MX_DRAIN_BRAKING_H
#define MX_DRAIN_BRAKING_H

#include "daemon/drain/link.h"

/* A job is back from this connection.  Refusals of it are undone if the brake
 * is pulled, or is so by them: they come back untried. */
void braking_weigh(struct link *l, struct attempt *a);
/*
 * A watch takes 7 KiB, so there are so many at most of domains whose names
 * strangers choose.  One that finds no room is judged with its destination
 * alone, and its refusals are undone with those of the others.
 */
enum { BRAKING_STRANGERS = 2000 };

/* Nothing was refused of late: it costs no memory. */
void braking_sweep(struct drain *d, struct flow *f);
/* Is it time to try one message, though it is stopped?  now_ms: monotonic. */
void braking_try_domain(struct domain *dom, int64_t now_ms);
void braking_try_dest(struct dest *dst, int64_t now_ms);

#endif
