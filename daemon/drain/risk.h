/* What the primary may have and our disk does not know of. */
#ifndef MX_DRAIN_RISK_H
#define MX_DRAIN_RISK_H

#include "daemon/drain/link.h"

void risk_start(struct drain *d);
void risk_stop(struct drain *d);
/* From now on the other side may have the unit.  False: not yet, the link
 * will be resumed. */
bool risk_take(struct attempt *a, struct link *l);
/* The other side has it. */
void risk_answered(struct attempt *a);
/* It does not, or the disk knows. */
void risk_over(struct attempt *a);
void risk_forget(struct link *l);

#endif
