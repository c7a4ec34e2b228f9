/* Brakes that are pulled, which are facts of the spool. */
#ifndef MX_DRAIN_STOPS_H
#define MX_DRAIN_STOPS_H

#include "common/base/hash.h"
#include "common/status/braked.h"

struct domain;
struct drain;
struct route;

/* One of them: of a domain, or of a destination. */
struct stop {
	UT_hash_handle hh; /* by key */
	struct braked why;
	size_t key_len;
	char key[]; /* the name of the fact */
};

void stops_load(struct drain *d);
void stops_forget(struct drain *d);
/* NULL: it is not pulled. */
struct stop *stops_of_domain(struct drain *d, struct span name);
struct stop *stops_of_route(struct drain *d, struct span route_key);
/* It is pulled, for this reason, and stays so over a restart. */
struct stop *stops_add_domain(struct drain *d, struct span name,
			      const struct braked *why);
struct stop *stops_add_route(struct drain *d, struct span route_key,
			     const struct braked *why);
/* It is released. */
void stops_drop(struct drain *d, struct stop *s);

#endif
