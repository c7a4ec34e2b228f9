#include "daemon/mirror/array.h"

#include <endian.h>

#include "common/base/assert.h"

enum { HEAD_BYTES = 20, OID_BYTEA = 17, OID_INT8 = 20 };

static void put_int4(char *out, size_t v)
{
	uint32_t be = htobe32((uint32_t)v);

	MX_ASSERT(v <= INT32_MAX);
	memcpy(out, &be, sizeof(be));
}

void array_init(struct array *a, unsigned type)
{
	*a = (struct array){ .type = type };
	(void)buf_reserve(&a->bytes, HEAD_BYTES);
	a->bytes.n = HEAD_BYTES;
}

void array_add_int(struct array *a, int64_t v)
{
	char *out = buf_reserve(&a->bytes, 12);

	MX_ASSERT(a->type == ARRAY_INT8);
	put_int4(out, 8);
	wire_put_int8(out + 4, v);
	a->bytes.n += 12;
	a->count++;
}

void array_add_bytes(struct array *a, struct span s)
{
	char *out = buf_reserve(&a->bytes, 4 + s.n);

	MX_ASSERT(a->type == ARRAY_BYTEA);
	put_int4(out, s.n);
	if (s.n > 0)
		memcpy(out + 4, s.p, s.n);
	a->bytes.n += 4 + s.n;
	a->count++;
}

struct span array_value(struct array *a)
{
	char *head = a->bytes.p;

	put_int4(head, a->count > 0);
	put_int4(head + 4, 0);
	put_int4(head + 8, a->type == ARRAY_INT8 ? OID_INT8 : OID_BYTEA);
	put_int4(head + 12, a->count);
	put_int4(head + 16, 1);
	return a->count > 0 ? buf_span(&a->bytes) : span_of(head, 12);
}

void wire_put_int8(char out[static 8], int64_t v)
{
	uint64_t be = htobe64((uint64_t)v);

	memcpy(out, &be, sizeof(be));
}

int64_t wire_get_int(struct span column)
{
	uint64_t v = column.n > 0 && (column.p[0] & 0x80) ? UINT64_MAX : 0;

	for (size_t i = 0; i < column.n; i++)
		v = v << 8 | (unsigned char)column.p[i];
	return (int64_t)v;
}
