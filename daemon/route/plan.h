/*
 * What TLS must achieve with each host: DANE (RFC 7672) and MTA-STS
 * (RFC 8461) over what the configuration asks.  Pure.
 *
 *  asked     secure usable TLSA   secure, all unusable   sts enforce   neither
 *  none      none                 none                   none          none
 *  may       dane                 must                   verify        may
 *  must      dane                 must                   verify        must
 *  verify    dane                 verify                 verify        verify
 *  dane      dane                 wait                   wait          wait
 *
 * `none` is an order of the operator (the default is may), for a primary whose
 * TLS is known to be broken: nothing that DNS says overrides it, and nothing
 * is looked up for it.  In every other case DANE decides where it can, also
 * against a policy: RFC 8461 section 2 forbids that MTA-STS overrides a DANE
 * failure.  Unusable TLSA beside an enforced policy: verify.
 */
#ifndef MX_ROUTE_PLAN_H
#define MX_ROUTE_PLAN_H

#include "daemon/route/choose.h"

struct plan {
	enum tls_level level;         /* of the configuration; never DEFAULT */
	/* Names that a certificate under DANE-TA may bear besides the host's:
	 * the domain whose mail it is, and what its CNAME led to (RFC 7672
	 * section 3.2.2). */
	struct span next_hop, next_hop_canon;
};

/* Fill in tls of every host that is used; some are dropped by it. */
void plan_tls(struct choice *c, const struct plan *p);

#endif
