/*
 * Is a client's address on a list in DNS (RFC 5782)?  All zones are asked at
 * once, when the client connects; equal clients share the look-up.
 *
 *   asking --all zones, or 5 s--> known --last visitor leaves--> idle, kept for
 *                                                        its time, then gone
 *
 * It goes on when the last visitor leaves: who comes back finds the answer, and
 * is not asked about each time.  Of those that connect and leave so many are
 * asked about at a time; then the others are when there is need to know.
 *
 * What fails, and what does not come in time, lists nobody.  A zone that was
 * silent for many on end is left alone for a minute.
 */
#ifndef MX_POLICY_DNSBL_H
#define MX_POLICY_DNSBL_H

#include <ev.h>

#include "config/config.h"
#include "daemon/dns/resolver.h"

struct dnsbl;
struct dnsbl_visit; /* somebody's interest in an address */

/* Who asks DNS.  As resolver_ask and resolver_cancel. */
struct dnsbl_dns {
	struct dns_query *(*ask)(void *by, struct span name, enum dns_type type,
				 dns_cb *cb, void *arg);
	void (*cancel)(struct dns_query **q);
	void *by;
};

enum {
	DNSBL_MS = 5000,	 /* of one address */
	DNSBL_KEPT_MAX = 16384,	 /* addresses that nobody is interested in */
	DNSBL_LEFT_MAX = 256,	 /* of these, that are being asked about */
	DNSBL_TIRED = 20,	 /* silences on end */
	DNSBL_REST_MS = 60 * 1000,
};

struct dnsbl *dnsbl_new(struct ev_loop *loop);
void dnsbl_free(struct dnsbl **d); /* when all visits have ended */

/* Zones in force, and who asks; dns.ask NULL: nobody.  What is being asked ends
 * without an answer; what is known stays if the zones are the same. */
void dnsbl_configure(struct dnsbl *d, const struct config *c,
		     const struct dnsbl_dns *dns);

/* NULL: there is nothing to ask. */
struct dnsbl_visit *dnsbl_begin(struct dnsbl *d, const struct net_addr *client);
void dnsbl_end(struct dnsbl_visit **v);

/* Is it known?  Else cb, once, from the loop, unless dnsbl_unwait. */
typedef void dnsbl_cb(void *arg);
bool dnsbl_is_known(const struct dnsbl_visit *v);
void dnsbl_wait(struct dnsbl_visit *v, dnsbl_cb *cb, void *arg);
void dnsbl_unwait(struct dnsbl_visit *v);

/* The sum of the weights of the zones that have it; their names, with ", "
 * between, are appended. */
unsigned dnsbl_score(const struct dnsbl_visit *v, struct buf *names);

/* Have many left before it was known?  Then begin when it has to be known. */
bool dnsbl_is_left_often(const struct dnsbl *d);

/* Addresses in memory. */
size_t dnsbl_count(const struct dnsbl *d);

/* The name to ask for: "7.2.0.192.ZONE", the nibbles of IPv6 (RFC 5782 sections
 * 2.1 and 2.4).  Pure. */
void dnsbl_name(struct buf *out, const struct net_addr *client,
		struct span zone);
/* Does this answer list it?  Only what is in 127.0.0.0/8 does; 127.255.255.0/24
 * is how lists say that they do not answer whom we ask.  Pure. */
bool dnsbl_lists(const struct dns_answer *answer);

#endif
