#include "config/allow/places.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/hash.h"

enum { FIRST_ROOM = 16 };

void places_fini(struct places *p)
{
	free(p->rows);
	free(p->index);
	*p = (struct places){ 0 };
}

/* The place in the index, which is twice the room, that has the hash or is
 * free. */
static uint32_t *locate(const struct places *p, uint64_t hash)
{
	const size_t mask = (size_t)p->room * 2 - 1;
	size_t i = hash & mask;

	while (p->index[i] != 0 && p->rows[p->index[i] - 1].hash != hash)
		i = (i + 1) & mask;
	return &p->index[i];
}

static void grow(struct places *p)
{
	p->room = p->room > 0 ? p->room * 2 : FIRST_ROOM;
	p->rows = mx_realloc(p->rows, p->room * sizeof(*p->rows));
	free(p->index);
	p->index = mx_alloc_array((size_t)p->room * 2, sizeof(*p->index));
	for (uint32_t i = 0; i < p->count; i++)
		*locate(p, p->rows[i].hash) = i + 1;
}

/* "*." in front of a name turns one bit: no text is put together. */
static uint64_t hash_place(struct span base, bool is_pattern)
{
	return hash_keyed(base) ^ (is_pattern ? 1 : 0);
}

/* Its number + 1; further ones above it are made with it. */
static uint32_t enter(struct places *p, struct span base, bool is_pattern)
{
	const uint64_t hash = hash_place(base, is_pattern);
	uint32_t number = p->room > 0 ? *locate(p, hash) : 0;
	struct span above = base;

	if (number != 0)
		return number;
	if (p->count == p->room)
		grow(p);
	number = ++p->count;
	p->rows[number - 1] = (struct place){ .hash = hash };
	*locate(p, hash) = number;
	(void)span_cut(&above, '.');
	if (above.n > 0) { /* at most 127 deep: a name has no more labels */
		uint32_t parent = enter(p, above, true);

		p->rows[number - 1].parent = parent; /* it may have moved */
	}
	return number;
}

void places_count(struct places *p, struct span domain)
{
	const uint32_t number = enter(p, domain, false);

	p->rows[number - 1].count++;
}

void places_sum(struct places *p)
{
	uint32_t *own = mx_alloc_array((size_t)p->count + 1, sizeof(*own));

	for (uint32_t i = 0; i < p->count; i++)
		own[i] = p->rows[i].count;
	for (uint32_t i = 0; i < p->count; i++)
		for (uint32_t at = p->rows[i].parent; own[i] > 0 && at != 0;
		     at = p->rows[at - 1].parent)
			p->rows[at - 1].count += own[i];
	free(own);
}

uint32_t places_get(const struct places *p, struct span domain)
{
	bool is_pattern = span_starts(domain, SPAN_LIT("*."));
	struct span base = span_skip(domain, is_pattern ? 2 : 0);
	uint32_t number;

	if (p->room == 0)
		return 0;
	number = *locate(p, hash_place(base, is_pattern));
	return number != 0 ? p->rows[number - 1].count : 0;
}
