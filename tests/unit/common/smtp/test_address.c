/* Paths and mailboxes: RFC 5321 section 4.1.2, RFC 6531 section 3.3. */
#include "common/smtp/address.h"

#include <criterion/criterion.h>

#include "common/base/assert.h"

#define BYTES(s)                                                               \
	{                                                                      \
		"" s, sizeof(s) - 1                                            \
	}

static void expect_span(struct span got, const char *want, const char *what)
{
	cr_expect(span_eq(got, span_str(want)), "%s: got \"%.*s\", want \"%s\"",
		  what, SPAN_ARG(got), want);
}

/* clang-format off */
Test(smtp_path, parses)
{
	static const struct {
		const char *in, *mailbox, *local, *domain;
		bool literal;
	} cases[] = {
		{ "<>", "", "", "", false },
		{ "<a@b>", "a@b", "a", "b", false },
		{ "<a.b+c@d.example>", "a.b+c@d.example", "a.b+c", "d.example",
		  false },
		{ "<!#$%&'*+-/=?^_`{|}~@d>", "!#$%&'*+-/=?^_`{|}~@d",
		  "!#$%&'*+-/=?^_`{|}~", "d", false },
		{ "<a@x-1.2y>", "a@x-1.2y", "a", "x-1.2y", false },
		{ "<a@under_score.example>", "a@under_score.example", "a",
		  "under_score.example", false },
		{ "<a@1.2>", "a@1.2", "a", "1.2", false },
		/* odd, and clear: dots of a local part stay as they came ... */
		{ "<a..b@c>", "a..b@c", "a..b", "c", false },
		{ "<.a@b>", ".a@b", ".a", "b", false },
		{ "<a.@b>", "a.@b", "a.", "b", false },
		{ "<..a...b..@c>", "..a...b..@c", "..a...b..", "c", false },
		/* ... the dot of the root and blanks do not */
		{ "<a@b.example.>", "a@b.example", "a", "b.example", false },
		{ "<@x.:a@b.>", "a@b", "a", "b", false },
		{ "< a@b>", "a@b", "a", "b", false },
		{ "<a@b >", "a@b", "a", "b", false },
		{ "< \t a@b. \t>", "a@b", "a", "b", false },
		{ "< >", "", "", "", false },
		{ "< postmaster >", "postmaster", "postmaster", "", false },
		/* without brackets */
		{ "a@b", "a@b", "a", "b", false },
		{ "a..b@c.", "a..b@c", "a..b", "c", false },
		{ "\"a b>\"@c", "\"a b>\"@c", "\"a b>\"", "c", false },
		{ "a@[192.0.2.1]", "a@[192.0.2.1]", "a", "[192.0.2.1]",
		  true },
		{ "postmaster", "postmaster", "postmaster", "", false },
		{ "postmaster@b", "postmaster@b", "postmaster", "b", false },
		/* quoted local parts */
		{ "<\"a b\"@c>", "\"a b\"@c", "\"a b\"", "c", false },
		{ "<\"\"@c>", "\"\"@c", "\"\"", "c", false },
		{ "<\"a\\\"b\\\\\"@c>", "\"a\\\"b\\\\\"@c", "\"a\\\"b\\\\\"",
		  "c", false },
		{ "<\"@>,:\"@c>", "\"@>,:\"@c", "\"@>,:\"", "c", false },
		/* source routes are dropped */
		{ "<@x:a@b>", "a@b", "a", "b", false },
		{ "<@x,@y.z:a@b>", "a@b", "a", "b", false },
		/* postmaster */
		{ "<postmaster>", "postmaster", "postmaster", "", false },
		{ "<PostMaster>", "PostMaster", "PostMaster", "", false },
		{ "<postmaster@b>", "postmaster@b", "postmaster", "b", false },
		/* literals */
		{ "<a@[192.0.2.1]>", "a@[192.0.2.1]", "a", "[192.0.2.1]",
		  true },
		{ "<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]", "a",
		  "[IPv6:2001:db8::1]", true },
		{ "<a@[ipv6:::ffff:192.0.2.1]>", "a@[ipv6:::ffff:192.0.2.1]",
		  "a", "[ipv6:::ffff:192.0.2.1]", true },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct span in = span_str(cases[i].in);
		struct smtp_path path;

		cr_assert_eq(smtp_path_parse(&in, false, &path), MX_OK, "%s",
			     cases[i].in);
		cr_expect_eq(in.n, 0, "%s", cases[i].in);
		expect_span(path.mailbox, cases[i].mailbox, cases[i].in);
		expect_span(path.local, cases[i].local, cases[i].in);
		expect_span(path.domain, cases[i].domain, cases[i].in);
		cr_expect_eq(path.is_literal, cases[i].literal, "%s",
			     cases[i].in);
		cr_expect_not(path.is_utf8, "%s", cases[i].in);
	}
}

