#include "common/base/utf8.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "common/base/assert.h"

#define BYTES(s)                                                               \
	{                                                                      \
		"" s, sizeof(s) - 1                                            \
	}

/* RFC 3629 section 4, at each edge of each range. */
Test(utf8, one_character)
{
	/* clang-format off */
	static const struct {
		struct span in;
		size_t want;
	} cases[] = {
		{ BYTES(""), 0 },             { BYTES("\0"), 1 },
		{ BYTES("a"), 1 },            { BYTES("\x7f"), 1 },
		{ BYTES("\x80"), 0 },         { BYTES("\xbf"), 0 },
		{ BYTES("\xc0\x80"), 0 },     { BYTES("\xc1\xbf"), 0 },
		{ BYTES("\xc2\x80"), 2 },     { BYTES("\xdf\xbf"), 2 },
		{ BYTES("\xc2\x7f"), 0 },     { BYTES("\xc2\xc0"), 0 },
		{ BYTES("\xc2"), 0 },         { BYTES("\xc2\x80\x80"), 2 },
		{ BYTES("\xe0\x9f\xbf"), 0 }, { BYTES("\xe0\xa0\x80"), 3 },
		{ BYTES("\xed\x9f\xbf"), 3 }, { BYTES("\xed\xa0\x80"), 0 },
		{ BYTES("\xee\x80\x80"), 3 }, { BYTES("\xef\xbf\xbf"), 3 },
		{ BYTES("\xe1\x80"), 0 },     { BYTES("\xe1\x80\x7f"), 0 },
		{ BYTES("\xf0\x8f\xbf\xbf"), 0 },
		{ BYTES("\xf0\x90\x80\x80"), 4 },
		{ BYTES("\xf4\x8f\xbf\xbf"), 4 },
		{ BYTES("\xf4\x90\x80\x80"), 0 },
		{ BYTES("\xf1\x80\x80"), 0 }, { BYTES("\xf5\x80\x80\x80"), 0 },
		{ BYTES("\xfe"), 0 },         { BYTES("\xff"), 0 },
	};
	/* clang-format on */

	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(utf8_char(cases[i].in), cases[i].want, "case %zu",
			     i);
}

Test(utf8, whole_spans)
{
	cr_expect(utf8_valid(SPAN_LIT("")));
	cr_expect(utf8_valid(SPAN_LIT("a\xc3\xa4\xf0\x9f\x93\xa7z")));
	cr_expect_not(utf8_valid(SPAN_LIT("a\xc3\xa4\xc3")));
	cr_expect_not(utf8_valid(SPAN_LIT("a\xe4z")));
}

/* Whatever the length and wherever it is: words and the bytes behind them. */
Test(span_has_8bit, finds_each_place)
{
	char text[100];

	for (size_t n = 0; n < sizeof(text); n++) {
		memset(text, 0x7f, sizeof(text));
		text[n] = (char)0x80; /* just behind: not part of it */
		cr_expect_not(span_has_8bit(span_of(text, n)));
		for (size_t at = 0; at < n; at++) {
			memset(text, 0x7f, sizeof(text));
			text[at] = (char)0x80;
			cr_expect(span_has_8bit(span_of(text, n)), "%zu/%zu",
				  at, n);
		}
	}
}
