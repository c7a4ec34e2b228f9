/* The inside of deferral.h. */
#ifndef MX_DRAIN_DEFERRAL_PRIV_H
#define MX_DRAIN_DEFERRAL_PRIV_H

#include "daemon/drain/deferral.h"

void deferral_drop_pilot(struct dest *dst, size_t i);
/* When a pilot is to be made ready; 0: not before something happens. */
int64_t deferral_call_at(const struct dest *dst);

#endif
