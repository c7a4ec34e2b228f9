/* How many reports leave for a domain in a minute. */
#ifndef MX_DRAIN_CAP_H
#define MX_DRAIN_CAP_H

#include <stdbool.h>
#include <stdint.h>

struct attempt;
struct domain;

/* Of reports to one domain. */
struct cap {
	int64_t began_ms; /* monotonic: of the minute counted */
	unsigned taken;	  /* in it */
	int64_t slot_ms;  /* the minute that is given out now */
	unsigned slot_taken;
	unsigned deferring; /* on their way to the disk */
	bool is_full;	    /* more would be */
	bool is_said;	    /* in this minute */
};

/* May a report leave for it now?  It is counted if so. */
bool cap_allows(struct domain *dom);
/* It may not: it waits for a minute with room.  To be concluded. */
void cap_defer(struct attempt *a);
/* Is something known that a next report must be held against? */
bool cap_counts(const struct cap *c);
/* As many as may be are on their way to the disk: look again when told. */
bool cap_is_full(struct domain *dom);
/* One of them got there.  True: look again. */
bool cap_is_recorded(struct domain *dom);

#endif