Test(smtp_path, refuses)
{
	static const struct span cases[] = {
		BYTES(""), BYTES("<"), BYTES(">"), BYTES("<a@b"),
		BYTES("<a>"), BYTES("<@>"),
		BYTES("<a@>"), BYTES("<@b>"), BYTES("<postmaster"),
		BYTES("<postmasters>"), BYTES("<postmaster@>"),
		BYTES("<postmaster a>"), BYTES("<a @b>"), BYTES("<a@ b>"),
		BYTES("<\r\na@b>"), BYTES("<a@b\v>"),
		/* without brackets nothing but one plain mailbox */
		BYTES("a@b>"), BYTES("a@b<"), BYTES("a@b,c@d"), BYTES(" a@b"),
		BYTES("Joe <a@b>"), BYTES("a"), BYTES("a@"), BYTES("@b"),
		BYTES("@x:a@b"), BYTES("a@b@c"), BYTES("postmaster>"),
		BYTES("a@b\r\n"), BYTES("a@b\0"), BYTES("\"a@b"),
		/* Dot-string */
		BYTES("<.@b>"), BYTES("<...@b>"), BYTES("<.\"a\"@b>"),
		BYTES("<a b@c>"), BYTES("<a(b@c>"), BYTES("<a@b@c>"),
		BYTES("<a\\b@c>"), BYTES("<a,b@c>"), BYTES("<a\0@b>"),
		/* Quoted-string */
		BYTES("<\"a@b>"), BYTES("<\"a\"b@c>"), BYTES("<a\"b\"@c>"),
		BYTES("<\"a\\\"@b>"), BYTES("<\"a\tb\"@c>"),
		BYTES("<\"a\r\nb\"@c>"), BYTES("<\"a\0b\"@c>"),
		BYTES("<\"a\\\x7f\"@c>"), BYTES("<\"a\".\"b\"@c>"),
		/* Domain */
		BYTES("<a@b. c>"), BYTES("<a@b..>"), BYTES("<a@.>"),
		BYTES("<a@b.-c>"), BYTES("<a@.b>"), BYTES("<a@b..c>"),
		BYTES("<a@-b>"), BYTES("<a@b-.c>"), BYTES("<a@b c>"),
		BYTES("<a@b!c>"), BYTES("<a@b\0c>"),
		BYTES("<a@1234567890123456789012345678901234567890123456789"
		      "012345678901234>"), /* a label of 64 */
		/* source routes */
		BYTES("<@x:>"), BYTES("<@x a@b>"), BYTES("<@x,y:a@b>"),
		BYTES("<@x,:a@b>"), BYTES("<x:a@b>"), BYTES("<@[192.0.2.1]:a@b>"),
		/* literals */
		BYTES("<a@[]>"), BYTES("<a@[192.0.2]>"), BYTES("<a@[192.0.2.1>"),
		BYTES("<a@[192.0.2.256]>"), BYTES("<a@[192.0.2.1.]>"),
		BYTES("<a@[192.0.2.1.1]>"), BYTES("<a@[192.0..1]>"),
		BYTES("<a@[0192.0.2.1]>"), BYTES("<a@[2001:db8::1]>"),
		BYTES("<a@[IPv6:2001:db8::g]>"), BYTES("<a@[IPv6:]>"),
		BYTES("<a@[IPv6:192.0.2.1]>"), BYTES("<a@[x400:a]>"),
		BYTES("<a@[:x]>"),
		BYTES("<a@[192.0.2.1]b>"),
		/* not without SMTPUTF8 */
		BYTES("<\xc3\xa4@b>"), BYTES("<a@\xc3\xa4>"),
		BYTES("<\"\xc3\xa4\"@b>"),
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct span in = cases[i];
		struct smtp_path path;

		cr_expect_eq(smtp_path_parse(&in, false, &path), MX_EINVAL,
			     "%.*s", SPAN_ARG(cases[i]));
		cr_expect_eq(in.n, cases[i].n); /* left alone */
	}
}

