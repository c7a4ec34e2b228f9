#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/ctl/print.h"

static struct buf text;

Test(ctl_print, sizes_fit_four_columns)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{ 0, "0B" },
		{ 999, "999B" },
		{ 1000, "0.9K" },
		{ 1024, "1.0K" },
		{ 1234567, "1.1M" },
		{ 10 * 1024, "10K" },
		{ 999 * 1024, "999K" },
		{ 1000 * 1024, "0.9M" },
		{ 64ull << 30, "64G" },
		{ UINT64_MAX, "15E" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		buf_reset(&text);
		human_size(&text, cases[i].bytes);
		cr_expect_str_eq(buf_cstr(&text), cases[i].text);
		cr_expect_leq(text.n, 4);
	}
}

Test(ctl_print, ages_have_two_units_at_most)
{
	static const struct {
		int64_t ms;
		const char *text;
	} cases[] = {
		{ -5000, "0s" },
		{ 999, "0s" },
		{ SECONDS(59), "59s" },
		{ MINUTES(12) + SECONDS(59), "12m" },
		{ HOURS(3) + MINUTES(2), "3h02m" },
		{ DAYS(3) + HOURS(4), "3d4h" },
		{ DAYS(120), "120d" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		buf_reset(&text);
		print_age(&text, cases[i].ms);
		cr_expect_str_eq(buf_cstr(&text), cases[i].text);
	}
}

/* What a peer says must not move the operator's cursor. */
Test(ctl_print, control_characters_do_not_reach_the_terminal)
{
	static const struct {
		struct span in;
		const char *out;
	} cases[] = {
		{ { "plain", 5 }, "plain" },
		{ { "\x1b[2J", 4 }, "?[2J" },
		{ { "a\r\nb\0c", 6 }, "a??b?c" },
		{ { "\xc3\xbc", 2 }, "\xc3\xbc" },
		{ { "\xc2\x9b"
		    "31m",
		    5 },
		  "?31m" }, /* CSI in Latin 1 */
		{ { "\xff\x7f", 2 }, "??" },
		{ { "a\u202eb\u061c\u2066\u20ac", 13 },
		  "a\\u202eb\\u061c\\u2066\u20ac" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		buf_reset(&text);
		print_text(&text, cases[i].in);
		cr_expect_str_eq(buf_cstr(&text), cases[i].out);
	}
}

Test(ctl_print, cutting_counts_characters)
{
	cr_expect_eq(print_columns(span_str("m\xc3\xbcller")), 6);
	buf_reset(&text);
	print_cut(&text, span_str("m\xc3\xbcller"), 6);
	cr_expect_str_eq(buf_cstr(&text), "m\xc3\xbcller");
	buf_reset(&text);
	print_cut(&text, span_str("m\xc3\xbcller"), 3);
	cr_expect_str_eq(buf_cstr(&text), "m\xc3\xbc~");
}

Test(ctl_print, counts_have_a_plural)
{
	buf_reset(&text);
	print_count(&text, 1, "message");
	buf_addc(&text, ' ');
	print_count(&text, 0, "message");
	cr_expect_str_eq(buf_cstr(&text), "1 message 0 messages");
}

Test(ctl_print, times_survive_the_wire)
{
	int64_t ms = -1;

	buf_reset(&text);
	clock_rfc3339(&text, 1700000000000);
	cr_assert(print_parse_time(buf_span(&text), &ms));
	cr_expect_eq(ms, 1700000000000);
	cr_expect_not(print_parse_time(span_str(""), &ms));
	cr_expect_not(print_parse_time(span_str("2026-11-21"), &ms));
	cr_expect_not(print_parse_time(
		span_str("2026-11-21T21:34:38Z and more text than fits"), &ms));
}

/* Some characters take two columns, some none. */
Test(ctl_print, columns_are_those_of_a_terminal)
{
	cr_expect_eq(print_columns(span_str("\u65e5\u672c")), 4);
	cr_expect_eq(print_columns(span_str("e\u0301")), 1);
	cr_expect_eq(print_columns(span_str("a\u200bb")), 2);
	buf_reset(&text);
	print_cut(&text, span_str("\u65e5\u672c\u8a9e"), 4);
	cr_expect_str_eq(buf_cstr(&text), "\u65e5~");
}

Test(ctl_print, long_lines_are_broken_between_words)
{
	static const struct {
		const char *in;
		size_t width;
		const char *out;
	} cases[] = {
		{ "one two three\n", 0, "one two three\n" },
		{ "one two three\n", 13, "one two three\n" },
		{ "one two three\n", 12, "one two\n  three\n" },
		{ "one two three", 7, "one two\n  three" },
		{ "  one two\nx\n", 6, "  one\n    two\nx\n" },
		{ "unbreakable word\n", 5, "unbreakable\n  word\n" },
		{ "a   b\n", 2, "a\n  b\n" },
		{ "    \n", 2, "    \n" },
		{ "", 5, "" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		buf_reset(&text);
		print_wrapped(&text, span_str(cases[i].in), cases[i].width);
		cr_expect_str_eq(buf_cstr(&text), cases[i].out, "%zu", i);
	}
}

Test(ctl_print, json_keeps_its_values)
{
	buf_reset(&text);
	print_json_safe(&text, span_str("{\"a\":\"\u202e\xc2\x9b\x7f\u00fc\"}\n"));
	cr_expect_str_eq(buf_cstr(&text),
			 "{\"a\":\"\\u202e\\u009b\\u007f\u00fc\"}\n");
}
