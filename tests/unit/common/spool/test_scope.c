#include "common/spool/scope.h"

#include <criterion/criterion.h>

#include "common/base/assert.h"

Test(spool_scope, domains_and_patterns_have_one_form)
{
	static const struct {
		const char *text, *canon;
	} cases[] = {
		{ "Example.ORG", "example.org" },
		{ "example.org.", "example.org" },
		{ "*.Example.org", "*.example.org" },
		{ "*.m\xc3\xbcller.example", "*.xn--mller-kva.example" },
		{ "*", "" },
		{ "*.", "" },
		{ "*.*.example.org", "" },
		{ "a b", "" },
		{ "@mx1.example.org", "" },
		{ "", "" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf out = { 0 };
		bool ok = scope_domain_canon(&out, span_str(cases[i].text));

		cr_expect_eq(ok, cases[i].canon[0] != '\0', "%s",
			     cases[i].text);
		cr_expect_str_eq(buf_cstr(&out), cases[i].canon);
		buf_fini(&out);
	}
}

Test(spool_scope, a_pattern_covers_what_is_below_it)
{
	struct span p = SPAN_LIT("*.example.net");

	cr_expect(scope_covers(p, SPAN_LIT("a.example.net")));
	cr_expect(scope_covers(p, SPAN_LIT("a.b.example.net")));
	cr_expect_not(scope_covers(p, SPAN_LIT("example.net")));
	cr_expect_not(scope_covers(p, SPAN_LIT("anexample.net")));
	cr_expect_not(scope_covers(p, SPAN_LIT("*.example.net")));
	cr_expect_not(scope_covers(SPAN_LIT("a.example.net"),
				   SPAN_LIT("a.example.net")));
}

Test(spool_scope, patterns_of_a_domain_come_nearest_first)
{
	struct span name = SPAN_LIT("a.b.example");
	struct buf out = { 0 };

	cr_assert(scope_next_pattern(&name, &out));
	cr_expect_str_eq(buf_cstr(&out), "*.b.example");
	cr_assert(scope_next_pattern(&name, &out));
	cr_expect_str_eq(buf_cstr(&out), "*.example");
	cr_expect_not(scope_next_pattern(&name, &out));
	buf_fini(&out);
}

/* What status shows can be copied into an order. */
Test(spool_scope, a_target_has_many_names)
{
	static const struct {
		const char *target, *name;
		bool is;
	} cases[] = {
		{ "mx.a.test[192.0.2.1]:25", "mx.a.test[192.0.2.1]:25", true },
		{ "mx.a.test[192.0.2.1]:25", "mx.a.test", true },
		{ "mx.a.test[192.0.2.1]:25", "MX.a.test:25", true },
		{ "mx.a.test[192.0.2.1]:25", "192.0.2.1", true },
		{ "mx.a.test[192.0.2.1]:25", "192.0.2.1:25", true },
		{ "mx.a.test[192.0.2.1]:25", "[192.0.2.1]:25", true },
		{ "mx.a.test[192.0.2.1]:25", "mx.a.test:26", false },
		{ "mx.a.test[192.0.2.1]:25", "a.test", false },
		{ "mx.a.test[192.0.2.1]:25", "mx.a.test[192.0.2.2]:25", false },
		{ "mx.a.test[192.0.2.1]:25", "", false },
		{ "[192.0.2.1]:25", "[192.0.2.1]:25", true },
		{ "[192.0.2.1]:25", "192.0.2.1", true },
		{ "[192.0.2.1]:25", "192.0.2.11", false },
		{ "[2001:db8::1]:25", "2001:db8::1", true },
		{ "[2001:db8::1]:25", "[2001:db8::1]", true },
		{ "[2001:db8::1]:25", "2001:db8::2", false },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(scope_names_target(span_str(cases[i].target),
						span_str(cases[i].name)),
			     cases[i].is, "%s %s", cases[i].target,
			     cases[i].name);
}

Test(spool_scope, a_route_has_the_names_of_its_hosts)
{
	static const char key[] =
		"mx1.a.test:25,mx2.a.test:2525/dane;192.0.2.2:25,"
		"[2001:db8::1]:25 tls=may";
	static const struct {
		const char *name;
		bool is;
	} cases[] = {
		{ key, true },
		{ "mx1.a.test", true },
		{ "mx2.a.test:2525", true },
		{ "mx2.a.test", true },
		{ "mx1.a.test[192.0.2.9]:25", true },
		{ "192.0.2.2", true },
		{ "[192.0.2.2]:25", true },
		{ "2001:db8::1", true },
		{ "mx1.a.test:26", false },
		{ "a.test", false },
		{ "tls=may", false },
		{ "", false },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(scope_names_route(span_str(key),
					       span_str(cases[i].name)),
			     cases[i].is, "%s", cases[i].name);
	cr_expect(scope_names_route(SPAN_LIT("mx1.a.test:25 tls=may"),
				    SPAN_LIT("mx1.a.test:25")));
}

/* A target is a name that tells all of itself. */
Test(spool_scope, a_route_has_its_targets)
{
	static const struct {
		const char *key, *target;
		bool is;
	} cases[] = {
		{ "mx.example.org:25", "mx.example.org[192.0.2.1]:25", true },
		{ "a.test:25,mx.example.org:25/must;b.test:25 tls=may",
		  "mx.example.org[2001:db8::1]:25", true },
		{ "mx.example.org:2525", "mx.example.org[192.0.2.1]:25",
		  false },
		{ "bmx.example.org:25", "mx.example.org[192.0.2.1]:25", false },
		{ "mx.example.org.uk:25", "mx.example.org[192.0.2.1]:25",
		  false },
		{ "192.0.2.1:2525 tls=may", "[192.0.2.1]:2525", true },
		{ "[2001:db8::1]:25", "[2001:db8::1]:25", true },
		{ "192.0.2.1:2525", "[192.0.2.1]:252", false },
		{ "192.0.2.11:25", "[192.0.2.1]:25", false },
		{ "1192.0.2.1:25", "[192.0.2.1]:25", false },
		{ "", "mx.example.org[192.0.2.1]:25", false },
		{ "mx.example.org:25", "nonsense", false },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(scope_names_route(span_str(cases[i].key),
					       span_str(cases[i].target)),
			     cases[i].is, "%s %s", cases[i].key,
			     cases[i].target);
}
