/*
 * Questions to a primary: would it take this recipient?  The answer is for
 * daemon/known, which asks once for all who want to know.  A hail is one without
 * a recipient: it is answered as soon as the host is heard of.
 *
 *          drain_ask                  a connection is free
 *   ------------------------> waits -----------------------> out
 *                              | ^                            |
 *     down, held, no route     | +-- connection lost, or <> --+
 *   <--------------------------+     refused: once more       |
 *   <------------------------- 2yz, 4yz, 5yz to RCPT ---------+
 *
 * They have connections of their own beside those of mail, a few at a time, so
 * that none waits behind a large message, and mail never behind a primary that
 * lets questions hang.  Such a connection tells the machine nothing: it makes
 * no outage.  But where no other works, the usual one is made first, as for
 * mail, and becomes one of these: a host that is down is probed for a question,
 * too, and found to be up or down.
 */
#ifndef MX_DRAIN_CALLOUT_H
#define MX_DRAIN_CALLOUT_H

#include "daemon/drain/link.h"

enum {
	CALLOUT_LINKS = 2, /* at once, of one destination; one question each */
	CALLOUTS_MAX = 16384,
	CALLOUT_DOMAINS_MAX = 65536, /* that are there for a question */
	CALLOUT_MS = 60000,	     /* then nobody wants to know any more */
	CALLOUT_PATIENCE_MS = 3000,  /* for the probe of a host that is down */
	CALLOUT_PAUSE_MS = 5000,     /* a connection was refused */
	CALLOUT_WAKE_MS = 600000,    /* so long it is probed behind one */
};

void callout_start(struct drain *d);
void callout_stop(struct drain *d); /* nobody is answered any more */

/* The domain has a destination now, or leaves it, or will have none. */
void callout_enter(struct domain *dom);
void callout_leave(struct domain *dom);
void callout_no_route(struct domain *dom);

/* Give out what waits.  Part of dest_run. */
void callout_run(struct dest *dst);
/* Nothing goes there: the operator holds it. */
void callout_held(struct dest *dst);
/* Is a usual connection to be made for a question? */
bool callout_wants(const struct dest *dst);
/* When callout_run has to look again; 0: never. */
int64_t callout_timer(const struct dest *dst);
/* Is a destination that is down to be probed, although no mail waits? */
bool callout_is_awaited(const struct dest *dst);

/* ---- What delivery says of a LINK_CALLOUT ---- */
void callout_ready(struct link *l);
void callout_fill(struct link *l);
void callout_ended(struct link *l, const struct delivery_end *end);

#endif
