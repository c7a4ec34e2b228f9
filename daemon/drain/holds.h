/* Holds of destinations, which are rows of the spool. */
#ifndef MX_DRAIN_HOLDS_H
#define MX_DRAIN_HOLDS_H

#include <sys/queue.h>

#include "common/spool/scope.h"

struct dest;
struct drain;

/* Nothing goes to destinations of this name.  A few at most: an operator made
 * each. */
struct dest_hold {
	LIST_ENTRY(dest_hold) link;
	char name[SCOPE_DESTINATION_MAX + 1];
	char reason[256];
};
LIST_HEAD(dest_hold_list, dest_hold);

void holds_load(struct drain *d);
void holds_forget(struct drain *d);
/* The row of this name has changed. */
void holds_reread(struct drain *d, struct span name);
/* Does the name mean this destination? */
bool holds_names(const struct dest *dst, struct span name);
/* The hold because of which nothing may go there; NULL: it may. */
const struct dest_hold *hold_of(struct dest *dst);

#endif
