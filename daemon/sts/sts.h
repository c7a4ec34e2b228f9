/*
 * MTA-STS policies of domains (RFC 8461): found by a TXT record, fetched over
 * HTTPS, kept for max_age beyond restarts.
 */
#ifndef MX_STS_H
#define MX_STS_H

#include "daemon/dns/resolver.h"
#include "daemon/dns/self.h"
#include "daemon/sts/fetch.h"
#include "daemon/sts/known.h"

struct sts;       /* the cache */
struct sts_query; /* a question under way */

struct sts_options {
	struct ev_loop *loop;
	struct resolver *resolver;
	const struct self *self;     /* its addresses are not asked */
	in_port_t port;              /* of policy hosts: 443 */
	struct tls_client_ctx *tls;  /* its roots and bounds are used */
	/* Of strangers, whom reports go to: a few at a time, nobody waited for
	 * long, and no more kept than a few hundred, in memory only. */
	bool for_strangers;
	struct sts_facts facts;
};

struct sts *sts_new(const struct sts_options *opt);
void sts_free(struct sts **s); /* questions end without their callback */
void sts_stop(struct sts *s);  /* the same; only sts_free may follow */

/*
 * known: the policy in force, a reference given, or NULL for none.  problem:
 * why there is none, or why an older one goes on; empty when all is well.
 * Lives during the callback.
 */
typedef void sts_cb(struct sts_known *known, struct span problem, void *arg);

/* cb runs exactly once, never before return, unless cancelled. */
struct sts_query *sts_ask(struct sts *s, struct span domain, sts_cb *cb,
			  void *arg);
void sts_cancel(struct sts_query **q); /* *q may be NULL */

/* Fetch anew at the next question, whatever the record says (RFC 8461
 * section 5.1: before mail fails for good). */
void sts_forget(struct sts *s, struct span domain);

#endif
