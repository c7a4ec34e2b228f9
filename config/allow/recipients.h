/* A recipient file, read into a source of domains_priv.h. */
#ifndef MX_ALLOW_RECIPIENTS_H
#define MX_ALLOW_RECIPIENTS_H

#include "config/allow/domains_priv.h"
#include "config/allow/lines.h"
#include "config/value/error.h"

/* A recipient file: where it is, and the first row that named it. */
struct recipient_file {
	struct span path; /* NUL behind it */
	uint32_t line;    /* of the allowlist */
};

struct recipients_reader {
	struct domains *d;
	struct config_errors *errors;
	struct span allowlist;
	struct lines *lines;
	struct buf local, domain; /* scratch: canonical forms */
};

/* Fill the set of a source from its file; allowlist is named where the file is
 * missing. */
void recipients_read(struct recipients_reader *r, struct source *source,
		     const struct recipient_file *file);

#endif
