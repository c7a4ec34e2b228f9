/* Internet addresses and networks as values. */
#ifndef MX_NET_ADDR_H
#define MX_NET_ADDR_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "common/base/buf.h"
#include "common/base/err.h"

/* An address and port; family AF_INET, AF_INET6, or AF_UNSPEC for none.  An
 * IPv4-mapped IPv6 address is turned into IPv4 wherever one is made. */
struct net_addr {
	sa_family_t family;
	in_port_t port; /* host byte order */
	unsigned char ip[16]; /* network order; 4 used for AF_INET */
};

/* "192.0.2.1" or "2001:db8::1", no port, no brackets, no zone. */
enum mx_err net_addr_parse(struct span text, struct net_addr *out);

/* "192.0.2.1:25", "[2001:db8::1]:25", "192.0.2.1@53": sep is ':' or '@'; the
 * port defaults to dflt_port when it is not there. */
enum mx_err net_endpoint_parse(struct span text, char sep, in_port_t dflt_port,
			       struct net_addr *out);

/* Append "192.0.2.1" / "2001:db8::1". */
void net_addr_add(struct buf *out, const struct net_addr *a);
/* Append "192.0.2.1:25" / "[2001:db8::1]:25". */
void net_endpoint_add(struct buf *out, const struct net_addr *a);

/* The port does not count. */
bool net_addr_eq(const struct net_addr *a, const struct net_addr *b);
bool net_endpoint_eq(const struct net_addr *a, const struct net_addr *b);

/* The key under which one client is counted: an IPv4 address, or an IPv6 /64
 * since a single host owns that much. Port is zero. */
struct net_addr net_addr_client(const struct net_addr *a);

socklen_t net_addr_to_sockaddr(const struct net_addr *a,
			       struct sockaddr_storage *ss);
void net_addr_from_sockaddr(struct net_addr *a, const struct sockaddr *sa);

/* A network, "192.0.2.0/24" or an address alone. */
struct net_cidr {
	struct net_addr addr;
	unsigned bits;
};
enum mx_err net_cidr_parse(struct span text, struct net_cidr *out);
bool net_cidr_has(const struct net_cidr *n, const struct net_addr *a);

/* All addresses of this host's interfaces, for self-exclusion from MX sets.
 * *out from the heap. */
enum mx_err net_addr_local(struct net_addr **out, size_t *count);

#endif
