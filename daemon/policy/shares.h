/*
 * What client networks hold of what all clients share: the memory of
 * envelopes, and the room of content that is not a message yet.
 */
#ifndef MX_POLICY_SHARES_H
#define MX_POLICY_SHARES_H

#include "common/net/addr.h"

struct shares; /* all networks; one per process */
struct share;  /* one of them */

enum {
	/*
	 * Envelopes of all transactions.  A mailing list of 1,000 recipients
	 * takes some 250 KB, so these are 250 such at a time.
	 */
	SHARES_MEMORY_BYTES = 64 << 20,
	/*
	 * As much a transaction has for itself: a sender and a few recipients.
	 * The number of sessions bounds the sum, and a plain message is taken
	 * whatever others hold.
	 */
	SHARES_FREE_BYTES = 4 << 10,
	/* So small a part of the room that is left may be taken by content of
	 * one network that is not committed yet. */
	SHARES_ROOM_PART = 4,
};

struct shares *shares_new(void);
/* When every holding has ended. */
void shares_free(struct shares **s);
/* Memory counted now, of all. */
size_t shares_memory(const struct shares *s);
/* Networks that hold something. */
size_t shares_networks(const struct shares *s);

/* What one transaction holds.  All zero: nothing, and holding_end is fine. */
struct holding {
	struct share *share;
	size_t memory;    /* counted: beyond what is free */
	uint64_t content; /* octets */
};

/* A network is an IPv4 address or an IPv6 /48, which is what one customer gets
 * and may use at no cost. */
void holding_begin(struct holding *h, struct shares *s,
		   const struct net_addr *client);
void holding_end(struct holding *h);

/*
 * May the envelope grow?  While no network holds more than is left for all
 * others: one alone gets half of the budget, two get a third each, and who
 * comes with nothing always gets something.
 */
bool holding_may_grow(const struct holding *h);
/* It has grown to so many bytes of memory. */
void holding_set_memory(struct holding *h, size_t bytes);

/*
 * Content has come: so many octets in all, while room_left may still be taken
 * by anybody.  False: more than a network may have under way.  The only
 * transaction of a network with content is always fine: what fits is taken.
 */
bool holding_set_content(struct holding *h, uint64_t bytes,
			 uint64_t room_left);

#endif
