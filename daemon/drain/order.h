/* Units that are given up at the operator's word (drain_give_up). */
#ifndef MX_DRAIN_ORDER_H
#define MX_DRAIN_ORDER_H

struct drain;

void order_start(struct drain *d);

#endif
