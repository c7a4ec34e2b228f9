/*
 * A second copy of what waits, kept by somebody else: what the spool tells a
 * mirror, and what it does with mail that comes back from one.
 */
#ifndef MX_SPOOL_MIRROR_H
#define MX_SPOOL_MIRROR_H

#include "common/spool/spool.h"

/* ---- Parcels ------------------------------------------------------------ */

/*
 * What changed, as rows for the mirror.  A row replaces one of the same key.
 * Whatever the order of the items: what is gone goes first, then the others
 * are put, so that GONE and rows of one id replace all that there was.
 */
enum parcel_kind {
	PARCEL_MESSAGE, /* id, row: the envelope.  All of its units follow in
			   this parcel: others of it go.  It is there only when
			   all of its content is, before or in this parcel */
	PARCEL_UNIT,	/* id, domain, state, row: its recipients */
	PARCEL_CONTENT, /* id, offset, row: the bytes that stand there */
	PARCEL_UNIT_GONE,  /* id, domain */
	PARCEL_GONE,	   /* id: the message, its units, its content */
	PARCEL_DRAFT_GONE, /* id: its content, unless there is a message */
	PARCEL_HOLD,	   /* domain, row: why the operator holds it */
	PARCEL_HOLD_GONE,  /* domain */
};

/* What a kind has not is 0 or empty. */
struct parcel_item {
	enum parcel_kind kind;
	uint64_t id, offset;
	struct span domain; /* at most 255 bytes; of HOLD: a pattern, too */
	struct span state;  /* at most 300: where the unit stands */
	struct span row;    /* below 4 GiB */
};

struct parcel; /* owned by one thread at a time */

struct parcel *parcel_new(void);
void parcel_free(struct parcel **p); /* NULL is fine */
/* Copies the item. */
void parcel_add(struct parcel *p, const struct parcel_item *item);
/* Memory that its items take; how many there are. */
size_t parcel_bytes(const struct parcel *p);
size_t parcel_count(const struct parcel *p);
/* The item at *pos (0: the first), which is then that of the next.  False: no
 * more.  Spans borrow from the parcel, until the next parcel_add. */
bool parcel_next(const struct parcel *p, size_t *pos, struct parcel_item *out);

#endif
