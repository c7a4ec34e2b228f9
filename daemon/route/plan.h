/* What TLS must achieve with each host: the rules of RFC 7672 and RFC 8461
 * over what the configuration asks.  Pure. */
#ifndef MX_ROUTE_PLAN_H
#define MX_ROUTE_PLAN_H

#include "daemon/route/choose.h"

struct plan {
	enum tls_level level;    /* of the configuration; never DEFAULT */
};

/* Fill in tls of every host that is used. */
void plan_tls(struct choice *c, const struct plan *p);

#endif
