/* Where the route of a domain comes from, by the configuration. */
#ifndef MX_ROUTE_SOURCE_H
#define MX_ROUTE_SOURCE_H

#include "daemon/route/lookup.h"

/* Fill in domain, source, hops and the TLS level asked for; opt->config is set.
 * domain is borrowed. */
void source_choose(struct lookup_options *opt, struct span domain);

/* Append what equal look-ups have in common: domains with the same primary=
 * and level share one.  May hold any byte. */
void source_key(struct buf *key, const struct lookup_options *opt);

#endif
