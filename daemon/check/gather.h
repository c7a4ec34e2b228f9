/*
 * What is gathered about one thing, a domain or this host, before it is
 * judged: questions to DNS and whatever else is waited for, until all of it is
 * there or time is over.
 */
#ifndef MX_CHECK_GATHER_H
#define MX_CHECK_GATHER_H

#include <ev.h>
#include <sys/queue.h>

#include "daemon/dns/resolver.h"

/* An answer that stays.  Until it comes it is DNS_TIMEOUT. */
struct answer {
	enum dns_status status;
	bool secure;
	int64_t ttl_s;
	struct span canon; /* end of a CNAME chain; else empty */
	const struct span *rdata;
	size_t count;
	struct span why; /* of a bogus one */
};

struct gather;
struct gather_question;
typedef void gather_fn(struct gather *g);
TAILQ_HEAD(gather_questions, gather_question);

struct gather {
	struct ev_loop *loop;
	struct resolver *resolver;
	struct arena arena; /* what is known */
	unsigned pending;   /* what is waited for */
	bool is_over;
	ev_timer timer; /* the deadline; or at once, when nothing is pending */
	struct gather_questions questions;
	gather_fn *stop; /* forget what is waited for; may be NULL */
	gather_fn *over; /* judge; once, from the loop; may free it */
};

/* The time begins to run. */
void gather_begin(struct gather *g, int64_t most_ms);
void gather_end(struct gather *g); /* frees what it owns */

/* Something is waited for besides DNS, and is there. */
void gather_hold(struct gather *g);
void gather_release(struct gather *g);

/* Ask.  The answer fills *to, which is in g's arena or outlives g; then `then`
 * (may be NULL) is called and may ask more. */
typedef void gather_then(struct gather *g, struct answer *a, void *arg);
void gather_ask(struct gather *g, struct span name, enum dns_type type,
		struct answer *to, gather_then *then, void *arg);
/* The same of another resolver. */
void gather_ask_of(struct gather *g, struct resolver *r, struct span name,
		   enum dns_type type, struct answer *to, gather_then *then,
		   void *arg);

/* The addresses of two answers, at most max. */
size_t gather_addrs(const struct answer *v4, const struct answer *v6,
		    struct net_addr *addrs, size_t max);

#endif
