/*
 * uthash for tables whose keys strangers choose: names of domains and hosts,
 * addresses.  Include this instead of <uthash.h>.  The hash is keyed with what
 * nobody outside knows, so that nobody can choose names that fall into one
 * bucket and make each look-up a walk through all of them.
 */
#ifndef MX_BASE_HASH_H
#define MX_BASE_HASH_H

#include "common/base/span.h"

/* Another key in each process: not for what is stored.  Thread-safe. */
uint64_t hash_keyed(struct span s);

/* Of numbers of ours, such as ids that count up: the golden ratio spreads them
 * over the upper bits. */
static inline unsigned hash_number(uint64_t n)
{
	return (unsigned)((n * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

#define HASH_FUNCTION(key, n, hash)                                            \
	((hash) = (unsigned)hash_keyed((struct span){                          \
		 (const char *)(key), (n) }))
#include <uthash.h>

#endif
