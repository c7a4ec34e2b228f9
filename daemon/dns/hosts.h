/*
 * The names of /etc/hosts, for hosts that the operator named himself
 * (primary=, bounce.relay): as for every program on this machine, the file
 * comes before DNS.  MX hosts are DNS's alone (RFC 5321 section 5.1).
 */
#ifndef MX_DNS_HOSTS_H
#define MX_DNS_HOSTS_H

#include "common/base/arena.h"
#include "common/net/addr.h"
#include "daemon/dns/stamp.h"

#define HOSTS_FILE "/etc/hosts"

struct hosts {
	struct stamp stamp;
	struct arena arena;
	struct hosts_row *rows;
	size_t count;
};

/* Read it if it has changed; zeroed at first.  A line that makes no sense is
 * passed over, a file that cannot be read is empty, and only its first MiB
 * counts. */
void hosts_refresh(struct hosts *h, const char *path);
void hosts_fini(struct hosts *h);

/* The addresses of a host, at most max, in the order of the file. */
size_t hosts_find(const struct hosts *h, struct span name,
		  struct net_addr *addrs, size_t max);

#endif
