/*
 * What a configuration changes against the one before, and whether that looks
 * like an accident: a truncated export empties allowlists and recipient files
 * far more often than an operator does.
 */
#ifndef MX_ALLOW_COMPARE_H
#define MX_ALLOW_COMPARE_H

#include "config/allow/domains.h"
#include "config/value/error.h"

/* So many names are shown of each kind. */
enum { CHANGE_NAMES = 5 };

struct change_names {
	uint64_t count;
	struct buf names; /* the first CHANGE_NAMES, one a line */
};

struct change {
	struct change_names gone;    /* rows that no row covers any more */
	struct change_names come;    /* rows that no row covered before */
	struct change_names waiting; /* domains that go, and have mail */
	uint64_t messages;	     /* theirs, all together */
	size_t domains_before, domains, recipients_before, recipients;
	struct config_errors refusals; /* taken only when that is forced */
	/* to whom it belongs: see change_find */
	const struct domains *old, *now;
};

/*
 * Compare the rows, and the recipients of each.  O(rows), for a thread: a
 * second at a million domains.  Both must live until change_end.  A name that
 * another row covers (a new "*." above it) is not gone.
 */
void change_find(struct change *ch, const struct domains *old,
		 const struct domains *now);

/* So many messages wait for this domain.  To be called for every domain with
 * mail, if any row is gone. */
void change_mail(struct change *ch, struct span domain, uint64_t messages);
/* It is not known what waits: why. */
void change_mail_unknown(struct change *ch, struct span why);

/*
 * Refuse: no domain left, more than half of them gone, mail of domains that
 * go; a recipient file (of a domain that stays) that had recipients and has
 * none, or lost more than half of at least 20.
 */
void change_end(struct change *ch);
void change_fini(struct change *ch);

/* "-10,000 domains, +2; -12 recipients; 1,000 messages wait for domains that
 * go" and then names, on lines of their own; nothing when none comes or goes.
 */
void change_text(struct buf *out, const struct change *ch);

/* Further names of the same kind, and all of them in one line. */
void change_names_add(struct change_names *names, struct span name);
void change_names_text(struct buf *out, const struct change_names *names);

/* "1 message waits", "1,000 messages wait". */
void change_waiting(struct buf *out, uint64_t messages);
/* "1 domain", "1,000 domains". */
void change_count(struct buf *out, uint64_t n, const char *what);

#endif
