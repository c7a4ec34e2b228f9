#include "common/base/span.h"

#include <criterion/criterion.h>

#include "common/base/assert.h"

static const struct span nothing = { NULL, 0 };

Test(span, compares)
{
	cr_expect(span_eq(SPAN_LIT("ab"), SPAN_LIT("ab")));
	cr_expect(span_eq(SPAN_LIT("a\0b"), SPAN_LIT("a\0b")));
	cr_expect_not(span_eq(SPAN_LIT("a\0b"), SPAN_LIT("a\0c")));
	cr_expect_not(span_eq(SPAN_LIT("ab"), SPAN_LIT("abc")));
	cr_expect_not(span_eq(SPAN_LIT("ab"), SPAN_LIT("AB")));
	cr_expect(span_eq(nothing, SPAN_LIT("")));
	cr_expect(span_ieq(SPAN_LIT("aB-1"), SPAN_LIT("Ab-1")));
	cr_expect_not(span_ieq(SPAN_LIT("ab"), SPAN_LIT("abc")));
	/* '[' and '{' differ by the bit that tells the cases apart */
	cr_expect_not(span_ieq(SPAN_LIT("["), SPAN_LIT("{")));
	cr_expect_not(span_ieq(SPAN_LIT("\xc4"), SPAN_LIT("\xe4")));
}

Test(span, starts)
{
	cr_expect(span_starts(SPAN_LIT("abc"), SPAN_LIT("ab")));
	cr_expect(span_starts(SPAN_LIT("abc"), nothing));
	cr_expect(span_starts(nothing, nothing));
	cr_expect_not(span_starts(SPAN_LIT("a"), SPAN_LIT("ab")));
	cr_expect_not(span_starts(SPAN_LIT("Abc"), SPAN_LIT("ab")));
	cr_expect(span_istarts(SPAN_LIT("Abc"), SPAN_LIT("aB")));
	cr_expect_not(span_istarts(SPAN_LIT("a"), SPAN_LIT("ab")));
}

Test(span, skips_no_further_than_the_end)
{
	cr_expect(span_eq(span_skip(SPAN_LIT("abc"), 1), SPAN_LIT("bc")));
	cr_expect_eq(span_skip(SPAN_LIT("abc"), 3).n, 0);
	cr_expect_eq(span_skip(SPAN_LIT("abc"), SIZE_MAX).n, 0);
}

Test(span, cuts)
{
	struct span s = SPAN_LIT("a,,b");

	cr_expect(span_eq(span_cut(&s, ','), SPAN_LIT("a")));
	cr_expect(span_eq(span_cut(&s, ','), SPAN_LIT("")));
	cr_expect(span_eq(s, SPAN_LIT("b")));
	cr_expect(span_eq(span_cut(&s, ','), SPAN_LIT("b")));
	cr_expect_eq(s.n, 0);
	cr_expect_eq(span_cut(&s, ',').n, 0);
	s = SPAN_LIT("a,");
	cr_expect(span_eq(span_cut(&s, ','), SPAN_LIT("a")));
	cr_expect_eq(s.n, 0);
}

Test(span, trims_and_finds)
{
	cr_expect(span_eq(span_trim(SPAN_LIT(" \ta b\t ")), SPAN_LIT("a b")));
	cr_expect_eq(span_trim(SPAN_LIT(" \t ")).n, 0);
	cr_expect_eq(span_trim(nothing).n, 0);
	cr_expect(span_eq(span_trim(SPAN_LIT("\r\n")), SPAN_LIT("\r\n")));
	cr_expect_eq(span_find(SPAN_LIT("abcb"), 'b'), 1);
	cr_expect_eq(span_find(SPAN_LIT("abc"), 'x'), 3);
	cr_expect_eq(span_find(nothing, 'x'), 0);
}

Test(span, copies_what_fits)
{
	char to[5];

	cr_expect_eq(span_copy(SPAN_LIT("abcdef"), to, sizeof(to)), 4);
	cr_expect_str_eq(to, "abcd");
	cr_expect_eq(span_copy(SPAN_LIT("abcd"), to, sizeof(to)), 4);
	cr_expect_str_eq(to, "abcd");
	cr_expect_eq(span_copy(span_of(NULL, 0), to, sizeof(to)), 0);
	cr_expect_str_eq(to, "");
	cr_expect_eq(span_copy(SPAN_LIT("x"), to, 1), 0);
}

Test(span, reads_numbers)
{
	static const struct {
		const char *in;
		bool ok;
		uint64_t want;
	} cases[] = {
		{ "0", true, 0 },
		{ "007", true, 7 },
		{ "18446744073709551615", true, UINT64_MAX },
		{ "18446744073709551616", false, 0 },
		{ "99999999999999999999", false, 0 },
		{ "", false, 0 },
		{ "-1", false, 0 },
		{ "+1", false, 0 },
		{ " 1", false, 0 },
		{ "1 ", false, 0 },
		{ "0x1", false, 0 },
		{ "1:", false, 0 },
		{ "\xb9", false, 0 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		uint64_t got = 42;

		cr_expect_eq(span_u64(span_str(cases[i].in), &got), cases[i].ok,
			     "%s", cases[i].in);
		cr_expect_eq(got, cases[i].ok ? cases[i].want : 42, "%s",
			     cases[i].in);
	}
}

Test(span, order)
{
	static const char *const rising[] = { "", "a", "aa", "ab", "a\x7f",
					      "b", "\xff" };

	for (size_t i = 0; i < COUNT(rising); i++) {
		for (size_t j = 0; j < COUNT(rising); j++) {
			int c = span_cmp(span_str(rising[i]),
					 span_str(rising[j]));

			cr_expect_eq((c > 0) - (c < 0), (i > j) - (i < j),
				     "%zu %zu", i, j);
		}
	}
	cr_expect_eq(span_cmp(span_of(NULL, 0), span_of(NULL, 0)), 0);
}
