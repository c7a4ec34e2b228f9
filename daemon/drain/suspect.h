/*
 * A unit that was under way when a connection was lost: it may be why.  Pure;
 * times are monotonic milliseconds.  The diagram is in suspect.c.
 */
#ifndef MX_DRAIN_SUSPECT_H
#define MX_DRAIN_SUSPECT_H

#include <stdbool.h>
#include <stdint.h>

struct suspect {
	unsigned losses; /* on end, with it under way */
	int64_t cost_ms; /* so long it kept those connections */
	int64_t due_ms;	 /* not to be tried before; 0: at once */
};

/* A connection was lost with it, which it had for so long.  True: it waits. */
bool suspect_lost(struct suspect *s, int64_t cost_ms, int64_t now_ms);

/* Which way may it go now?  is_alone: nothing else waits or is under way for
 * its destination.  is_well: something went through since the last loss. */
enum suspect_way { WAY_NONE, WAY_USUAL, WAY_SIDE };
enum suspect_way suspect_way(const struct suspect *s, bool is_alone,
			     bool is_well, int64_t now_ms);

#endif
