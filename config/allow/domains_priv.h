/*
 * The inside of domains.h, filled by allowlist.c and recipients.c.
 *
 *   index: hash of the name -> row     rows: one per allowlist line
 *   row -> uses -> set                 sets: one per recipient file or URL
 *   set: hash of the recipient, or 0
 *
 * A set keeps 64-bit keyed hashes and no text: 12 bytes a recipient.  That two
 * names of one set share a hash happens once in 2^64 / its size, and without
 * the key nobody can look for such a pair.
 */
#ifndef MX_ALLOW_DOMAINS_PRIV_H
#define MX_ALLOW_DOMAINS_PRIV_H

#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/hash.h"
#include "config/allow/domains.h"
#include "config/allow/pool.h"

enum { ROWS_MAX = 1 << 28 };

/* A set that a row names. */
struct use {
	uint32_t set;
	uint32_t own; /* addresses of the set that are the row's alone */
};

struct row {
	uint32_t use, use_count; /* in uses; 0: no file and no URL */
	uint32_t line;		 /* in the allowlist */
	bool has_idle;		 /* sources beside a * */
	struct config_domain pub; /* its name in the same cache line */
};

struct set {
	uint64_t *slots; /* open addressing, linear; 0 is free */
	uint32_t room;   /* how many slots */
	uint32_t used;
	uint32_t locals; /* of used: local parts, for every domain of the set;
			    the others are local@domain */
	uint32_t row;    /* the first that names it */
	const char *file; /* as it does; NULL: recipients/ and its name */
	bool is_url;	  /* has no slots */
};

struct slot {
	uint32_t tag; /* upper half of the hash */
	uint32_t row; /* 1 + its number; 0 is free */
};

/* Rows that deserve a warning. */
struct row_kind {
	const struct row *first; /* NULL: none */
	size_t count;
};

struct domains {
	struct pool pool;
	struct span path; /* of the allowlist; empty: of none */
	struct row *rows;
	size_t row_count;
	struct slot *index;
	size_t index_mask;
	struct set *sets;
	struct use *uses;
	size_t set_count, use_count, recipient_count;
	size_t wildcard_count;
	struct row_kind any;	/* with recipients=* */
	struct row_kind idle;	/* with that and further sources */
	struct row_kind brief;	/* with a lifetime of less than a day */
};

/* Room for that many rows, and for as many sets and uses of them as sources,
 * of the allowlist at path. */
struct domains *domains_new(struct span path, size_t rows, size_t sources);

/* Enter rows[row_count] under its name, once that is set: NULL, or the row
 * that has the name already. */
const struct row *domains_add(struct domains *d);

static inline void row_kind_count(struct row_kind *k, const struct row *row)
{
	if (k->count++ == 0)
		k->first = row;
}

/* The row that config_domain is the face of. */
static inline const struct row *domains_row(const struct config_domain *pub)
{
	return (const struct row *)(const void *)((const char *)pub -
						  offsetof(struct row, pub));
}

/* Room for that many recipients, then each of them; false: it is full.
 * local is canonical; owner is that of the row of an address, whose canonical
 * domain is given, or NULL for a local part alone. */
void set_init(struct domains *d, struct set *set, size_t recipients);
bool set_add(struct domains *d, struct set *set, struct span local,
	     struct span domain, struct use *owner);

/* How many recipients hold for this row; NO_LIMIT: every local part does, or
 * they cannot be counted. */
#define NO_LIMIT UINT64_MAX
uint64_t row_recipients(const struct domains *d, const struct row *row);
/* The same of one of its uses. */
uint64_t use_recipients(const struct domains *d, const struct use *use);
/* The use of this set, or NULL. */
struct use *row_use_of(const struct domains *d, const struct row *row,
		       uint32_t set);
/* Append the path of the file of a set. */
void set_file(struct buf *out, const struct domains *d, uint32_t set);

#endif
