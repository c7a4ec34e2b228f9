/*
 * Addresses that strangers' DNS may not make us connect to.  Whoever sends
 * mail names a domain, the domain's owner says where its hosts are, and our
 * reports and the look at its MTA-STS policy go there: he would choose which
 * doors of this machine and of its network are knocked at.
 */
#ifndef MX_DNS_SHUN_H
#define MX_DNS_SHUN_H

#include "daemon/dns/self.h"

/*
 * Why this address is not connected to: a constant phrase for people, "not
 * used: ..."; NULL when it may be.  Loopback, unspecified, link-local,
 * multicast, private (RFC 1918, RFC 4193, RFC 6598) and reserved addresses,
 * IPv6 addresses that only wrap such an IPv4 address, and the addresses of
 * this host, unless dns.private has them.  Documentation networks are not
 * among them: nobody is there to be harmed.
 *
 * An unspecified address is shunned even so: see below.
 *
 * Only for what DNS answers about MX hosts and policy hosts; an address that
 * the operator wrote down, or that a name of his leads to, is his decision.
 */
const char *shun_why(const struct self *s, const struct net_addr *a);

/* The same, whoever wrote it down: 0.0.0.0/8 and ::, which lead to ourselves
 * without being an address of ours. */
const char *shun_always(const struct net_addr *a);

#endif
