/*
 * Reports that are to be proven before they leave.
 *
 * A report carries the address and the HELO of the client that brought what it
 * is about (report_make), unless that was proven when it was made, or the
 * operator ordered it.  With bounce.mode "proven" such a one is asked about each
 * time it would be sent:
 *
 *   ready --taken--> asked --pass--> ready again, and allowed once
 *                      |  \--not proven--> it ends without a word
 *                      \--not to be known now--> deferred for five minutes;
 *                                  an hour after it was made: ends
 *
 * So nothing of an earlier mode, of a delay, or of mail that was handed on goes
 * to a sender who is not proven; and one is asked only when there is a
 * connection to take it.
 */
#ifndef MX_DRAIN_DEPARTURE_H
#define MX_DRAIN_DEPARTURE_H

#include <stdbool.h>
#include <sys/queue.h>

#include "common/base/hash.h"

struct attempt;
struct departure;
struct domain;
struct drain;
struct unit;

/* Of the whole drain. */
struct departures {
	TAILQ_HEAD(departure_list, departure) asked, allowed;
	struct departure *by_id; /* those that are allowed */
	size_t allowed_count;
};

void departure_start(struct drain *d);
/* Whoever is asked about is ready again. */
void departure_stop(struct drain *d);

/* May it be sent, as far as this goes?  Else ask.  What goes nowhere may. */
bool departure_allows(struct domain *dom, const struct unit *u);
/* Takes the attempt. */
void departure_ask(struct attempt *a);
/* As many of this domain's are asked about as may be: look again when told. */
bool departure_is_full(struct domain *dom);

#endif
