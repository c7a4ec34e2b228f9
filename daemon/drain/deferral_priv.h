/* The inside of deferral.h. */
#ifndef MX_DRAIN_DEFERRAL_PRIV_H
#define MX_DRAIN_DEFERRAL_PRIV_H

#include "daemon/drain/deferral.h"

/* Two clocks, each cut to milliseconds, do not agree on when it was: a unit too
 * many that is tried again does no harm. */
enum { DEFERRAL_SLACK_MS = 1000 };

/* False: there are enough. */
bool deferral_add_pilot(struct dest *dst, uint64_t id, struct domain *dom);
void deferral_drop_pilot(struct dest *dst, size_t i);
/* When a pilot is to be made ready; 0: not before something happens. */
int64_t deferral_call_at(const struct dest *dst);
/* What was refused before this run of refusals is another story. */
void deferral_note(struct domain *dom, int64_t run_began_ms);
/* The spool knows, too. */
void deferral_record(struct domain *dom);

#endif
