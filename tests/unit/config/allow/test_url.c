#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "config/allow/url.h"

Test(url, what_is_meant_to_be_one)
{
	static const struct {
		const char *word;
		bool is_one, is_good;
	} cases[] = {
		{ "recipients/a.example", false, false },
		{ "/etc/mx20/users", false, false },
		{ "c:users", false, false },
		{ "://x", false, false },
		{ "1://x", false, false },
		{ "ftp://t.example/x", true, false },
		{ "HTTP://t.example/x", true, false },
		{ "https://", true, false },
		{ "https://t.example", true, true },
		{ "https://t.example/x?a=b@c", true, true },
		{ "HTTPS://t.example:8443/x", true, true },
		{ "https://u:p@t.example/x", true, true },
		{ "https://u:p@w@t.example/x", true, true },
		{ "https://u:p@/x", true, false },
		{ "https://t.example:/x", true, false },
		{ "https://t.example:0/x", true, false },
		{ "https://t.example:65536/x", true, false },
		{ "https://192.0.2.1/x", true, true },
		{ "https://[2001:db8::1]:443/x", true, true },
		{ "https://[2001:db8::1/x", true, false },
		{ "https://[]/x", true, false },
		{ "https://[2001:db8::1]x/x", true, false },
		{ "https://t.example/\xc3\xbc", true, false },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct span word = span_str(cases[i].word);

		cr_expect_eq(url_is_one(word), cases[i].is_one, "%s",
			     cases[i].word);
		cr_expect_eq(url_wrong(word) == NULL, cases[i].is_good, "%s",
			     cases[i].word);
	}
}

Test(url, is_shown_without_its_password)
{
	static const struct {
		const char *url, *shown;
	} cases[] = {
		{ "https://t.example/x@y", "https://t.example/x@y" },
		{ "https://u:p@t.example:1/x", "https://t.example:1/x" },
		{ "https://u:p@w@t.example?q", "https://t.example?q" },
		{ "HTTPS://u@t.example", "https://t.example" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf out = { 0 };

		url_show(&out, span_str(cases[i].url));
		cr_expect_str_eq(buf_cstr(&out), cases[i].shown);
		buf_fini(&out);
	}
}
