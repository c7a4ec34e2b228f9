#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "config/value/value.h"

Test(value, times)
{
	static const struct {
		const char *text;
		int64_t ms; /* -1: refused */
	} cases[] = {
		{ "0", 0 },		 { "5s", SECONDS(5) },
		{ "90s", SECONDS(90) },	 { "500ms", 500 },
		{ "10m", MINUTES(10) },	 { "4h", HOURS(4) },
		{ "14d", DAYS(14) },	 { "2w", DAYS(14) },
		{ "00", 0 },		 { "14", -1 },
		{ "", -1 },		 { "s", -1 },
		{ "5S", -1 },		 { "5 s", -1 },
		{ "-5s", -1 },		 { "1.5h", -1 },
		{ "5sm", -1 },		 { "18446744073709551616s", -1 },
		{ "9223372036854775807d", -1 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t ms = -1;
		bool ok = value_time(span_str(cases[i].text), &ms);

		cr_expect_eq(ok, cases[i].ms >= 0, "%s", cases[i].text);
		if (ok)
			cr_expect_eq(ms, cases[i].ms, "%s", cases[i].text);
	}
}

Test(value, sizes)
{
	static const struct {
		const char *text;
		int64_t bytes;
	} cases[] = {
		{ "0", 0 },	     { "4096", 4096 },
		{ "64K", 64 << 10 }, { "50M", 50 << 20 },
		{ "64G", 64LL << 30 }, { "2T", 2LL << 40 },
		{ "50MB", -1 },	     { "50m", -1 },
		{ "M", -1 },	     { "", -1 },
		{ "1e3", -1 },	     { "9999999T", -1 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t bytes = -1;
		bool ok = value_size(span_str(cases[i].text), &bytes);

		cr_expect_eq(ok, cases[i].bytes >= 0, "%s", cases[i].text);
		if (ok)
			cr_expect_eq(bytes, cases[i].bytes, "%s",
				     cases[i].text);
	}
}

/* Seconds, days?  Only 0 is the same in all of them. */
Test(value, a_number_alone_lacks_its_unit)
{
	cr_expect(value_lacks_unit(SPAN_LIT("14")));
	cr_expect(value_lacks_unit(SPAN_LIT("007")));
	cr_expect_not(value_lacks_unit(SPAN_LIT("0")));
	cr_expect_not(value_lacks_unit(SPAN_LIT("14d")));
	cr_expect_not(value_lacks_unit(SPAN_LIT("")));
	cr_expect_not(value_lacks_unit(SPAN_LIT("x")));
}

Test(value, are_printed_as_they_are_written)
{
	struct buf out = { 0 };

	value_time_add(&out, DAYS(14));
	buf_addc(&out, ' ');
	value_time_add(&out, SECONDS(90));
	buf_addc(&out, ' ');
	value_time_add(&out, 100);
	buf_addc(&out, ' ');
	value_time_add(&out, 0);
	buf_addc(&out, ' ');
	value_size_add(&out, 64LL << 30);
	buf_addc(&out, ' ');
	value_size_add(&out, 1500);
	cr_expect_str_eq(buf_cstr(&out), "14d 90s 100ms 0 64G 1500");
	buf_reset(&out);
	value_size_round(&out, 64LL << 30);
	buf_addc(&out, ' ');
	value_size_round(&out, 42090000000);
	buf_addc(&out, ' ');
	value_size_round(&out, 0);
	buf_addc(&out, ' ');
	value_size_round(&out, 1023);
	cr_expect_str_eq(buf_cstr(&out), "64G 39.2G 0 1023");
	buf_reset(&out);
	value_share_add(&out, 200000);
	buf_addc(&out, ' ');
	value_share_add(&out, SHARE_ALL);
	cr_expect_str_eq(buf_cstr(&out), "0.2 1");
	buf_fini(&out);
}

Test(value, hops)
{
	static const struct {
		const char *text, *printed; /* NULL: refused */
	} cases[] = {
		{ "mail.example.org", "mail.example.org:0" },
		{ "Mail.Example.ORG:2525", "mail.example.org:2525" },
		{ "192.0.2.10", "[192.0.2.10]:0" },
		{ "192.0.2.10:26", "[192.0.2.10]:26" },
		{ "[192.0.2.10]:25", "[192.0.2.10]:25" },
		{ "[2001:db8::1]", "[2001:db8::1]:0" },
		{ "[2001:db8::1]:25", "[2001:db8::1]:25" },
		{ "", NULL },
		{ ":25", NULL },
		{ "mail.example.org:", NULL },
		{ "mail.example.org:0", NULL },
		{ "mail.example.org:65536", NULL },
		{ "mail.example.org:smtp", NULL },
		{ "2001:db8::1", NULL },
		{ "[2001:db8::1", NULL },
		{ "[mail.example.org]", NULL },
		{ "[192.0.2.10]25", NULL },
		{ "a..b", NULL },
		{ "127.0.0.1", "[127.0.0.1]:0" },
		{ "[::1]:25", "[::1]:25" },
		{ "223.255.255.255", "[223.255.255.255]:0" },
		{ "0.0.0.0:25", NULL },
		{ "[0.0.0.0]", NULL },
		{ "[::]:25", NULL },
		{ "224.0.0.1", NULL },
		{ "255.255.255.255:25", NULL },
		{ "[ff02::1]", NULL },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf name = { 0 }, out = { 0 };
		struct config_hop hop;
		bool ok = value_hop(span_str(cases[i].text), &name, &hop);

		cr_expect_eq(ok, cases[i].printed != NULL, "%s",
			     cases[i].text);
		if (ok && cases[i].printed != NULL) {
			value_hop_add(&out, &hop);
			cr_expect_str_eq(buf_cstr(&out), cases[i].printed);
		}
		buf_fini(&name);
		buf_fini(&out);
	}
}

Test(value, shares)
{
	static const struct {
		const char *text;
		int64_t millionths; /* -1: none */
	} cases[] = {
		{ "0", 0 },	  { "1", 1000000 },    { "0.2", 200000 },
		{ ".05", 50000 }, { "1.5", 1500000 },  { "0.1234567", 123456 },
		{ "", -1 },	  { ".", -1 },	       { "1.", -1 },
		{ "-0.1", -1 },	  { "0.2x", -1 },      { "0.1234567x", -1 },
		{ "20%", -1 },	  { "1e-1", -1 },      { "0.2.1", -1 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t v = -1;

		if (!value_share(span_str(cases[i].text), &v))
			v = -1;
		cr_expect_eq(v, cases[i].millionths, "%s", cases[i].text);
	}
}

/* A forgotten port must not become the name of a file. */
Test(value, an_address_is_no_path)
{
	static const struct {
		const char *text;
		bool is_endpoint;
	} cases[] = {
		{ "127.0.0.1:8020", true }, { "[::1]:8020", true },
		{ "localhost:8020", true }, { "127.0.0.1", true },
		{ "::1", true },	    { "8020", true },
		{ "web.sock", false },	    { "./8020", false },
		{ "/run/a:b.sock", false }, { "", false },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(value_is_endpoint(span_str(cases[i].text)),
			     cases[i].is_endpoint, "%s", cases[i].text);
}
