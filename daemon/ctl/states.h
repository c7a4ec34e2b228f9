/*
 * How the destinations of domains do: from the daemon while it runs, else
 * from what the spool remembers of their targets.
 */
#ifndef MX_CTL_STATES_H
#define MX_CTL_STATES_H

#include "daemon/ctl/link.h"

struct states {
	struct link link;
	bool is_live; /* the daemon answers */
	struct spool *spool;
	struct spool_target *known; /* the spool's, read when needed */
	size_t known_count;
	bool is_loaded;
	int64_t now_ms, stale_ms; /* how old a state may be */
};

/* why gets a sentence when the daemon does not answer. */
void states_open(struct states *s, const struct ctl *ctl, struct spool *spool,
		 struct buf *why);
void states_close(struct states *s);

/*
 * One object for each row: {"state","since","next_probe","checked",
 * "last_reply","targets":[{"target","state","since","checked","last_reply"}]},
 * the caller's.
 */
void states_get(struct states *s, const struct spool_domain *rows, size_t count,
		json_t **out);

/*
 * Domains with mail or a hold, with their states, a page at a time.  A page is
 * read in a transaction of its own, which is over before anything is asked or
 * written.  All zero is the place before the first.
 */
enum { STATES_PAGE = 64 };
struct states_page {
	struct spool_domain rows[STATES_PAGE];
	json_t *states[STATES_PAGE];
	size_t count;
};

/* The page behind this one; false at the end or on an error. */
bool states_next_page(struct states *s, struct states_page *p,
		      enum mx_err *err);
/* Release the states; the rows still say where to go on. */
void states_release_page(struct states_page *p);

/* Does the domain's mail go to a destination of this name?  As scope.h has
 * it, of the state's or, if that has none, of the row's. */
bool states_goes_to(const struct spool_domain *row, const json_t *state,
		    struct span name);

/* Does a target of this name belong to the destination with this key? */
bool states_match(const char *destination, const char *target);

#endif
