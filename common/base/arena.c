#include "common/base/arena.h"

#include <stdalign.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"

enum { BLOCK_BYTES = 1024 - 32 };

struct arena_block {
	struct arena_block *next;
	size_t used, cap;
	alignas(max_align_t) char mem[];
};

void *arena_alloc(struct arena *a, size_t size)
{
	const size_t align = alignof(max_align_t);
	struct arena_block *b = a->blocks;
	size_t rounded;

	MX_ASSERT(!__builtin_add_overflow(size, align - 1, &rounded));
	rounded &= ~(align - 1);
	if (b == NULL || b->cap - b->used < rounded) {
		size_t cap = rounded > BLOCK_BYTES ? rounded : BLOCK_BYTES;

		b = mx_alloc(sizeof(*b) + cap);
		b->cap = cap;
		b->next = a->blocks;
		a->blocks = b;
		a->heap_bytes += sizeof(*b) + cap;
	}
	void *p = b->mem + b->used;
	b->used += rounded;
	a->bytes += rounded;
	return p;
}

void *arena_alloc_array(struct arena *a, size_t count, size_t size)
{
	size_t total;

	MX_ASSERT(!__builtin_mul_overflow(count, size, &total));
	return arena_alloc(a, total);
}

struct span arena_span(struct arena *a, struct span s)
{
	return (struct span){ arena_str(a, s), s.n };
}

char *arena_str(struct arena *a, struct span s)
{
	char *copy = arena_alloc(a, s.n + 1);

	if (s.n > 0)
		memcpy(copy, s.p, s.n);
	return copy;
}

void arena_reset(struct arena *a)
{
	struct arena_block *b = a->blocks;

	while (b != NULL) {
		struct arena_block *next = b->next;

		free(b);
		b = next;
	}
	*a = (struct arena){ 0 };
}
