/* The inside of aside.h. */
#ifndef MX_DRAIN_ASIDE_PRIV_H
#define MX_DRAIN_ASIDE_PRIV_H

#include "daemon/drain/aside.h"

void aside_drop(struct drain *d, struct outcast *s);
/* Does it wait for this destination?  In flight it has had its turn already. */
bool aside_is_of(const struct dest *dst, const struct outcast *s);

#endif