/* RFC 6531 section 3.3: well-formed UTF-8 and nothing else. */
Test(smtp_path, utf8)
{
	static const struct {
		struct span in;
		enum mx_err err;
	} cases[] = {
		{ BYTES("<\xc3\xa4@b>"), MX_OK },
		{ BYTES("<a@b\xc3\xbc""cher.example>"), MX_OK },
		{ BYTES("<\"\xc3\xa4 b\"@c>"), MX_OK },
		{ BYTES("<\xf0\x9f\x93\xa7@b>"), MX_OK },
		{ BYTES("<@\xc3\xa4:a@b>"), MX_OK },
		{ BYTES("<\xe4@b>"), MX_EINVAL },             /* Latin-1 */
		{ BYTES("<\xc0\xaf@b>"), MX_EINVAL },         /* overlong */
		{ BYTES("<\xed\xa0\x80@b>"), MX_EINVAL },     /* surrogate */
		{ BYTES("<\xf4\x90\x80\x80@b>"), MX_EINVAL }, /* too high */
		{ BYTES("<\xc3@b>"), MX_EINVAL },
		{ BYTES("<\"\\\xc3\xa4\"@b>"), MX_EINVAL }, /* quoted-pair */
		{ BYTES("<a@\xe4>"), MX_EINVAL },
		{ BYTES("<a@\xc2\x80.example>"), MX_EINVAL }, /* no U-label */
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct span in = cases[i].in;
		struct smtp_path path;

		cr_expect_eq(smtp_path_parse(&in, true, &path), cases[i].err,
			     "%.*s", SPAN_ARG(cases[i].in));
		if (cases[i].err == MX_OK)
			cr_expect(path.is_utf8, "%.*s", SPAN_ARG(cases[i].in));
	}
}
/* clang-format on */

/* What stands behind the path is the caller's. */
Test(smtp_path, steps_over_the_path_only)
{
	struct span in = SPAN_LIT("<a@b> SIZE=1");
	struct smtp_path path;

	cr_assert_eq(smtp_path_parse(&in, false, &path), MX_OK);
	expect_span(in, " SIZE=1", "rest");
	in = SPAN_LIT("a@b. SIZE=1");
	cr_assert_eq(smtp_path_parse(&in, false, &path), MX_OK);
	expect_span(in, " SIZE=1", "rest, no brackets");
}

/* RFC 5321 section 4.5.3.1.3: 256 octets, angle brackets included. */
Test(smtp_path, length)
{
	char text[300];

	for (size_t n = 250; n <= 260; n++) {
		struct span in = { text, n };
		struct smtp_path path;

		memset(text, 'x', sizeof(text));
		text[0] = '<';
		memcpy(text + n - 11, "@b.example>", 11);
		cr_expect_eq(smtp_path_parse(&in, false, &path) == MX_OK,
			     n <= 256, "%zu", n);
		cr_expect_eq(smtp_mailbox_parse(span_of(text + 1, n - 2), false,
						&path) == MX_OK,
			     n <= 256, "%zu", n);
		in = span_of(text + 1, n - 2); /* it will have brackets */
		cr_expect_eq(smtp_path_parse(&in, false, &path) == MX_OK,
			     n <= 256, "%zu", n);
	}
}

