/* How destinations did, by what the spool remembers of their targets: for when
 * there is no daemon to ask. */
#ifndef MX_STATUS_MEMORY_H
#define MX_STATUS_MEMORY_H

#include "common/status/status.h"

/* All zero but for the first three is nothing looked up yet. */
struct status_memory {
	struct spool *spool;
	int64_t now_ms, stale_ms;   /* how old a state may be */
	struct spool_target *known; /* read when needed */
	size_t known_count;
	bool is_loaded;
	/* of the domain looked at last */
	struct status_target *targets;
	struct spool_domain hold;
	struct braked braked;
};
void status_memory_fini(struct status_memory *m);

/* status_state_fn; arg is a struct status_memory. */
void status_remembered(const struct spool_domain *row,
		       struct status_destination *out, void *arg);

#endif
