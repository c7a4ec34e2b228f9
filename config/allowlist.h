/* The allowlist and the recipient files it names, read into domains.h. */
#ifndef MX_CONFIG_ALLOWLIST_H
#define MX_CONFIG_ALLOWLIST_H

#include "config/table.h"

/*
 * Read c->domains_path (NUL behind it) and all recipient files.  Sets
 * c->domains and the counts, also when there were faults: they go to errors.
 */
void allowlist_read(struct config *c, struct config_errors *errors);

/* ---- recipients.c ---- */

/* A recipient file: where it is, and the first row that named it. */
struct source {
	struct span path; /* NUL behind it */
	uint32_t line;    /* of the allowlist */
};

/* Fill set from its file; allowlist is named where the file is missing. */
struct lines;
struct recipients_reader {
	struct domains *d;
	struct config_errors *errors;
	struct span allowlist;
	struct lines *lines;
	struct buf local, domain; /* scratch: canonical forms */
};
void recipients_read(struct recipients_reader *r, struct set *set,
		     const struct source *source);

#endif
