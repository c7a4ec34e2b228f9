/*
 * What the mirror lacks, as rows: written by the transaction that made it so,
 * and struck off when the mirror has it.
 */
#ifndef MX_SPOOL_NOTE_H
#define MX_SPOOL_NOTE_H

#include "common/spool/spool_priv.h"

/* What the mirror has of a message. */
enum note_kind {
	NOTE_NONE,   /* what we have */
	NOTE_ABSENT, /* nothing, for certain: a row in mirror-absent */
	/* a row in mirror-stale: */
	NOTE_PART, /* its content up to `at`, and perhaps something else */
	NOTE_ROWS, /* all of its content; the rest is old, or it is to go */
	NOTE_DRAFT_GONE, /* content of what never became a message */
};

struct note {
	enum note_kind kind;
	uint64_t stamp; /* the transaction that touched it last */
	uint64_t at;	/* NOTE_PART */
};

/* *out is NOTE_NONE where there is none. */
enum mx_err note_get(struct spool *sp, MDB_txn *txn, uint64_t id,
		     struct note *out);
/* Its row, wherever it stood before; NOTE_NONE: none any more.  The stamp is
 * this transaction's. */
enum mx_err note_put(struct batch *b, uint64_t id, struct note note);
/* The first of a kind from this id on.  MX_ENOENT. */
enum mx_err note_next_absent(struct spool *sp, MDB_txn *txn, uint64_t from,
			     uint64_t *id);
/* The last from this id down. */
enum mx_err note_last_absent(struct spool *sp, MDB_txn *txn, uint64_t from,
			     uint64_t *id);
enum mx_err note_next_stale(struct spool *sp, MDB_txn *txn, uint64_t from,
			    uint64_t *id, struct note *out);

/* A hold of a domain: its stamp; 0: no row. */
enum mx_err note_hold_get(struct spool *sp, MDB_txn *txn, struct span domain,
			  uint64_t *stamp);
enum mx_err note_hold_put(struct batch *b, struct span domain);
enum mx_err note_hold_del(struct batch *b, struct span domain);

/* How many rows there are; O(1). */
enum mx_err note_count(struct spool *sp, MDB_txn *txn, uint64_t *rows);

/* The row "mirror" of meta, in a spool that has or had one. */
enum { MIRROR_ROW_SIZE = 1 + 16 + 3 * 8 };
char *mirror_row_put(char *p, const struct mirror_row *row);
bool mirror_row_get(struct span value, struct mirror_row *row);

#endif
