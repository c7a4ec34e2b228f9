/* mx20ctl status: the view of one domain. */
#ifndef MX_CTL_STATUS_H
#define MX_CTL_STATUS_H

#include "daemon/ctl/states.h"

/* Everything about one domain, and what to do. */
void status_domain(const struct ctl *ctl, const struct spool_domain *row,
		   const json_t *state, bool is_live, struct buf *out);

/* State of the destination and its targets, one line each. */
void status_targets(const struct ctl *ctl, const json_t *state,
		    struct buf *out);

/* Is the whole domain held, by itself or with its destination?  And why. */
bool status_is_held(const struct spool_domain *row, const json_t *state);
struct span status_hold_reason(const struct spool_domain *row,
			       const json_t *state);

/* A time of a state object in wall ms; 0: none. */
int64_t status_time(const json_t *state, const char *key);

#endif
