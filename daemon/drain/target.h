/* The addresses of a destination, and what is remembered of each. */
#ifndef MX_DRAIN_TARGET_H
#define MX_DRAIN_TARGET_H

#include <sys/queue.h>

#include "common/base/hash.h"
#include "common/net/addr.h"
#include "daemon/route/route.h"

struct dest;
struct drain;

/* One address of one host of a destination. */
struct target {
	char name[300]; /* "mx.example.org[192.0.2.1]:25" */
	struct net_addr addr;
	const struct route_host *host;
	char last_reply[512];
	char ehlo[256];
	int64_t ehlo_ms;	  /* wall: when it last said that; 0: never */
	unsigned without;	  /* SMTP_EXT_ and DELIVERY_ bits offered, but
				     refused */
	size_t rcpts_most;	  /* with DELIVERY_CROWD */
	int64_t without_until_ms; /* monotonic: it may have been mended */
	char said[512];		  /* the failed probe last logged: stage and
				     reply; "": none since it was up */
	int64_t said_ms;	  /* monotonic: when */
	unsigned left_out;	  /* equal ones since */
	unsigned untested;	  /* of without: nothing has come through
				     without them yet */
	int64_t proven_until_ms;  /* monotonic: delivery_is_proven */
	int64_t stored_ms;	  /* monotonic: in the spool */
	UT_hash_handle hh;	  /* in the address's group */
	LIST_ENTRY(target) same;
	struct dest *dest;
	size_t index;
};

/* All targets of one IP address, for drain_heard_from. */
struct at_address {
	struct net_addr addr; /* port 0 */
	UT_hash_handle hh;
	LIST_HEAD(, target) targets;
};

/* "mx.example.org[192.0.2.1]:25": its name, in memory and in the spool. */
void target_add_name(struct buf *out, struct span host,
		     const struct net_addr *addr);

void targets_build(struct dest *dst, struct route *route);
void targets_clear(struct dest *dst);
/* The index of the one with this name, or MACHINE_NONE. */
int targets_find(const struct dest *dst, const char *name);
struct at_address *targets_at(struct drain *d, const struct net_addr *addr);
/* Is a failed probe worth a line: another failure than the last one, or an hour
 * later?  left_out: how many were not, since the last line. */
bool target_is_news(struct target *t, const char *stage, const char *reply,
		    int64_t now_ms, unsigned *left_out);
/* Its replies did not match our commands: until when that counts, monotonic; 0:
 * they do. */
int64_t target_mismatch_ms(const struct target *t);
/* It is up. */
void target_forget_failure(struct target *t);

#endif
