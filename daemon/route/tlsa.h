/* Which TLSA records a mail client can use (RFC 7672 section 3.1).  Pure. */
#ifndef MX_ROUTE_TLSA_H
#define MX_ROUTE_TLSA_H

#include "daemon/route/choose.h"

/* Usage 2 or 3, a known selector and matching type, data of its length.  The
 * PKIX usages 0 and 1 need roots that the two sides do not agree on. */
bool tlsa_is_usable(const struct tls_tlsa *t);

/* Append "_25._tcp.mx.example.org". */
void tlsa_name(struct buf *out, in_port_t port, struct span base);

/*
 * Take the answer about the records at base.  False: there are none there
 * that DNSSEC vouches for, look at the next base.  A look-up that failed at a
 * host whose zone is signed drops the host (RFC 7672 section 2.1.2): else an
 * attacker who suppresses the answer would have it his way.
 */
bool tlsa_take(struct choice *c, struct candidate *h, struct span base,
	       const struct dns_answer *answer);

#endif
