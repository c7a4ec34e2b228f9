/*
 * How many hosts that are not up are asked, of all destinations together.
 *
 * Each is due by its own clock (machine.h), which knows nothing of the others:
 * with a hundred thousand that went away at the same time, probing would take
 * most of the loop.  So probes have a pace.  What is due when that is used up
 * waits, the longest first: it is late, and never forgotten.
 *
 *   due --in the pace--> admitted --> probe
 *     \--else--> waits --its turn--> run, admitted
 */
#ifndef MX_DRAIN_PROBES_H
#define MX_DRAIN_PROBES_H

#include "daemon/drain/dest.h"

enum {
	PROBES_A_MS = 3,
	PROBES_AT_ONCE = 300, /* after a rest */
};

/* On whose behalf; those before come first, but no class gets all. */
enum probe_class {
	PROBE_ASKED,   /* a client waits for what the host says */
	PROBE_NEWS,    /* something speaks for its being up, somebody wants to
			  know, or nothing is known yet */
	PROBE_ROUTINE, /* its time has come */
	PROBE_CLASSES
};

struct probes {
	struct dest_queue waiting[PROBE_CLASSES];
	size_t count;	    /* of these */
	unsigned left;	    /* of the pace, when it was last counted: */
	int64_t counted_ms; /* monotonic */
	unsigned turn;	    /* of classes */
	int64_t said_ms;    /* monotonic: that some are late; 0: never */
	ev_timer timer;
};

void probes_start(struct drain *d);
void probes_stop(struct drain *d);
/* May a host of it be asked now (a monotonic time)?  True until probes_spend.
 * False: it waits, and is run when it may.  Asked again meanwhile it keeps its
 * place, or has a better one if the class is. */
bool probes_admit(struct dest *dst, enum probe_class class, int64_t now_ms);
/* It made use of that, or has no need any more. */
void probes_spend(struct dest *dst);
/* It waits no longer. */
void probes_forget(struct dest *dst);
/* Run those whose turn it is: the timer does. */
void probes_serve(struct drain *d, int64_t now_ms);

#endif
