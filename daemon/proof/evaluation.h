/*
 * One evaluation of common/spf over DNS: it asks what that asks, one question
 * at a time, for so long in all (RFC 7208 section 4.6.4).
 */
#ifndef MX_PROOF_EVALUATION_H
#define MX_PROOF_EVALUATION_H

#include "daemon/proof/proof.h"

struct evaluation;

/* ttl_s: how long every answer that led to it is good for.  The verdict's
 * spans live until evaluation_free, which cb may call. */
typedef void evaluation_cb(const struct spf_verdict *v, int64_t ttl_s,
			   void *arg);

/* cb runs once, never before return, unless freed before. */
struct evaluation *evaluation_new(struct ev_loop *loop,
				  const struct proof_dns *dns,
				  const struct spf_request *r, int64_t most_ms,
				  evaluation_cb *cb, void *arg);
void evaluation_free(struct evaluation **e); /* *e may be NULL */

#endif
