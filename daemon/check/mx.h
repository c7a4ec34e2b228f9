/* The MX set of a domain as the world sees it, and what is wrong with it.
 * Pure: answers have been had. */
#ifndef MX_CHECK_MX_H
#define MX_CHECK_MX_H

#include "daemon/check/finding.h"
#include "daemon/check/gather.h"
#include "daemon/dns/self.h"

enum {
	MX_HOSTS_MAX = 32,
	MX_ADDRS_MAX = 16,
	/* Shorter, and who lost the zone's servers with the primary has lost
	 * the backup, too. */
	MX_TTL_LEAST_S = 300,
	MX_TTL_MOST_S = 172800, /* a change takes so long to be seen */
	MX_TTL_GOOD_S = 3600,
};

/* One mail exchanger. */
struct mx_host {
	struct span name;
	unsigned preference;
	struct answer v4, v6;
	bool is_text;  /* an address where a name should be */
	/* filled in by mx_settle */
	bool is_self;
	bool is_dead;  /* nobody can connect to it */
	struct span canon; /* it is an alias of that; else empty */
	struct net_addr addrs[MX_ADDRS_MAX];
	size_t addr_count;
	const char *shunned; /* why none of its addresses is of use, or NULL */
};

struct mx_set {
	struct span domain;
	struct answer answer;
	bool has_null;         /* RFC 7505, alone or among others */
	struct mx_host *hosts; /* by preference */
	size_t count;
	/* Asked once more, of a resolver without memory: a TTL that runs down
	 * there is that of somebody's cache. */
	struct answer again;
	bool has_again;
	/* filled in by mx_settle */
	const struct mx_host *self; /* the best that is us; NULL: none */
};

/* Read the hosts out of the answer: the best MX_HOSTS_MAX of them, and this
 * host by name wherever it stands. */
void mx_read(struct mx_set *m, const struct self *self, struct arena *a);
/* Their addresses are there. */
void mx_settle(struct mx_set *m, const struct self *self, in_port_t port);
/* Is the TTL so low that it must be known whether it is the zone's? */
bool mx_wants_again(const struct mx_set *m);

/* What is published, and this host's name in it. */
struct mx_views {
	struct span own_name;
	bool has_primary; /* the allowlist names it: primary= */
	const struct self *self;
};
/* mx_judge.c: what is wrong with it. */
void mx_judge(struct findings *f, const struct mx_set *m,
	      const struct mx_views *v);

/* Append "example.org. 3600 IN MX 20 mx2.example.net." */
void mx_record(struct buf *out, const struct mx_set *m, unsigned preference,
	       struct span host);

#endif
