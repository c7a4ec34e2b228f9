#include <criterion/criterion.h>

#include "daemon/mirror/array.h"

static void expect(struct array *a, const char *bytes, size_t n)
{
	struct span v = array_value(a);

	cr_assert_eq(v.n, n, "%zu bytes", v.n);
	cr_expect_eq(memcmp(v.p, bytes, n), 0);
	buf_fini(&a->bytes);
}

/* As array_recv of PostgreSQL reads it: dimensions, nulls, type, count, lower
 * bound, then the elements. */
Test(array, numbers)
{
	static const char bytes[] = "\0\0\0\1"
				    "\0\0\0\0"
				    "\0\0\0\x14"
				    "\0\0\0\2"
				    "\0\0\0\1"
				    "\0\0\0\x08"
				    "\0\0\0\0\0\0\1\2"
				    "\0\0\0\x08"
				    "\xff\xff\xff\xff\xff\xff\xff\xff";
	struct array a;

	array_init(&a, ARRAY_INT8);
	array_add_int(&a, 258);
	array_add_int(&a, -1);
	expect(&a, bytes, sizeof(bytes) - 1);
}

Test(array, bytes_of_any_kind)
{
	static const char bytes[] = "\0\0\0\1"
				    "\0\0\0\0"
				    "\0\0\0\x11"
				    "\0\0\0\3"
				    "\0\0\0\1"
				    "\0\0\0\3"
				    "a\0b"
				    "\0\0\0\0"
				    "\0\0\0\1"
				    "\\";
	struct array a;

	array_init(&a, ARRAY_BYTEA);
	array_add_bytes(&a, SPAN_LIT("a\0b"));
	array_add_bytes(&a, SPAN_LIT(""));
	array_add_bytes(&a, SPAN_LIT("\\"));
	expect(&a, bytes, sizeof(bytes) - 1);
}

/* An empty one has no dimension at all. */
Test(array, empty)
{
	static const char bytes[] = "\0\0\0\0"
				    "\0\0\0\0"
				    "\0\0\0\x14";
	struct array a;

	array_init(&a, ARRAY_INT8);
	expect(&a, bytes, sizeof(bytes) - 1);
}

Test(array, numbers_of_any_width)
{
	char eight[8];

	wire_put_int8(eight, -5);
	cr_expect_eq(wire_get_int(span_of(eight, 8)), -5);
	cr_expect_eq(wire_get_int(SPAN_LIT("\xff\xfe")), -2);
	cr_expect_eq(wire_get_int(SPAN_LIT("\0\0\1\0")), 256);
	cr_expect_eq(wire_get_int(SPAN_LIT("\1")), 1); /* true */
	cr_expect_eq(wire_get_int(SPAN_LIT("")), 0);   /* NULL */
}
