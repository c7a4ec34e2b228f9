#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "daemon/check/mx.h"

static struct arena arena;
static struct span us[] = { { "mx2.example.net", 15 } };
static const struct self self = { .names = us, .name_count = 1 };

/* "10 mail.example.org" in wire format. */
static struct span wire(unsigned preference, const char *name)
{
	struct buf b = { 0 };
	struct span rest = span_str(name), made;

	buf_addc(&b, (char)(preference >> 8));
	buf_addc(&b, (char)(preference & 0xff));
	while (rest.n > 0) {
		struct span label = span_cut(&rest, '.');

		buf_addc(&b, (char)label.n);
		buf_add(&b, label);
	}
	buf_addc(&b, '\0');
	made = arena_span(&arena, buf_span(&b));
	buf_fini(&b);
	return made;
}

struct record {
	unsigned preference;
	const char *name;
};

enum { MOST = 4 };

/* Every host but "gone..." has the address 192.0.2.1. */
static void make(struct mx_set *m, const struct record *records, int64_t ttl_s)
{
	static const struct span address = { "\xc0\x00\x02\x01", 4 };
	static struct span rdata[MOST];
	size_t n = 0;

	for (; n < MOST && records[n].name != NULL; n++)
		rdata[n] = wire(records[n].preference, records[n].name);
	*m = (struct mx_set){ .domain = SPAN_LIT("example.org") };
	m->answer = (struct answer){ .status = DNS_OK,
				     .ttl_s = ttl_s,
				     .rdata = rdata,
				     .count = n };
	mx_read(m, &self, &arena);
	for (size_t i = 0; i < m->count; i++) {
		struct mx_host *h = &m->hosts[i];

		h->v4 = h->v6 = (struct answer){ .status = DNS_NXDOMAIN };
		if (!span_starts(h->name, SPAN_LIT("gone")) && !h->is_text)
			h->v4 = (struct answer){ .status = DNS_OK,
						 .rdata = &address,
						 .count = 1 };
	}
	mx_settle(m, &self, 25);
}

static struct findings judge(const struct mx_set *m, bool has_primary)
{
	struct findings f = { .arena = &arena };
	const struct mx_views v = { .own_name = us[0],
				    .has_primary = has_primary,
				    .self = &self };

	mx_judge(&f, m, &v);
	findings_sort(&f);
	return f;
}

/* Only some hosts are looked at, but the best, and us. */
Test(check_mx, this_host_is_found_in_a_large_set)
{
	static struct span rdata[100];
	struct mx_set m = { .domain = SPAN_LIT("example.org") };
	char name[32];

	for (size_t i = 0; i < COUNT(rdata); i++) {
		(void)snprintf(name, sizeof(name), "m%zu.example.org", i);
		rdata[i] = wire(10, name);
	}
	rdata[50] = wire(90, "mx2.example.net");
	rdata[99] = wire(5, "best.example.org");
	m.answer = (struct answer){ .status = DNS_OK,
				    .rdata = rdata,
				    .count = COUNT(rdata) };
	mx_read(&m, &self, &arena);
	cr_assert_eq(m.count, MX_HOSTS_MAX);
	cr_expect(span_eq(m.hosts[0].name, SPAN_LIT("best.example.org")));
	cr_expect(span_eq(m.hosts[MX_HOSTS_MAX - 1].name, us[0]));
	cr_expect_eq(m.hosts[MX_HOSTS_MAX - 1].preference, 90);
	mx_settle(&m, &self, 25);
	cr_expect_not_null(m.self);
}

