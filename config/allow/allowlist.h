/* The allowlist and the recipient files it names, read into domains.h. */
#ifndef MX_ALLOW_ALLOWLIST_H
#define MX_ALLOW_ALLOWLIST_H

#include "config/allow/domains.h"
#include "config/value/error.h"

/* What a line that does not say it has. */
struct allowlist_defaults {
	enum tls_level tls;
	int64_t lifetime_ms;
	uint64_t quota_bytes;
	in_port_t port; /* of primary= */
	enum unknown_mode unknown;
	enum standby_mode standby;
	struct span tables; /* the folder of copies of what is fetched */
};

/*
 * Read the file at path (NUL behind it) and all recipient files.  Faults go to
 * errors; what could be read is returned even then, or NULL.
 */
struct domains *allowlist_read(struct span path,
			       const struct allowlist_defaults *defaults,
			       struct config_errors *errors);

/* What the rows deserve to be warned of.  O(1): they were counted while they
 * were read. */
void allowlist_doubts(const struct domains *d, struct config_errors *errors);

#endif
