/*
 * The inside of domains.h, filled by allowlist.c and recipients.c.
 *
 *   index: hash of the name -> row     rows: one per allowlist line
 *   row -> uses -> source              sources: one per recipient file or URL
 *   source -> set, or feed -> table    set.h, feed.h
 */
#ifndef MX_ALLOW_DOMAINS_PRIV_H
#define MX_ALLOW_DOMAINS_PRIV_H

#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/hash.h"
#include "config/allow/domains.h"
#include "config/allow/feed.h"
#include "config/allow/pool.h"
#include "config/allow/set.h"

enum { ROWS_MAX = 1 << 28 };

/* A source that a row names. */
struct use {
	uint32_t source;
	uint32_t own; /* addresses of its set that are the row's alone */
};

struct row {
	uint32_t use, use_count; /* in uses; 0: no file and no URL */
	uint32_t line;		 /* in the allowlist */
	bool has_idle;		 /* sources beside a * */
	struct config_domain pub; /* its name in the same cache line */
};

struct source {
	struct feed *feed; /* of a URL, a reference; NULL: a file */
	/* of a file */
	struct set set;
	uint32_t row;	  /* the first that names it */
	const char *file; /* as it does; NULL: recipients/ and its name */
	int64_t changed_ms;
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
	struct source *sources;
	struct use *uses;
	size_t source_count, use_count, recipient_count;
	size_t wildcard_count;
	bool has_quota;		/* a row does */
	bool has_standby[STANDBY_MODES];
	struct row_kind any;	/* with recipients=* */
	struct row_kind idle;	/* with that and further sources */
	struct row_kind brief;	/* with a lifetime of less than a day */
};

/* Room for that many rows, sources and uses of them, of the allowlist at path.
 */
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

/* A recipient of a file, as set_add; owner is that of the row of an address, or
 * NULL for a local part alone.  False: there is no room. */
bool domains_take(struct domains *d, struct set *set, struct span local,
		  struct span domain, struct use *owner);

/* How many recipients hold for this row; NO_LIMIT: every local part does, or
 * they cannot be counted. */
#define NO_LIMIT UINT64_MAX
uint64_t row_recipients(const struct domains *d, const struct row *row);
/* The same of one of its uses. */
uint64_t use_recipients(const struct domains *d, const struct row *row,
			const struct use *use);
/* The use of this source, or NULL. */
struct use *row_use_of(const struct domains *d, const struct row *row,
		       uint32_t source);
/* Append the path of its file, or its URL without user and password. */
void source_name(struct buf *out, const struct domains *d, uint32_t source);

#endif
