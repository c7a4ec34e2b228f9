/* What the history is told of a destination (daemon/history/history.h). */
#ifndef MX_DRAIN_OUTAGES_H
#define MX_DRAIN_OUTAGES_H

#include "daemon/drain/dest.h"

/* It went up or down, as dst->logged says. */
void outages_note(struct dest *dst);
/* If it is down, it still is: once a minute. */
void outages_still(struct dest *dst);
/* What became of a unit is durable. */
void outages_settled(const struct attempt *a);
/* A recipient has left: so is that; how: as daemon/history/traces.h has it. */
void outages_left(const struct attempt *a, size_t i, const char *how);

#endif
