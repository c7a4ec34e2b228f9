/* RFC 8461: records and policies, to the letter. */
#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "daemon/sts/known.h"
#include "daemon/sts/policy.h"

Test(sts, record)
{
	static const struct {
		const char *txt, *id; /* NULL: none */
	} cases[] = {
		{ "v=STSv1; id=20260101T000000;", "20260101T000000" },
		{ "v=STSv1;id=1", "1" },
		{ "v=STSv1 ; id=a1 ; ext=b ;", "a1" },
		{ "v=STSv1; ext_1.x-y=b; id=7;", "7" },
		{ "v=STSv1; id=1; id=2;", "1" },
		{ "v=STSv1;", NULL },
		{ "v=STSv1; id=;", NULL },
		{ "v=STSv1; id=a-b;", NULL },
		{ "v=STSv1; id=123456789012345678901234567890123;", NULL },
		{ "v=STSv1; id=1; =x;", NULL },
		{ "v=STSv1; id=1; bad", NULL },
		{ "v=STSv2; id=1;", NULL },
		{ "v=stsv1; id=1;", NULL },
		{ "id=1; v=STSv1;", NULL },
		{ "", NULL },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct span id;
		bool is = sts_record_parse(span_str(cases[i].txt), &id);

		cr_expect_eq(is, cases[i].id != NULL, "%s", cases[i].txt);
		if (is && cases[i].id != NULL)
			cr_expect(span_eq(id, span_str(cases[i].id)), "%s",
				  cases[i].txt);
	}
}

Test(sts, policies_that_are_none)
{
	static const char *const cases[] = {
		"",
		"version: STSv1\nmode: enforce\nmax_age: 86400\n", /* no mx */
		"version: STSv1\nmx: a.test\nmax_age: 86400\n",
		"version: STSv1\nmode: enforce\nmx: a.test\n",
		"mode: enforce\nmx: a.test\nmax_age: 86400\n",
		"version: STSv2\nmode: enforce\nmx: a.test\nmax_age: 1\n",
		"version: STSv1\nmode: Enforce\nmx: a.test\nmax_age: 1\n",
		"version: STSv1\nmode: enforce\nmx: a.test\nmax_age: -1\n",
		"version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 1h\n",
		"version: STSv1\nmode: enforce\nmx: a.test\n"
		"max_age: 12345678901\n",
		"version: STSv1\nmode: enforce\nmx: *\nmax_age: 1\n",
		"version: STSv1\nmode: enforce\nmx: a.*.test\nmax_age: 1\n",
		"version: STSv1\nmode: enforce\nmx: a b\nmax_age: 1\n",
		"version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 1\n"
		"<html>\n",
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct arena a = { 0 };
		struct sts_policy p;

		cr_expect_not(sts_policy_parse(span_str(cases[i]), &a, &p),
			      "%s", cases[i]);
		arena_reset(&a);
	}
}

Test(sts, a_policy)
{
	struct arena a = { 0 };
	struct sts_policy p;

	cr_assert(sts_policy_parse(
		SPAN_LIT("version: STSv1\r\nmode: enforce\r\n"
			 "mx: Mail.Example.com\r\nmx: *.example.net\r\n"
			 "x-more: things\r\nmode: none\r\nmax_age: 604800"),
		&a, &p));
	cr_expect_eq(p.mode, STS_ENFORCE); /* the first one counts */
	cr_expect_eq(p.max_age_s, 604800);
	cr_assert_eq(p.mx_count, 2);
	cr_expect(span_eq(p.mx[0], SPAN_LIT("mail.example.com")));
	arena_reset(&a);

	cr_assert(sts_policy_parse(SPAN_LIT("version: STSv1\nmode: none\n"
					    "max_age: 9999999999\n"),
				   &a, &p));
	cr_expect_eq(p.mode, STS_NONE);
	cr_expect_eq(p.max_age_s, STS_MAX_AGE_S); /* a year at most */
	arena_reset(&a);
}

Test(sts, a_wildcard_is_one_label)
{
	static const struct {
		const char *pattern, *host;
		bool matches;
	} cases[] = {
		{ "mail.example.com", "mail.example.com", true },
		{ "mail.example.com", "MAIL.example.com", true },
		{ "mail.example.com", "a.mail.example.com", false },
		{ "*.example.com", "mail.example.com", true },
		{ "*.example.com", "a.mail.example.com", false },
		{ "*.example.com", "example.com", false },
		{ "*.example.com", ".example.com", false },
		{ "*.example.com", "mailexample.com", false },
		{ "mail.example.com", "", false },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct span pattern = span_str(cases[i].pattern);
		struct sts_policy p = { .mx = &pattern, .mx_count = 1 };

		cr_expect_eq(sts_policy_has(&p, span_str(cases[i].host)),
			     cases[i].matches, "%s %s", cases[i].pattern,
			     cases[i].host);
	}
}

Test(sts, size_is_bounded)
{
	struct buf text = { 0 };
	struct arena a = { 0 };
	struct sts_policy p;

	buf_adds(&text, "version: STSv1\nmode: enforce\nmax_age: 1\n");
	for (int i = 0; i < STS_MX_MAX; i++)
		buf_adds(&text, "mx: a.test\n");
	cr_expect(sts_policy_parse(buf_span(&text), &a, &p));
	cr_expect_eq(p.mx_count, STS_MX_MAX);
	buf_adds(&text, "mx: a.test\n");
	cr_expect_not(sts_policy_parse(buf_span(&text), &a, &p));
	while (text.n <= STS_POLICY_MAX)
		buf_adds(&text, "pad: pad\n");
	cr_expect_not(sts_policy_parse(buf_span(&text), &a, &p));
	arena_reset(&a);
	buf_fini(&text);
}

/* ---- What is kept of it ---- */

static bool is_over(const char *key, int64_t fetched_ms, const char *text)
{
	struct buf value = { 0 };
	bool over;

	buf_addf(&value, "id1 %lld\n%s", (long long)fetched_ms, text);
	over = sts_known_is_over(span_str(key), buf_span(&value));
	buf_fini(&value);
	return over;
}

/* A policy is dropped when its own max_age has gone by, not before. */
Test(sts_known, a_fact_is_over_with_its_max_age)
{
	const char *text = "version: STSv1\nmode: enforce\nmx: mx.a.test\n"
			   "max_age: 86400\n";
	int64_t now = clock_wall_ms();

	cr_expect_not(is_over("sts:a.test", now - HOURS(23), text));
	cr_expect(is_over("sts:a.test", now - HOURS(25), text));
	cr_expect(is_over("sts:a.test", now, "not a policy"));
	cr_expect(sts_known_is_over(SPAN_LIT("sts:a.test"), SPAN_LIT("junk")));
	cr_expect_not(is_over("last:a.test", 0, text));
}
