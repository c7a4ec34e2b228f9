/*
 * The recipients of a table that was fetched: what a recipient file is, but
 * not bound to an allowlist, so that it can be replaced while that stays.
 * Immutable.
 */
#ifndef MX_ALLOW_TABLE_H
#define MX_ALLOW_TABLE_H

#include <stdatomic.h>

#include "common/base/buf.h"
#include "config/allow/copy.h"

struct table;

/*
 * Read a copy (config/allow/copy.h) of this URL.  NULL: why says in one line
 * what is wrong; nothing at all: there is no such file.  head is that of the
 * copy.  Lines that are no recipients are a fault, or, where the operator
 * forced it, left out.  Blocks, for seconds where there are millions; another
 * thread may set *is_over (NULL: none does), and then it ends, with NULL.
 */
struct table *table_read(const char *path, struct span url,
			 struct copy_head *head, const atomic_bool *is_over,
			 struct buf *why);
void table_free(struct table **t); /* *t may be NULL */

size_t table_count(const struct table *t); /* 0 of NULL */
/* How many hold for a domain or a pattern. */
uint64_t table_count_of(const struct table *t, struct span domain);
/* When the copy was last known to be true; wall ms. */
int64_t table_time_ms(const struct table *t);

/* Local part and domain are canonical. */
bool table_has(const struct table *t, struct span local, struct span domain);
/* It has nobody in this domain, and that is no operator's word: it may well
 * lack the domain. */
bool table_is_silent(const struct table *t, struct span domain);

/* Why a new one is not believed in the place of the former (NULL: none), as a
 * phrase; false: it is believed. */
bool table_doubt(const struct table *former, const struct table *now,
		 struct buf *why);

#endif
