/* What in an MX set is this host (RFC 5321 section 5.1). */
#ifndef MX_DNS_SELF_H
#define MX_DNS_SELF_H

#include "config/config.h"

struct self {
	struct span *names;       /* hostname and aliases; canonical */
	size_t name_count;
	struct net_addr *aliases; /* whatever the port */
	size_t alias_count;
	struct net_addr *listen;  /* address and port */
	size_t listen_count;
	struct net_addr *host;    /* every address of this host */
	size_t host_count;
	const struct net_cidr *allowed; /* dns.private: see shun.h */
	size_t allowed_count;
	bool has_ipv6;            /* an address that can leave the host */
	/* Borrowed: what greeted with our name a while ago, with its port; and
	 * how often something new was found so. */
	const struct net_addr *found;
	size_t found_count;
	unsigned findings;
};

/* listen as given to router_new; its wildcards are replaced by `host`, the
 * addresses of this host.  Spans borrow from config. */
void self_init(struct self *s, const struct config *config,
	       const struct net_addr *listen, size_t listen_count,
	       const struct net_addr *host, size_t host_count);
void self_fini(struct self *s);

bool self_is_name(const struct self *s, struct span name);
/* Of an MX host, with the port that would be connected to. */
bool self_is_addr(const struct self *s, const struct net_addr *addr);
/* Is it an address of this host, whatever listens there? */
bool self_has_addr(const struct self *s, const struct net_addr *addr);
/* Only by address and port: for hosts the operator named. */
bool self_is_listening(const struct self *s, const struct net_addr *addr);

#endif
