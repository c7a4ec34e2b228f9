/*
 * Who was sent to the primary, and may come back: client network (/32, /64),
 * sender and recipient, and since when.
 *
 *   sent away --wait_ms--> let in --RETURNS_LIFE_MS since the first--> forgotten
 *
 * The memory is fixed.  A network has its places in RETURNS_SPREAD sets of 16,
 * chosen by a keyed hash, so nobody chooses whom he pushes out.  Where a set is
 * full a place is made by who is over, then by who was let in, then by the
 * network with most places there: the newest of it, so that those who came
 * first have their turn when they come back, however many there are.  Who has
 * most himself is not entered, and is once one of his was let in.
 *
 * The error is on one side only, but for a false match at odds of one in 10^15:
 * nobody is let in who was not sent away; one that was forgotten is sent away
 * once more.
 */
#ifndef MX_POLICY_RETURNS_H
#define MX_POLICY_RETURNS_H

#include "common/net/addr.h"

struct returns;

enum {
	RETURNS_PLACES = 65536, /* at a time: 1.5 MiB */
	RETURNS_SPREAD = 8,
	RETURNS_LIFE_MS = 2 * 24 * 3600 * 1000, /* senders retry for days */
};

struct returns *returns_new(void);
void returns_free(struct returns **r);

/* Was it sent away wait_ms ago or more?  Monotonic milliseconds; nothing is
 * changed. */
bool returns_is_due(const struct returns *r, const struct net_addr *client,
		    struct span from, struct span to, int64_t wait_ms,
		    int64_t now_ms);
/* The same; one that is not known yet is entered. */
bool returns_come(struct returns *r, const struct net_addr *client,
		  struct span from, struct span to, int64_t wait_ms,
		  int64_t now_ms);

#endif
