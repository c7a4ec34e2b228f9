/* Mail of a domain that the allowlist lists no longer. */
#ifndef MX_DRAIN_UNLISTED_H
#define MX_DRAIN_UNLISTED_H

#include "daemon/drain/domain.h"

/* Is it a stranger's, known or not? */
bool unlisted_has_reports_only(struct drain *d, struct span name);
/* May its mail be routed?  Asked before each look-up; false: it is held.  Also
 * notices that the domain is listed again. */
bool unlisted_may_go(struct domain *dom);
/* May this unit be delivered, by what unlisted_may_go found? */
bool unlisted_takes(struct domain *dom, const struct unit *u);
/* May its lifetime end? */
bool unlisted_may_end(struct domain *dom, const struct unit *u);
/* The alarm of the hour. */
void unlisted_remind(struct drain *d);

#endif
