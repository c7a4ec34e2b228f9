#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "config/value/text.h"

/* What is seen is what is meant; everything else is shown by its name. */
Test(text, hidden_characters)
{
	/* clang-format off */
	static const struct { const char *word, *what; } cases[] = {
		{ "alice", NULL },
		{ "a b\tc", NULL },
		{ "m\xc3\xbcller", NULL },
		{ "mu\xcc\x88ller", NULL }, /* NFD */
		{ "\xe6\x97\xa5\xe6\x9c\xac", NULL },
		{ "\xe2\x98\x95\xef\xb8\x8f", NULL }, /* with its selector */
		{ "\xd9\x85\xdb\x8c\xe2\x80\x8c\xd8\xae", NULL }, /* joiner */
		{ "alice\xc2\xa0", "U+00A0 no-break space at column 6" },
		{ "al\xc2\xadice", "U+00AD soft hyphen at column 3" },
		{ "m\xc3\xbcl\xe2\x80\x8bler", "U+200B zero width space at column 4" },
		{ "al\xe2\x80\x8cice", "U+200C zero width non-joiner at column 3" },
		{ "\xe2\x80\xae" "alice", "U+202E right-to-left override at column 1" },
		{ "a\xef\xbb\xbf", "U+FEFF zero width no-break space at column 2" },
		{ "a\xe3\x80\x80" "b", "U+3000 ideographic space at column 2" },
		{ "a\xe3\x85\xa4", "U+3164 hangul filler at column 2" },
		{ "a\xef\xbf\xbd", "U+FFFD replacement character at column 2" },
		{ "alice\rbob", "U+000D control character at column 6" },
		{ "a\x1b[0m", "U+001B control character at column 2" },
		{ "a\x7f", "U+007F control character at column 2" },
		{ "a\xc2\x85", "U+0085 control character at column 2" },
		{ "m\xfcller", "octet FC, which is no UTF-8, at column 2" },
		{ "a\xc3", "octet C3, which is no UTF-8, at column 2" },
	};
	/* clang-format on */

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct span word = span_str(cases[i].word);
		struct buf what = { 0 };

		cr_expect_eq(text_hides(word, word, &what),
			     cases[i].what != NULL, "%s", cases[i].word);
		cr_expect_str_eq(buf_cstr(&what),
				 cases[i].what != NULL ? cases[i].what : "");
		buf_fini(&what);
	}
}

Test(text, columns_are_those_of_the_line)
{
	struct span line = SPAN_LIT("\xc3\xbc.example  lifetime=\xc2\xa0");
	struct buf what = { 0 };

	cr_expect(text_hides(line, span_skip(line, 12), &what));
	cr_expect_str_eq(buf_cstr(&what), "U+00A0 no-break space at column 21");
	buf_reset(&what);
	cr_expect(text_hides(SPAN_LIT("a\0b"), SPAN_LIT("a\0b"), &what));
	cr_expect_str_eq(buf_cstr(&what),
			 "U+0000 control character at column 2");
	buf_fini(&what);
}

Test(text, utf16)
{
	cr_expect(text_is_utf16(SPAN_LIT("\xff\xfe"
					 "a\0")));
	cr_expect(text_is_utf16(SPAN_LIT("\xfe\xff\0a")));
	cr_expect(text_is_utf16(SPAN_LIT("a\0b\0")));
	cr_expect(text_is_utf16(SPAN_LIT("\0a\0b")));
	cr_expect_not(text_is_utf16(SPAN_LIT("alice")));
	cr_expect_not(text_is_utf16(SPAN_LIT("\xef\xbb\xbf"
					     "a")));
	cr_expect_not(text_is_utf16(SPAN_LIT("\0\0\0\0")));
	cr_expect_not(text_is_utf16(SPAN_LIT("a\0")));
	cr_expect_not(text_is_utf16(SPAN_LIT("")));
}

Test(text, complaints)
{
	/* clang-format off */
	static const char *const yes[] = {
		"<!DOCTYPE html>", "<html><head>", "HTTP/1.1 502 Bad Gateway",
		"404 Not Found", "{\"error\":\"unauthorized\"}",
		"Traceback (most recent call last):",
		"psql: error: connection to server failed: Connection refused",
		"cat: /srv/export: No such file or directory",
	};
	static const char *const no[] = {
		"alice", "Bob Smith <bob@example.com>", "bob@", "a b", "",
		"alice,bob,carol",
	};
	/* clang-format on */

	for (size_t i = 0; i < COUNT(yes); i++)
		cr_expect(text_is_complaint(span_str(yes[i])), "%s", yes[i]);
	for (size_t i = 0; i < COUNT(no); i++)
		cr_expect_not(text_is_complaint(span_str(no[i])), "%s", no[i]);
}
