/* Words of a page. */
#include "daemon/web/html.h"

#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "common/base/clock.h"

static struct buf out;

static void teardown(void)
{
	buf_fini(&out);
}

static const char *made(void)
{
	return buf_cstr(&out);
}

TestSuite(html, .fini = teardown);

Test(html, text_is_text)
{
	static const struct {
		const char *text, *html;
	} cases[] = {
		{ "<b a=\"c\" d='e'>&amp;", "&lt;b a=&quot;c&quot; "
					    "d=&#39;e&#39;&gt;&amp;amp;" },
		{ "\xc3\xa4 \xe6\x97\xa5", "\xc3\xa4 \xe6\x97\xa5" },
		{ "a\x1b[0m\tb\x7f", "a\xef\xbf\xbd[0m\xef\xbf\xbd"
				     "b\xef\xbf\xbd" },
		{ "\xc2\x9b"
		  "31m",
		  "\xef\xbf\xbd"
		  "31m" },
		{ "\xe2\x80\xae"
		  "abc",
		  "\xef\xbf\xbd"
		  "abc" },
		{ "\xe2\x80\xa8", "\xef\xbf\xbd" },
		{ "\xff\xc3", "\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xc0\xbcscript", "\xef\xbf\xbd\xef\xbf\xbdscript" },
		{ "", "" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		buf_reset(&out);
		html_text(&out, span_str(cases[i].text));
		cr_expect_str_eq(made(), cases[i].html);
	}
	buf_reset(&out);
	html_text(&out, span_of("a\0b", 3));
	cr_expect_str_eq(made(), "a\xef\xbf\xbd"
				 "b");
}

Test(html, what_is_long_is_cut_between_characters)
{
	html_text_cut(&out, SPAN_LIT("\xc3\xa4<\xc3\xb6x"), 3);
	cr_expect_str_eq(made(), "\xc3\xa4&lt;\xc3\xb6\xe2\x80\xa6");
	buf_reset(&out);
	html_text_cut(&out, SPAN_LIT("abc"), 3);
	cr_expect_str_eq(made(), "abc");
}

Test(html, numbers_are_those_of_people)
{
#define U "\xc2\xa0"
	html_number(&out, 0);
	buf_addc(&out, ' ');
	html_number(&out, 999);
	buf_addc(&out, ' ');
	html_number(&out, 1234567);
	cr_expect_str_eq(made(), "0 999 1,234,567");
	buf_reset(&out);
	html_count(&out, 1, "message", "messages");
	html_count(&out, 2000, "message", "messages");
	cr_expect_str_eq(made(), "1 message2,000 messages");
	buf_reset(&out);
	html_size(&out, 640);
	html_size(&out, 1288490189);
	html_size(&out, (uint64_t)64 << 30);
	cr_expect_str_eq(made(), "640" U "B1.2" U "GiB64" U "GiB");
}

Test(html, ages_have_two_units_at_most)
{
	static const struct {
		int64_t ms;
		const char *words;
	} cases[] = {
		{ -5, "0" U "s" },
		{ SECONDS(59), "59" U "s" },
		{ MINUTES(59), "59" U "min" },
		{ HOURS(3), "3" U "h" },
		{ HOURS(3) + MINUTES(12), "3" U "h 12" U "min" },
		{ DAYS(5) + HOURS(3), "5" U "d 3" U "h" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		buf_reset(&out);
		html_age(&out, cases[i].ms);
		cr_expect_str_eq(made(), cases[i].words);
	}
}

Test(html, a_time_is_for_people_and_for_programs)
{
	html_time(&out, INT64_C(1795866000000));
	cr_expect_str_eq(made(), "<time datetime=\"2026-11-28T11:40:00Z\">"
				 "28 Nov, 11:40</time>");
}
