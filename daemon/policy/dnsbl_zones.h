/* The zones of a configuration that are asked about clients (dnsbl.h). */
#ifndef MX_POLICY_DNSBL_ZONES_H
#define MX_POLICY_DNSBL_ZONES_H

#include "config/config.h"

struct zone {
	char *name;
	unsigned weight;
	unsigned silent;  /* on end */
	int64_t rests_ms; /* until then it is not asked */
};

struct zones {
	unsigned refs;
	size_t count;
	struct zone zone[];
};

/* With one reference. */
struct zones *zones_new(const struct config *c);
void zones_unref(struct zones **z); /* NULL is fine */
/* Would those of c be the same?  z NULL: no. */
bool zones_are_same(const struct zones *z, const struct config *c);
/* It answered, or was silent for 5 seconds. */
void zone_note(struct zone *z, bool is_silent);

#endif
