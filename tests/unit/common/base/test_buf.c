#include "common/base/buf.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>

#include "common/base/assert.h"

Test(buf, grows)
{
	struct buf b = { 0 };

	for (int i = 0; i < 10000; i++)
		buf_addf(&b, "%04d", i);
	cr_assert_eq(b.n, 40000);
	cr_expect_leq(b.cap, 2 * b.n);
	cr_expect(memcmp(b.p + 4 * 1234, "1234", 4) == 0);
	buf_fini(&b);
	cr_expect_null(b.p);
	cr_expect_eq(b.cap, 0);
}

Test(buf, adds)
{
	struct buf b = { 0 };

	buf_add(&b, (struct span){ NULL, 0 });
	cr_expect_eq(b.cap, 0); /* nothing added, nothing owned */
	buf_adds(&b, "ab");
	buf_addc(&b, '\0');
	buf_addf(&b, "%s-%d", "c", 7);
	buf_add(&b, SPAN_LIT("x\0y"));
	cr_expect(span_eq(buf_span(&b), SPAN_LIT("ab\0c-7x\0y")));
	buf_fini(&b);
}

Test(buf, reserve_keeps_the_content)
{
	struct buf b = { 0 };
	char *at;

	buf_adds(&b, "abc");
	at = buf_reserve(&b, 1000);
	memset(at, 'x', 1000);
	cr_expect_eq(b.n, 3);
	b.n += 1000;
	cr_expect(span_starts(buf_span(&b), SPAN_LIT("abcxxx")));
	buf_fini(&b);
}

Test(buf, consumes_from_the_front)
{
	struct buf b = { 0 };

	buf_adds(&b, "abcdef");
	buf_consume(&b, 0);
	buf_consume(&b, 2);
	cr_expect(span_eq(buf_span(&b), SPAN_LIT("cdef")));
	buf_consume(&b, 4);
	cr_expect_eq(b.n, 0);
	buf_fini(&b);
}

Test(buf, consume_beyond_the_end_is_our_mistake, .signal = SIGABRT)
{
	struct buf b = { 0 };

	buf_adds(&b, "ab");
	buf_consume(&b, 3);
}

Test(buf, cstr_does_not_count_the_nul)
{
	struct buf b = { 0 };

	cr_expect_str_eq(buf_cstr(&b), "");
	for (int i = 0; i < 64; i++) /* up to the edge of the first block */
		buf_addc(&b, 'x');
	cr_expect_eq(strlen(buf_cstr(&b)), 64);
	cr_expect_eq(b.n, 64);
	buf_reset(&b);
	cr_expect_str_eq(buf_cstr(&b), "");
	cr_expect_gt(b.cap, 0); /* the memory is kept */
	buf_fini(&b);
}

/* Whatever room is left, the text is whole. */
Test(buf, addf_fits_or_grows)
{
	char text[200], want[200];

	memset(text, 'x', sizeof(text));
	for (int len = 0; len < 150; len++) {
		for (size_t fill = 0; fill < 70; fill++) {
			struct buf b = { 0 };

			memset(buf_reserve(&b, fill + 1), '-', fill);
			b.n = fill;
			buf_addf(&b, "%.*s|", len, text);
			snprintf(want, sizeof(want), "%.*s|", len, text);
			cr_assert_eq(b.n, fill + (size_t)len + 1);
			cr_assert_str_eq(buf_cstr(&b) + fill, want);
			buf_fini(&b);
		}
	}
}

Test(buf, addu_writes_digits)
{
	static const uint64_t values[] = { 0, 9, 10, 1234567890, UINT64_MAX };
	struct buf b = { 0 };
	char want[32];

	for (size_t i = 0; i < COUNT(values); i++) {
		buf_reset(&b);
		buf_addu(&b, values[i]);
		snprintf(want, sizeof(want), "%llu",
			 (unsigned long long)values[i]);
		cr_expect_str_eq(buf_cstr(&b), want);
	}
	buf_fini(&b);
}
