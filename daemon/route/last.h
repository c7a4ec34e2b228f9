/*
 * The last options of a domain that is listed no longer: by them its mail goes
 * that still waits, when the operator lets it.  A line of text as in the
 * allowlist: "tls=must primary=mx.example.org:25,[192.0.2.1]:2525"; empty: by
 * MX records, with TLS as mx20.conf says.
 */
#ifndef MX_ROUTE_LAST_H
#define MX_ROUTE_LAST_H

#include "daemon/route/lookup.h"

/* The name it is stored under. */
void last_key(struct buf *key, struct span domain);
/* What differs from the rest of c. */
void last_print(struct buf *out, const struct config *c,
		const struct config_domain *row);
/* Into what source_choose has filled in; a word that cannot be understood is
 * left out.  What opt borrows is the arena's. */
void last_apply(struct lookup_options *opt, struct span text, struct arena *a);

#endif
