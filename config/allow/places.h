/* How many addresses a table has in each domain, without their names. */
#ifndef MX_ALLOW_PLACES_H
#define MX_ALLOW_PLACES_H

#include "common/base/span.h"

struct place {
	uint64_t hash;
	uint32_t parent; /* 1 + number of "*." and what is above; 0: none */
	uint32_t count;
};

/* All zero is empty. */
struct places {
	struct place *rows;
	uint32_t *index; /* open addressing: 1 + number of a row */
	uint32_t count, room;
};
void places_fini(struct places *p);

/* One more address in this canonical domain. */
void places_count(struct places *p, struct span domain);
/* After the last one: add what is in each domain to "*." above it. */
void places_sum(struct places *p);
/* In this domain, or below it for "*.example.com". */
uint32_t places_get(const struct places *p, struct span domain);

#endif
