/*
 * After an outage, and after a brake was released, one message goes at a time,
 * until one is taken: a primary that comes back broken has refused few by then.
 * Also where nothing is known, which may have been an outage.
 */
#ifndef MX_DRAIN_CANARY_H
#define MX_DRAIN_CANARY_H

#include "daemon/drain/dest.h"

/* A connection is ready, and the destination is not up: is it long since it
 * was?  To be asked before the machine hears of it. */
void canary_look_out(struct dest *dst);
/* This one was taken to be delivered. */
void canary_sent(struct attempt *a);
/* A message was taken that was relayed to this domain. */
void canary_relayed(struct domain *dom);
/* It is back from that destination, with its outcome. */
void canary_back(struct dest *dst, struct attempt *a);

#endif
