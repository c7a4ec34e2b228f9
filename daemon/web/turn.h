/* How long the turns of the loop take: while one lasts, every session waits. */
#ifndef MX_WEB_TURN_H
#define MX_WEB_TURN_H

#include <ev.h>
#include <stdint.h>

struct turn {
	ev_check begin;
	ev_prepare end;
	int64_t began_us; /* monotonic; 0: none has begun */
};

/* Each turn is observed (METRIC_TURN) from now on: two looks at the clock. */
void turn_start(struct turn *t, struct ev_loop *loop);
void turn_stop(struct turn *t, struct ev_loop *loop);

#endif
