/* What queue is asked to show, and in which order. */
#ifndef MX_CTL_WANTED_H
#define MX_CTL_WANTED_H

#include "daemon/ctl/best.h"
#include "daemon/ctl/ctl.h"

enum {
	WANTED_SORTED = 1000,	     /* without --limit */
	WANTED_SORTED_MAX = 100000, /* that are kept in memory */
};

typedef void wanted_key_fn(const json_t *message, struct best_key *key,
			   struct buf *text);

struct wanted {
	json_t *filter;	    /* of common/status; NULL: all */
	wanted_key_fn *key; /* NULL: as they came */
	uint64_t limit;	    /* UINT64_MAX: none */
	bool is_limited;    /* by the operator */
};

/* From the command line.  False after saying what is wrong; to be released in
 * either case. */
bool wanted_take(struct wanted *w, const struct ctl *ctl);
void wanted_fini(struct wanted *w);

#endif
