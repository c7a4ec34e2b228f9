/* Domain names: what the grammar permits, and the form they compare in. */
#include "common/smtp/address.h"

#include <criterion/criterion.h>

#include "common/base/assert.h"

#define L10 "abcdefghij"
#define L63 L10 L10 L10 L10 L10 L10 "abc"
#define BYTES(s)                                                               \
	{                                                                      \
		"" s, sizeof(s) - 1                                            \
	}

/* clang-format off */
Test(smtp_domain, canonical)
{
	static const struct {
		struct span in;
		const char *want; /* NULL: refused */
	} cases[] = {
		{ BYTES("example.com"), "example.com" },
		{ BYTES("EXAMPLE.Com"), "example.com" },
		{ BYTES("example.com."), "example.com" },
		{ BYTES("com"), "com" },
		{ BYTES("_dmarc.example"), "_dmarc.example" },
		{ BYTES("-a.b-.example"), "-a.b-.example" },
		{ BYTES("XN--BCHER-KVA.example"), "xn--bcher-kva.example" },
		{ BYTES("b\xc3\xbc""cher.example"), "xn--bcher-kva.example" },
		{ BYTES("B\xc3\x9c""CHER.Example."), "xn--bcher-kva.example" },
		{ BYTES("stra\xc3\x9f""e.example"), "xn--strae-oqa.example" },
		/* decomposed: u and U+0308 */
		{ BYTES("bu\xcc\x88""cher.example"), "xn--bcher-kva.example" },
		/* the ideographic full stop */
		{ BYTES("a\xe3\x80\x82""example"), "a.example" },
		{ BYTES(L63 ".example"), L63 ".example" },
		{ BYTES(L63 "." L63 "." L63 "." L10 L10 L10 L10 L10 L10 "a"),
		  L63 "." L63 "." L63 "." L10 L10 L10 L10 L10 L10 "a" },
		{ BYTES(L63 "." L63 "." L63 "." L10 L10 L10 L10 L10 L10 "ab"),
		  NULL },
		{ BYTES(L63 "d.example"), NULL },
		{ BYTES(""), NULL },
		{ BYTES("."), NULL },
		{ BYTES("example.com.."), NULL },
		{ BYTES(".example.com"), NULL },
		{ BYTES("a..b"), NULL },
		{ BYTES("a b"), NULL },
		{ BYTES("a\0b"), NULL },
		{ BYTES("*.example.com"), NULL },
		{ BYTES("[192.0.2.1]"), NULL },
		{ BYTES("a/b"), NULL },
		{ BYTES("\xe4.example"), NULL },          /* not UTF-8 */
		{ BYTES("\xc3\xa4\0.example"), NULL },
		{ BYTES("\xc2\x80.example"), NULL },      /* a control */
		{ BYTES("a\xe2\x80\xae""b.example"), NULL }, /* bidi override */
		{ BYTES("\xc3\xa4 b.example"), NULL },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf out = { 0 };
		enum mx_err err;

		buf_adds(&out, "+");
		err = smtp_domain_canon(&out, cases[i].in);
		cr_expect_eq(err, cases[i].want ? MX_OK : MX_EINVAL, "%.*s",
			     SPAN_ARG(cases[i].in));
		cr_expect_str_eq(buf_cstr(&out) + 1,
				 cases[i].want ? cases[i].want : "", "%.*s",
				 SPAN_ARG(cases[i].in));
		buf_fini(&out);
	}
}
/* clang-format on */

Test(smtp_domain, letters_digits_hyphens)
{
	static const char *const yes[] = { "a", "a.b", "1.2", "a-b.C-1", L63 };
	static const char *const no[] = {
		"",	"a.",  ".a",  "a..b", "-a",    "a-",
		"a-.b", "a_b", "a b", "[a]",  L63 "x", "\xc3\xa4",
	};

	for (size_t i = 0; i < COUNT(yes); i++)
		cr_expect(smtp_is_domain(span_str(yes[i])), "%s", yes[i]);
	for (size_t i = 0; i < COUNT(no); i++)
		cr_expect_not(smtp_is_domain(span_str(no[i])), "%s", no[i]);
}

Test(smtp_domain, literals)
{
	cr_expect(smtp_is_literal(SPAN_LIT("[192.0.2.1]")));
	cr_expect(smtp_is_literal(SPAN_LIT("[IPv6:::]")));
	cr_expect(smtp_is_literal(SPAN_LIT("[IPv6:1:2:3:4:5:6:7:8]")));
	cr_expect_not(smtp_is_literal(SPAN_LIT("192.0.2.1")));
	cr_expect_not(smtp_is_literal(SPAN_LIT("[IPv6:1:2:3:4:5:6:7:8:9]")));
	cr_expect_not(smtp_is_literal(SPAN_LIT("[IPv6:1::2::3]")));
	cr_expect_not(smtp_is_literal(SPAN_LIT("[IPv6:::1\0]")));
}
