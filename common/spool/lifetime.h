/*
 * The time that ends lifetimes: the wall clock, as far as it is believed.
 *
 * A clock that jumps ahead by more than a day, while the daemon is down or
 * while it runs, would end the lifetime of everything at once.  The old time
 * then goes on by the monotonic clock, and the new one is believed when it
 * has run steadily for a day.  A clock set back is believed at once: it only
 * keeps mail longer.
 *
 *   believed --ahead by more than a day--> doubted --a steady day--> believed
 *      ^                                      |
 *      +------------back in place-------------+
 */
#ifndef MX_SPOOL_LIFETIME_H
#define MX_SPOOL_LIFETIME_H

#include <stdbool.h>
#include <stdint.h>

/* All times in milliseconds. */
struct lifetime {
	int64_t wall_ms, mono_ms; /* the believed time: a pair of then */
	bool is_doubting;
	int64_t odd_wall_ms, odd_mono_ms; /* since when it is otherwise */
};

/* last_wall_ms: the time of the last commit before this start; 0: none. */
void lifetime_init(struct lifetime *l, int64_t last_wall_ms, int64_t wall_ms,
		   int64_t mono_ms);

/* The believed time; never above wall_ms. */
int64_t lifetime_now(struct lifetime *l, int64_t wall_ms, int64_t mono_ms);

#endif
