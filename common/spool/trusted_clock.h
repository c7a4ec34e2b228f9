/*
 * The time that ends lifetimes: the wall clock, as far as it is believed.
 *
 * A clock that jumps ahead by more than a day, while the daemon is down or
 * while it runs, would end the lifetime of everything at once.  The old time
 * then goes on by the monotonic clock, and the new one is believed when it
 * has run steadily for a day and the ends of lifetimes have been moved by as
 * much (shift.c): who came by the old time has what was left of it.  A clock
 * set back is believed at once: it only keeps mail longer.
 *
 *   believed --ahead by more than a day--> doubted --a steady day--> steady
 *    ^    ^                                  |  |                      |
 *    |    +----------back in place-----------+  +<-----jumps again-----+
 *    +--------------------------lifetimes are moved--------------------+
 */
#ifndef MX_SPOOL_TRUSTED_CLOCK_H
#define MX_SPOOL_TRUSTED_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* All times in milliseconds. */
struct trusted_clock {
	int64_t wall_ms, mono_ms; /* the believed time: a pair of then */
	bool is_doubting;
	int64_t since_ms; /* doubting: what was believed when that began */
	int64_t odd_wall_ms, odd_mono_ms; /* since when it is otherwise */
};

/* last_wall_ms: the time of the last commit before this start; 0: none. */
void trusted_clock_init(struct trusted_clock *l, int64_t last_wall_ms,
			int64_t wall_ms, int64_t mono_ms);

/* The believed time; never above wall_ms. */
int64_t trusted_clock_now(struct trusted_clock *l, int64_t wall_ms,
			  int64_t mono_ms);

/* As of the last trusted_clock_now: is there a doubt that should end? */
bool trusted_clock_is_steady(const struct trusted_clock *l, int64_t mono_ms);

/* No doubt any more: lifetimes were moved. */
void trusted_clock_believe(struct trusted_clock *l, int64_t wall_ms,
			   int64_t mono_ms);

#endif
