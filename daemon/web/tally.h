/* What waits, summed up by destination, out of the rows of the spool. */
#ifndef MX_WEB_TALLY_H
#define MX_WEB_TALLY_H

#include "daemon/web/facts.h"

/* All zero is empty. */
struct tally {
	struct arena arena;
	struct group *groups; /* hash by name */
	size_t count;
	struct span *names; /* of the first rows, for /api/status */
	size_t name_count, most_names;
	uint64_t rows; /* of domains */
};
void tally_fini(struct tally *t);

/* What has no destination, or none that anybody knows, goes by this name. */
#define TALLY_NO_ROUTE SPAN_LIT("(no route yet)")

void tally_add(struct tally *t, const struct spool_domain *row);

/* Those with most mail, `most` at most, the first of them first; their states
 * are of zeros.  From the arena, as their names are. */
struct web_destination *tally_top(struct tally *t, size_t most, size_t *count);

/* Their states have been filled in: they get the names of these, and what has
 * the same name becomes one. */
void tally_settle(struct tally *t, struct web_destination *all, size_t *count);

#endif
