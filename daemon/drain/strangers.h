/* Domains of strangers, where only our reports go: those that are known, and
 * the rounds that find the others (drain_strangers.c). */
#ifndef MX_DRAIN_STRANGERS_H
#define MX_DRAIN_STRANGERS_H

#include "daemon/drain/domain.h"

struct strangers {
	TAILQ_HEAD(, domain) known;
	unsigned count;	     /* of these */
	bool has_left_out;   /* in this round, or since */
	bool is_under_way;   /* the round */
	int64_t began_ms;    /* monotonic: the round */
	int64_t said_ms;     /* monotonic: that there are so many */
	struct buf after;    /* it goes on behind this name */
	ev_timer timer;	     /* while any are left out */
};

/* dom is one, or is not any more. */
void strangers_note(struct domain *dom, bool is_stranger);

#endif
