/*
 * Memory for a snapshot of any size: a few big mappings, never malloc, so
 * that neither filling nor freeing one disturbs the loop's heap.
 */
#ifndef MX_ALLOW_POOL_H
#define MX_ALLOW_POOL_H

#include "common/base/span.h"

struct pool_chunk;

/* All zero is a valid empty pool. */
struct pool {
	struct pool_chunk *chunks;
	size_t bytes; /* mapped */
};

/* Zeroed, aligned for any object; lives until pool_free.  Pages that are not
 * touched cost nothing: asking for the upper bound is fine. */
void *pool_alloc_array(struct pool *p, size_t count, size_t size);

/* A copy with a NUL behind it. */
struct span pool_span(struct pool *p, struct span s);

/* Unmapped piece by piece: the kernel's lock on the address space, which
 * page faults of the loop need, too, is never held for long. */
void pool_free(struct pool *p);

#endif
