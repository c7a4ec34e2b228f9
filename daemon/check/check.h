/*
 * The doctor: does this backup work on the day?  It asks DNS, the primaries
 * and this host's own listeners as the world would, and says what is wrong and
 * what to publish or write instead.
 *
 * It runs in the process of mx20ctl with a loop of its own, and never asks
 * mx20d for anything but what only that knows, by the hooks below.
 */
#ifndef MX_CHECK_CHECK_H
#define MX_CHECK_CHECK_H

#include "config/config.h"
#include "daemon/check/finding.h"

/* How full the spool is, and what the last outage brought. */
struct check_room {
	bool is_known;
	struct span why; /* it is not known */
	uint64_t messages, bytes, used_bytes, size_bytes;
	uint64_t disk_bytes, reserve_bytes;
	/* The last outage that made mail wait; 0 messages: there was none. */
	uint64_t outage_messages;
	int64_t outage_ms;
	int64_t lifetime_ms;
};

/* How the second copy does; as mx20d tells it. */
struct check_mirror {
	bool is_set, is_known; /* is_known: mx20d was asked */
	bool is_in_step, is_away, has_left, is_synchronous;
	bool refuses; /* new mail, while it is not in step */
	struct span server;	/* "15.14 at db1.example.net" */
	struct span error;	/* while it is away */
	uint64_t lag_messages;	/* with one copy only */
	int64_t lag_ms;		/* the age of the oldest */
	struct span others;	/* nodes of other versions, in words */
	struct span ills;	/* lost nodes, and names that two have; so, too */
};

enum { CHECK_DOMAIN_MS = 27000 }; /* all that is asked about one domain */

struct check_options {
	/* With allowlist, recipients and the client side of TLS; a reference
	 * is taken. */
	struct config *config;
	/* Canonical domains, or patterns of the allowlist. */
	const struct span *domains;
	size_t domain_count;
	const struct check_room *room;
	const struct check_mirror *mirror;
	/* As domains_source; may ask the daemon. */
	bool (*source)(const struct config_domain *row, struct span domain,
		       size_t i, struct domains_source *out, void *arg);
	/* A domain is done, in the order given; sorted. */
	void (*found)(struct span domain, const struct findings *f, void *arg);
	/* Now and then: how many of them are done.  May be NULL. */
	void (*progress)(size_t done, void *arg);
	void *arg;
};

/* Returns when all is done: a domain takes CHECK_DOMAIN_MS at most, some
 * dozens are looked at at a time.  An error: nothing could be asked, and why
 * says which setting is at fault. */
enum mx_err check_run(const struct check_options *opt, struct buf *why);

#endif
