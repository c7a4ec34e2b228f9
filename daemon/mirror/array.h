/*
 * One-dimensional arrays as PostgreSQL's binary format has them: each batch
 * sends its rows as a few of them, whatever its size.
 *
 *   int32 dimensions (1, or 0: empty), int32 has nulls (0), int32 element type,
 *   int32 count, int32 lower bound (1), then for each element int32 length and
 *   its bytes; all big endian (PostgreSQL: array_recv)
 */
#ifndef MX_MIRROR_ARRAY_H
#define MX_MIRROR_ARRAY_H

#include "common/base/buf.h"

enum {
	ARRAY_BYTEA = 1001, /* bytea[]; its elements: 17 */
	ARRAY_INT8 = 1016,  /* bigint[]; 20 */
};

/* All zero behind array_init; buf_fini(&a.bytes) at the end. */
struct array {
	struct buf bytes;
	unsigned type; /* ARRAY_BYTEA ... */
	size_t count;
};

void array_init(struct array *a, unsigned type);
void array_add_int(struct array *a, int64_t v);	      /* to an ARRAY_INT8 */
void array_add_bytes(struct array *a, struct span s); /* to an ARRAY_BYTEA */
/* The whole as a parameter; borrowed, until the next change. */
struct span array_value(struct array *a);

/* Numbers as parameters and columns have them. */
void wire_put_int8(char out[static 8], int64_t v);
int64_t wire_get_int(struct span column); /* of 1, 2, 4 or 8 bytes */

#endif
