/*
 * Is he a recipient?  Asked of the primary while a client waits.
 *
 * Equal questions are asked once.  Who waits has an answer within
 * policy.verify_timeout; the question goes on without him for a while, so that
 * a primary that is slow has answered when he comes back.
 */
#ifndef MX_KNOWN_VERIFY_H
#define MX_KNOWN_VERIFY_H

#include "common/net/addr.h"
#include "daemon/known/known.h"

enum {
	VERIFY_MAX = 4096,	/* questions at once */
	VERIFY_PER_CLIENT = 32, /* of them, begun by one client; about the
				 * mailboxes of one destination there are no
				 * more than are left for all others */
};

struct waiter;

/*
 * The canonical domain's mailbox, as it was written.  cb runs once, after
 * return, unless cancelled.  NULL: it is not asked, since too much is already:
 * SAID_NOTHING.
 */
struct waiter *verify_ask(struct known *k, struct span domain,
			  struct span mailbox, const struct net_addr *client,
			  known_said_cb *cb, void *arg);
void verify_cancel(struct waiter **w);

/* Questions under way. */
size_t verify_count(const struct known *k);

#endif
