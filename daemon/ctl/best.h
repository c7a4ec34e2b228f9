/* The first so many of a long list, in another order than it comes in. */
#ifndef MX_CTL_BEST_H
#define MX_CTL_BEST_H

#include <jansson.h>

#include "common/base/buf.h"

/* What a thing is ordered by: the number, then the text, then as they came. */
struct best_key {
	int64_t number;
	struct span text;
};

struct best_row;

/* All zero but for most (> 0), which is how many are kept. */
struct best {
	size_t most;
	uint64_t seen;	/* how many there were */
	struct best_row *rows; /* a heap: the last of them at its root */
	size_t n, cap;
};
void best_fini(struct best *b);

/* Copies the text; takes a reference to the item if it is kept. */
void best_add(struct best *b, const struct best_key *key, json_t *item);

/* An array of those kept, in order; b is empty afterwards. */
json_t *best_take(struct best *b);

#endif
