/* Brakes that are pulled, which are facts of the spool. */
#ifndef MX_DRAIN_STOPS_H
#define MX_DRAIN_STOPS_H

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/status/braked.h"

struct drain;

/* So often one message is tried: a report an hour, if the primary is broken, and
 * an hour is lost, if it was not. */
#define STOP_TRY_MS HOURS(1)

/* One of them: of a domain, or of a destination. */
struct stop {
	UT_hash_handle hh; /* by key */
	struct braked why;
	int64_t next_ms; /* monotonic: a message is tried */
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
/* A message is tried in so long. */
void stops_put_off(struct stop *s, int64_t wait_ms);
/* It is released. */
void stops_drop(struct drain *d, struct stop *s);

#endif
