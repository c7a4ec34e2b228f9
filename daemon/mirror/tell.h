/* What the mirror does, as JSON: for mx20ctl and the page.  mx20ctl(8) has the
 * members. */
#ifndef MX_MIRROR_TELL_H
#define MX_MIRROR_TELL_H

#include <jansson.h>

#include "daemon/mirror/mirror.h"

/* {"state","since","node","when_away","server","schema","synchronous","error",
 * "error_at","lease_left_s","lease_s","patience_s","lag":{"messages",
 * "oldest"},"taken_over","dropped","lost":[{"node","messages","over_s"}],
 * "doubled":[names]} */
json_t *mirror_tell(const struct mirror_status *s, const struct config *c);

/* An array of {"node","owner","self","state","lease_left_s","seen","messages",
 * "taken","taken_by","version"}; state is "alive", "over" (its lease is),
 * "given", "left" or "stopped". */
json_t *mirror_tell_nodes(const struct mirror_status *s);

/* Add "mirror" to an overview (common/status), if there is one. */
void mirror_tell_into(json_t *overview, struct mirror *m,
		      const struct config *c);

#endif