Test(smtp_mailbox, whole_span)
{
	struct smtp_path path;

	cr_expect_eq(smtp_mailbox_parse(SPAN_LIT("a@b"), false, &path), MX_OK);
	expect_span(path.local, "a", "local");
	expect_span(path.domain, "b", "domain");
	cr_expect_neq(smtp_mailbox_parse(SPAN_LIT("a@b "), false, &path),
		      MX_OK);
	cr_expect_neq(smtp_mailbox_parse(SPAN_LIT("<a@b>"), false, &path),
		      MX_OK);
	cr_expect_neq(smtp_mailbox_parse(SPAN_LIT("a"), false, &path), MX_OK);
	cr_expect_neq(smtp_mailbox_parse(SPAN_LIT(""), false, &path), MX_OK);
	cr_expect_neq(smtp_mailbox_parse(SPAN_LIT("postmaster"), false, &path),
		      MX_OK);
}

Test(smtp_local, alone)
{
	cr_expect(smtp_is_local(SPAN_LIT("a.b"), false));
	cr_expect(smtp_is_local(SPAN_LIT(".a..b."), false));
	cr_expect_not(smtp_is_local(SPAN_LIT("."), false));
	cr_expect(smtp_is_local(SPAN_LIT("\"a b\""), false));
	cr_expect(smtp_is_local(SPAN_LIT("\xc3\xa4"), true));
	cr_expect_not(smtp_is_local(SPAN_LIT("\xc3\xa4"), false));
	cr_expect_not(smtp_is_local(SPAN_LIT("a b"), false));
	cr_expect_not(smtp_is_local(SPAN_LIT("a@b"), false));
	cr_expect_not(smtp_is_local(SPAN_LIT(""), false));
}

/* Two spellings of one mailbox are one mailbox. */
Test(smtp_local, canonical)
{
	static const struct {
		const char *in, *want;
	} cases[] = {
		{ "John", "john" },
		{ "\"John\"", "john" },
		{ "\"Jo\\hn\"", "john" },
		{ "\"a \\\"b\\\\\"", "a \"b\\" },
		{ "\"\"", "" },
		{ "\xc3\x84", "\xc3\x84" }, /* only ASCII has a lower case */
		{ "Mu\xcc\x88ller", "m\xc3\xbcller" }, /* NFD is NFC */
		{ "A\xcc\x88", "\xc3\x84" },	       /* whatever its case */
		{ "\"a\xcc\x88 b\"", "\xc3\xa4 b" },
		{ "\xc3\xa4\xff", "\xc3\xa4\xff" }, /* no UTF-8: as it is */
		/* the few that become longer, and nothing is cut */
		{ "\xe0\xa5\x98", "\xe0\xa4\x95\xe0\xa4\xbc" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf out = { 0 };

		smtp_local_canon(&out, span_str(cases[i].in));
		expect_span(buf_span(&out), cases[i].want, cases[i].in);
		buf_fini(&out);
	}
}

/* The last @ counts: a quoted local part may hold others. */
Test(smtp_local, is_found)
{
	static const struct {
		const char *in, *want;
	} cases[] = {
		{ "a@b", "a" }, { "\"a@b\"@c", "\"a@b\"" }, { "a@", "a" },
		{ "@b", "" },	{ "alone", "alone" },	    { "", "" },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		expect_span(smtp_local_of(span_str(cases[i].in)), cases[i].want,
			    cases[i].in);
}

/* RFC 6531 section 3.2: foreign only in its domain, it has an ASCII form. */
Test(smtp_mailbox, in_ascii)
{
	static const struct {
		const char *in, *want;
	} cases[] = {
		{ "a@b\xc3\xbc"
		  "cher.example",
		  "a@xn--bcher-kva.example" },
		{ "\"a@b\"@b\xc3\xbc"
		  "cher.example",
		  "\"a@b\"@xn--bcher-kva.example" },
		{ "a@b.example", "a@b.example" },
		{ "a@[192.0.2.1]", "a@[192.0.2.1]" },
		{ "a@b..\xc3\xbc", "a@b..\xc3\xbc" },
		{ "\xc3\xa4", "\xc3\xa4" },
		{ "", "" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf out = { 0 };

		buf_adds(&out, "<");
		smtp_mailbox_add_ascii(&out, span_str(cases[i].in));
		expect_span(span_skip(buf_span(&out), 1), cases[i].want,
			    cases[i].in);
		buf_fini(&out);
	}
}