Test(check_mx, one_thing_is_wrong)
{
	static const struct {
		struct record records[MOST];
		int64_t ttl_s;
		bool has_primary;
		enum check_id id;
		enum severity severity;
		const char *remedy;
	} cases[] = {
		{ { { 10, "mail.example.org" } }, 3600, false, CHECK_MX_LISTED,
		  SEVERITY_ERROR, "example.org. 3600 IN MX 20 mx2.example.net." },
		{ { { 10, "mail.example.org" }, { 10, "mx2.example.net" } },
		  7200, false, CHECK_MX_ORDER, SEVERITY_ERROR,
		  "example.org. 7200 IN MX 20 mx2.example.net." },
		{ { { 5, "mail.example.org" }, { 10, "b.example.org" },
		    { 10, "mx2.example.net" } },
		  3600, false, CHECK_MX_ORDER, SEVERITY_WARNING,
		  "example.org. 3600 IN MX 20 mx2.example.net." },
		{ { { 30, "mail.example.org" }, { 20, "mx2.example.net" } },
		  3600, false, CHECK_MX_ORDER, SEVERITY_ERROR,
		  "example.org. 3600 IN MX 40 mx2.example.net." },
		/* the allowlist knows the way: that is a choice */
		{ { { 30, "mail.example.org" }, { 20, "mx2.example.net" } },
		  3600, true, CHECK_MX_ORDER, SEVERITY_INFO, NULL },
		{ { { 10, "192.0.2.1" }, { 20, "mx2.example.net" } }, 3600,
		  false, CHECK_MX_TARGET, SEVERITY_ERROR,
		  "remove: example.org. IN MX 10 192.0.2.1.\n"
		  "mail.example.org. 3600 IN A 192.0.2.1\n"
		  "example.org. 3600 IN MX 10 mail.example.org." },
		{ { { 10, "mail.example.org" }, { 15, "gone.example.org" },
		    { 20, "mx2.example.net" } },
		  3600, false, CHECK_MX_TARGET, SEVERITY_WARNING, NULL },
		{ { { 15, "gone.example.org" }, { 20, "mx2.example.net" } },
		  3600, false, CHECK_MX_TARGET, SEVERITY_ERROR, NULL },
		{ { { 0, "" } }, 3600, false, CHECK_MX_NULL, SEVERITY_ERROR,
		  NULL },
		{ { { 0, "" }, { 10, "mail.example.org" },
		    { 20, "mx2.example.net" } },
		  3600, false, CHECK_MX_NULL, SEVERITY_ERROR,
		  "remove: example.org. IN MX 0 ." },
		{ { { 10, "mail.example.org" }, { 20, "mx2.example.net" } },
		  604800, false, CHECK_MX_TTL, SEVERITY_WARNING,
		  "example.org. 3600 IN MX 10 mail.example.org.\n"
		  "example.org. 3600 IN MX 20 mx2.example.net." },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct mx_set m;
		struct findings f;

		make(&m, cases[i].records, cases[i].ttl_s);
		f = judge(&m, cases[i].has_primary);
		for (size_t k = 0; k < f.count; k++) {
			const struct finding *one = &f.list[k];

			if (one->id != cases[i].id) {
				cr_expect_leq(one->severity, SEVERITY_INFO,
					      "%zu: %s", i, one->what.p);
				continue;
			}
			cr_expect_eq(one->severity, cases[i].severity,
				     "%zu: %s", i, one->what.p);
			if (cases[i].remedy != NULL)
				cr_expect_str_eq(one->remedy.p,
						 cases[i].remedy, "%zu: %s", i,
						 one->remedy.p);
		}
		arena_reset(&arena);
	}
}

Test(check_mx, a_right_set_is_ok)
{
	static const struct record records[MOST] = {
		{ 10, "mail.example.org" }, { 20, "mx2.example.net" },
		{ 30, "third.example.org" },
	};
	struct mx_set m;
	struct findings f;

	make(&m, records, 3600);
	f = judge(&m, false);
	cr_assert_eq(f.count, 5u);
	for (size_t i = 0; i < f.count; i++)
		cr_expect_eq(f.list[i].severity, SEVERITY_OK, "%s",
			     f.list[i].what.p);
	arena_reset(&arena);
}

/* A cache on the way counts down; the zone does not. */
Test(check_mx, a_short_life_is_that_of_the_zone)
{
	static const struct record records[MOST] = {
		{ 10, "mail.example.org" }, { 20, "mx2.example.net" },
	};
	static const struct {
		int64_t first, again;
		bool is_short;
	} cases[] = {
		{ 30, 30, true }, { 30, 28, false }, { 1, 3600, false },
		{ 299, 299, true },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct mx_set m;
		struct findings f;

		make(&m, records, cases[i].first);
		cr_assert(mx_wants_again(&m));
		m.again = m.answer;
		m.again.ttl_s = cases[i].again;
		m.has_again = true;
		f = judge(&m, false);
		cr_expect_eq(findings_worst(&f, CHECK_MX_TTL),
			     cases[i].is_short ? SEVERITY_WARNING
					       : SEVERITY_OK,
			     "%zu", i);
		arena_reset(&arena);
	}
}

/* Nothing is said of a set that could not be seen but that. */
Test(check_mx, no_answer)
{
	struct mx_set m = { .domain = SPAN_LIT("example.org"),
			    .answer = { .status = DNS_BOGUS,
					.why = SPAN_LIT("signature expired") } };
	struct findings f = judge(&m, false);

	cr_assert_eq(f.count, 5u);
	cr_expect_eq(f.list[0].severity, SEVERITY_ERROR);
	cr_expect_not_null(strstr(f.list[0].what.p, "signature expired"));
	for (size_t i = 1; i < f.count; i++)
		cr_expect_eq(f.list[i].severity, SEVERITY_INFO);
	arena_reset(&arena);
}
