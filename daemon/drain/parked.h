/* Recipients whose time has come: a refusal is final, the shelf is over. */
#ifndef MX_DRAIN_PARKED_H
#define MX_DRAIN_PARKED_H

#include "daemon/drain/attempt.h"

struct spool_expiry;

void parked_start(struct drain *d);
/* Those of this unit that are due are decided on, without a delivery.  False:
 * not now, look again. */
bool parked_take(struct drain *d, const struct spool_expiry *due);
/* It waits for a word about its sender: it is where it was. */
void parked_cancel(struct attempt *a);
/* All of them. */
void parked_forget(struct drain *d);

#endif
