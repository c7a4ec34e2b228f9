/*
 * Is a sender who he says?  SPF (RFC 7208, common/spf) over DNS, asked when a
 * report is to be sent and never at reception; and for `mx20ctl explain`.
 */
#ifndef MX_PROOF_PROOF_H
#define MX_PROOF_PROOF_H

#include <ev.h>

#include "common/spf/spf.h"
#include "daemon/dns/resolver.h"

struct prover;
struct proof_query; /* a question under way */

/* RFC 7208 section 4.6.4: of one evaluation, once it has begun. */
enum { PROOF_MS = 20000 };

/* Spans are copied. */
struct proof_request {
	/* AF_UNSPEC: it is not known, and nothing is proven by it. */
	struct net_addr client;
	/* The reverse-path without <>; its domain may be in UTF-8.  Empty: what
	 * SPF says of postmaster at helo, which proves nothing about <>. */
	struct span sender;
	struct span helo; /* may be empty */
};

/* Spans live during the callback.  What the explanation says are a stranger's
 * words. */
typedef void proof_cb(const struct spf_verdict *v, void *arg);

/* Who asks DNS.  As resolver_ask and resolver_cancel. */
struct proof_dns {
	struct dns_query *(*ask)(void *by, struct span name, enum dns_type type,
				 dns_cb *cb, void *arg);
	void (*cancel)(struct dns_query **q);
	void *by;
};
/* The resolver for strangers: what their name servers do is nothing to mail. */
struct proof_dns proof_dns_of(struct resolver *r);

struct prover_options {
	struct ev_loop *loop;
	struct proof_dns dns;
	struct span receiver; /* this host's name, for explanations; copied */
	/* For tests; zero: PROOF_MS, and the monotonic clock. */
	int64_t most_ms;
	int64_t (*now_ms)(void);
};
struct prover *prover_new(const struct prover_options *opt);
/* Questions under way end without their callback. */
void prover_free(struct prover **p); /* *p may be NULL */

/* The resolver goes: nothing is asked until prover_resume, which begins anew
 * with what was under way. */
void prover_pause(struct prover *p);
void prover_resume(struct prover *p, const struct proof_dns *dns,
		   struct span receiver);

/*
 * Ask.  cb runs exactly once, never before return, unless cancelled; 20 seconds
 * after the evaluation began at the latest.  A few run at once, the others wait
 * in the order they came, those of one domain, or one zone, not in the way of
 * others; of more than some thousand the last are told a temperror at once.  Equal
 * questions are one, and its answer is good for as long as DNS says it is, five
 * seconds to five minutes; a temperror for half a minute.
 */
struct proof_query *proof_ask(struct prover *p, const struct proof_request *r,
			proof_cb *cb, void *arg);
void proof_cancel(struct proof_query **q); /* *q may be NULL */

#endif
