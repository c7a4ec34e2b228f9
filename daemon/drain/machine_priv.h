/* The targets, as the machine sees them: machine_targets.c. */
#ifndef MX_DRAIN_MACHINE_PRIV_H
#define MX_DRAIN_MACHINE_PRIV_H

#include "daemon/drain/machine.h"

/* In order of trial; one that is up before one of its rank that is not.
 * MACHINE_NONE: none may be tried now. */
int machine_first_to_try(const struct machine *m, int64_t now_ms);
int machine_best_up(const struct machine *m);
/* The equal with the least to do, and of those the one left alone for the
 * longest time. */
int machine_least_used(const struct machine *m, unsigned rank);

#endif
