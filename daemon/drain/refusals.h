/*
 * Does a host refuse a mailbox for now, or everybody?  Pure decisions over
 * the transient refusals (4yz) that one target gave, with an explicit clock:
 * monotonic milliseconds.  The diagram is in refusals.c.
 */
#ifndef MX_DRAIN_REFUSALS_H
#define MX_DRAIN_REFUSALS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"
#include "daemon/delivery/delivery.h"

enum host_temper {
	HOST_TAKES,	/* mail; what it refuses is a matter of that mail */
	HOST_REFUSES,	/* everybody: it is as good as down */
	HOST_GREYLISTS, /* whatever it has not seen before */
};

enum { REFUSALS_SEEN = 8 };

struct refusals {
	enum host_temper temper;
	unsigned points;       /* since something was taken */
	bool is_of_senders;    /* MAIL was refused, too */
	bool took_new;	       /* mail at its first try, since it refused all;
				  no greylisting host does that */
	int64_t began_ms;      /* the first of the points */
	int64_t since_ms;      /* it refuses everybody */
	int64_t ended_ms;      /* no longer; 0: it never did */
	int64_t lasted_ms;     /* it did that long */
	int64_t until_ms;      /* greylisting is reckoned with */
	unsigned false_alarms; /* in a row: it took the next best message */
	struct refused {
		uint64_t who;	    /* hash of a recipient; 0: none */
		uint64_t unit;	    /* the last that was refused for it */
		int64_t since_ms;   /* the first was */
		int64_t excused_ms; /* it was given a try beyond its own; 0 */
	} seen[REFUSALS_SEEN];
	unsigned next; /* the oldest of them */
};

/* A recipient that was refused. */
struct refusal {
	enum refused_at at;
	struct span reply; /* "450 4.2.1 ..." */
	uint64_t who, unit;
	bool is_last; /* nobody else waits for the destination */
};

/* How much a refusal says about the host, when it is the first of this
 * recipient, and when another unit's was before it. */
struct refusal_weight {
	unsigned first, again;
};
struct refusal_weight refusal_weight(enum refused_at at, struct span reply);

/* A recipient was refused.  True: from now on it counts as refusing everybody
 * (the temper says for how long). */
bool refusals_add(struct refusals *r, const struct refusal *f, int64_t now_ms);

/*
 * A recipient was taken; is_new: at its first try.  What else is due for it?
 * SAME: what was refused to this recipient since *since_ms.  ALL: everything
 * that was refused since the run of refusals began.
 */
enum excused { EXCUSED_NONE, EXCUSED_SAME, EXCUSED_ALL };
enum excused refusals_end(struct refusals *r, uint64_t who, bool is_new,
			  int64_t now_ms, int64_t *since_ms);

#endif
