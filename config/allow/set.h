/*
 * A set of recipients: 64-bit keyed hashes and no text, 12 bytes each.  That
 * two of one set share a hash happens once in 2^64 / its size, and without the
 * key nobody can look for such a pair.
 */
#ifndef MX_ALLOW_SET_H
#define MX_ALLOW_SET_H

#include "config/allow/pool.h"

enum { SET_MAX = 1 << 28 };

struct set {
	uint64_t *slots; /* open addressing, linear; 0 is free */
	uint32_t room;	 /* how many slots */
	uint32_t used;
	uint32_t locals; /* of used: local parts, for every domain; the others
			    are local@domain */
};

/* Room for that many, less than SET_MAX, in memory of the pool. */
void set_init(struct set *set, struct pool *pool, size_t recipients);

enum set_added { SET_NEW, SET_OLD, SET_FULL };
/* A canonical local part; domain is canonical, too, or empty. */
enum set_added set_add(struct set *set, struct span local, struct span domain);

/* Is the local part in it, alone or with this domain? */
bool set_has(const struct set *set, struct span local, struct span domain);

#endif
