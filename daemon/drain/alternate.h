/* A unit that the host in use cannot take is taken to the others. */
#ifndef MX_DRAIN_ALTERNATE_H
#define MX_DRAIN_ALTERNATE_H

#include "daemon/drain/link.h"

/* The job came back obstructed over this link.  True: somebody else is asked;
 * false: conclude it, as its outcomes are now. */
bool alternate_send(struct attempt *a, const struct link *l);
/* It is ready: here is what it is for. */
void alternate_give(struct link *l);
/* The job is back.  A connection that got nowhere with it is a failure of the
 * unit: at once again it would only be obstructed, and sent there again. */
void alternate_over(struct delivery_job *job);
/* It could not be asked: the next one, or later. */
void alternate_failed(struct attempt *a, struct dest *dst);

#endif
