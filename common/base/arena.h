/* Memory that is released all at once: a transaction's, a unit's. */
#ifndef MX_BASE_ARENA_H
#define MX_BASE_ARENA_H

#include "common/base/span.h"

struct arena_block;

/* All zero is a valid empty arena. */
struct arena {
	struct arena_block *blocks;
	size_t bytes; /* handed out since the last reset */
	size_t heap_bytes; /* what the heap gave for it */
};

/* Zeroed, aligned for any object; lives until arena_reset. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_alloc_array(struct arena *a, size_t count, size_t size);

/* A copy with a NUL behind it; an empty span copies to "", never NULL. */
struct span arena_span(struct arena *a, struct span s);
char *arena_str(struct arena *a, struct span s);

/* Forget everything and return the memory to the heap. */
void arena_reset(struct arena *a);

#endif
