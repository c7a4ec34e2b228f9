/* Rows for the mirror, as bytes. */
#include <criterion/criterion.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/spool/mirror.h"

TestSuite(spool_parcel, .timeout = 20);

/* what a constant may be made of */
#define TEXT(s) { s, sizeof(s) - 1 }

static const struct parcel_item items[] = {
	{ PARCEL_GONE, .id = 1 },
	{ PARCEL_MESSAGE, .id = UINT64_MAX, .row = TEXT("an envelope") },
	{ PARCEL_UNIT,
	  .id = 2,
	  .domain = TEXT("a.example"),
	  .state = TEXT("\0\1"),
	  .row = TEXT("rcpts\0") },
	{ PARCEL_CONTENT, .id = 2, .offset = UINT64_C(1) << 40 },
	{ PARCEL_HOLD, .domain = TEXT("*.a.example"),
	  .row = TEXT("why") },
	{ PARCEL_HOLD_GONE, .domain = TEXT("b.example") },
};

static void expect_eq(const struct parcel_item *a, const struct parcel_item *b)
{
	cr_expect_eq(a->kind, b->kind);
	cr_expect_eq(a->id, b->id);
	cr_expect_eq(a->offset, b->offset);
	cr_expect(span_eq(a->domain, b->domain));
	cr_expect(span_eq(a->state, b->state));
	cr_expect(span_eq(a->row, b->row));
}

Test(spool_parcel, what_is_put_in_comes_out)
{
	struct parcel *p = parcel_new();
	struct parcel_item got;
	size_t pos = 0;

	cr_assert_not(parcel_next(p, &pos, &got));
	for (size_t i = 0; i < COUNT(items); i++)
		parcel_add(p, &items[i]);
	cr_assert_eq(parcel_count(p), COUNT(items));
	for (size_t i = 0; i < COUNT(items); i++) {
		cr_assert(parcel_next(p, &pos, &got));
		expect_eq(&got, &items[i]);
	}
	cr_assert_eq(pos, parcel_bytes(p));
	cr_assert_not(parcel_next(p, &pos, &got));
	parcel_free(&p);
	cr_assert_null(p);
	parcel_free(&p);
}

/* A unit of a thousand recipients has a row above 64 KiB. */
Test(spool_parcel, rows_are_long)
{
	enum { N = 300000 };
	char *bytes = mx_alloc(N);
	struct parcel *p = parcel_new();
	struct parcel_item item = { .kind = PARCEL_UNIT, .id = 7 }, got;
	size_t pos = 0;

	memset(bytes, 'x', N);
	item.row = span_of(bytes, N);
	parcel_add(p, &item);
	parcel_add(p, &items[0]);
	cr_assert(parcel_next(p, &pos, &got));
	expect_eq(&got, &item);
	cr_assert(parcel_next(p, &pos, &got));
	expect_eq(&got, &items[0]);
	parcel_free(&p);
	free(bytes);
}
