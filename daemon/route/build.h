/* From a settled choice to the immutable route. */
#ifndef MX_ROUTE_BUILD_H
#define MX_ROUTE_BUILD_H

#include "daemon/route/choose.h"

/* What is known besides the hosts. */
struct build_facts {
	struct span domain;
	enum route_result result;
	bool is_final;
	struct span reason;
	enum route_dnssec mx_dnssec;
	bool is_set_secure;      /* the list of hosts can be trusted */
	enum tls_level tls;      /* what the configuration asks */
	struct route_sts sts;
	int64_t expires_ms;
	unsigned findings;       /* of this host: router_findings */
};

/* A route with one reference that owns copies of all it needs. */
struct route *build_route(const struct choice *c, const struct build_facts *f);

/* The same answer for longer: DNS does not answer.  Borrows from base. */
struct route *build_stale(struct route *base, int64_t expires_ms);

#endif
