/* The inside of allowlist.h: what its files share while they read one. */
#ifndef MX_ALLOW_ALLOWLIST_PRIV_H
#define MX_ALLOW_ALLOWLIST_PRIV_H

#include "config/allow/allowlist.h"
#include "config/allow/recipients.h"
#include "config/value/error.h"
#include "config/value/text.h"

/* What reading the allowlist needs and the result does not keep. */
struct reader {
	struct span path; /* NUL behind it */
	const struct allowlist_defaults *defaults;
	struct config_errors *errors;
	struct domains *d;
	struct lines lines;
	struct pool scratch;
	size_t room;		/* lines, and so rows */
	size_t source_room;	/* sets, uses and sources: with more of them
				 * a line has a comma between two */
	struct recipient_file *sources; /* one per set of d */
	uint32_t *by_path;	/* open addressing: 1 + number of a source */
	size_t by_path_mask;
	struct span line;	/* this one, whole */
	bool has_begun;		/* with a line that is one of a list */
	struct span as_written; /* the domain of this line */
	struct buf text;
};

#define FAIL(r, ...)                                                           \
	config_fail((r)->errors, (r)->path, (r)->lines.number, __VA_ARGS__)

/* ---- allowlist_sources.c: where the recipients of a domain come from ---- */

/* recipients/DOMAIN, for a line that names no other. */
void sources_take_default(struct reader *r, struct row *row);
/* list: the value of recipients=. */
void sources_take(struct reader *r, struct row *row, struct span list);

/* ---- allowlist_options.c ---- */

/* Options of a line that are asked about elsewhere. */
enum { OPT_RECIPIENTS, OPT_PRIMARY, OPT_LIFETIME };

/* word: name=value.  *seen: a bit for each option of this line, 1 << OPT_... */
void row_option_take(struct reader *r, struct row *row, struct span word,
		     unsigned *seen);

#endif
