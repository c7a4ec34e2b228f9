/* Which TLSA records count (RFC 7672), and what TLS must then achieve. */
#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "daemon/route/plan.h"
#include "daemon/route/tlsa.h"

static const char digest[64] = "0123456789abcdef0123456789abcdef"
			       "0123456789abcdef0123456789abcde";

Test(tlsa, usable_records)
{
	static const struct {
		unsigned char usage, selector, matching;
		size_t bytes;
		bool usable;
	} cases[] = {
		{ 3, 1, 1, 32, true },	  { 3, 0, 2, 64, true },
		{ 2, 1, 0, 10, true },	  { 2, 0, 1, 32, true },
		{ 0, 1, 1, 32, false }, /* PKIX-TA, RFC 7672 section 3.1.3 */
		{ 1, 1, 1, 32, false },	  { 4, 1, 1, 32, false },
		{ 255, 1, 1, 32, false }, { 3, 2, 1, 32, false },
		{ 3, 1, 3, 32, false },	  { 3, 1, 1, 31, false },
		{ 3, 1, 2, 32, false },	  { 3, 1, 0, 0, false },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct tls_tlsa t = { .usage = cases[i].usage,
				      .selector = cases[i].selector,
				      .matching = cases[i].matching,
				      .data = { digest, cases[i].bytes } };

		cr_expect_eq(tlsa_is_usable(&t), cases[i].usable, "case %zu",
			     i);
	}
}

/* One host of one choice, and whatever the tests set up around it. */
struct fixture {
	struct arena arena;
	struct choice choice;
	struct candidate host;
	struct net_addr addr;
	struct sts_policy policy;
	struct span patterns[1];
};

static void setup(struct fixture *f)
{
	*f = (struct fixture){ 0 };
	f->addr = (struct net_addr){ .family = AF_INET,
				     .port = 25,
				     .ip = { 192, 0, 2, 1 } };
	f->host = (struct candidate){ .name = SPAN_LIT("mx.d.test"),
				      .port = 25,
				      .addrs = &f->addr,
				      .addr_count = 1 };
	f->choice = (struct choice){ .arena = &f->arena,
				     .hosts = &f->host,
				     .count = 1,
				     .source = ROUTE_FROM_MX };
	f->patterns[0] = SPAN_LIT("mx.d.test");
	f->policy = (struct sts_policy){ .mode = STS_ENFORCE,
					 .mx = f->patterns,
					 .mx_count = 1 };
}

/* Published and secure; usage 3 can be used, 1 cannot. */
static void publish(struct fixture *f, unsigned char usage)
{
	unsigned char wire[3 + 32] = { usage, 1, 1 };
	struct span rdata = span_of(wire, sizeof(wire));
	struct dns_answer a = {
		.status = DNS_OK, .secure = true, .rdata = &rdata, .count = 1
	};

	cr_assert(tlsa_take(&f->choice, &f->host, f->host.name, &a));
}

static void plan(struct fixture *f, enum tls_level level)
{
	plan_tls(&f->choice, &(struct plan){ .level = level,
					     .next_hop = SPAN_LIT("d.test") });
}

/* The table in plan.h, cell by cell. */
Test(plan, every_cell)
{
	enum { PLAIN, USABLE, UNUSABLE, STS, COLUMNS };
	static const enum tls_level wait = TLS_LEVEL_DEFAULT;
	static const struct {
		enum tls_level asked, want[COLUMNS];
	} rows[] = {
		{ TLS_LEVEL_NONE,
		  { TLS_LEVEL_NONE, TLS_LEVEL_NONE, TLS_LEVEL_NONE,
		    TLS_LEVEL_NONE } },
		{ TLS_LEVEL_MAY,
		  { TLS_LEVEL_MAY, TLS_LEVEL_DANE, TLS_LEVEL_MUST,
		    TLS_LEVEL_VERIFY } },
		{ TLS_LEVEL_MUST,
		  { TLS_LEVEL_MUST, TLS_LEVEL_DANE, TLS_LEVEL_MUST,
		    TLS_LEVEL_VERIFY } },
		{ TLS_LEVEL_VERIFY,
		  { TLS_LEVEL_VERIFY, TLS_LEVEL_DANE, TLS_LEVEL_VERIFY,
		    TLS_LEVEL_VERIFY } },
		{ TLS_LEVEL_DANE,
		  { TLS_LEVEL_DEFAULT, TLS_LEVEL_DANE, TLS_LEVEL_DEFAULT,
		    TLS_LEVEL_DEFAULT } },
	};

	for (size_t r = 0; r < COUNT(rows); r++) {
		for (int column = 0; column < COLUMNS; column++) {
			enum tls_level want = rows[r].want[column];
			struct fixture f;

			setup(&f);
			if (column == USABLE)
				publish(&f, 3);
			if (column == UNUSABLE)
				publish(&f, 1);
			if (column == STS)
				f.host.sts = &f.policy;
			plan(&f, rows[r].asked);
			cr_expect_eq(f.host.fate,
				     want == wait ? ROUTE_NO_DANE : ROUTE_USED,
				     "row %zu column %d", r, column);
			if (want != wait)
				cr_expect_eq(f.host.tls.level, want,
					     "row %zu column %d: %d", r, column,
					     f.host.tls.level);
			arena_reset(&f.arena);
		}
	}
}

/* RFC 7672 section 3.2.2: the base domain, and where the mail was going. */
Test(plan, dane_names)
{
	struct fixture f;

	setup(&f);
	publish(&f, 2);
	plan(&f, TLS_LEVEL_MAY);
	cr_assert(f.host.tls.is_dane);
	cr_assert_eq(f.host.tls.name_count, 2);
	cr_expect(span_eq(f.host.tls.names[0], SPAN_LIT("mx.d.test")));
	cr_expect(span_eq(f.host.tls.names[1], SPAN_LIT("d.test")));
	cr_expect(span_eq(f.host.tls.sni, SPAN_LIT("mx.d.test")));
	arena_reset(&f.arena);
}

/* RFC 7672 section 2.1.2: no answer at a signed host is no licence. */
Test(plan, failed_tlsa_takes_the_host_out)
{
	static const enum dns_status failures[] = { DNS_SERVFAIL, DNS_BOGUS,
						    DNS_TIMEOUT };

	for (size_t i = 0; i < COUNT(failures); i++) {
		struct dns_answer a = { .status = failures[i] };
		struct fixture f;

		setup(&f);
		(void)tlsa_take(&f.choice, &f.host, f.host.name, &a);
		cr_expect_eq(f.host.fate, ROUTE_UNKNOWN_NOW);
		arena_reset(&f.arena);
	}
}

Test(plan, absent_or_insecure_tlsa_is_no_dane)
{
	unsigned char wire[3 + 32] = { 3, 1, 1 };
	struct span rdata = span_of(wire, sizeof(wire));
	struct dns_answer answers[] = {
		{ .status = DNS_NODATA, .secure = true },
		{ .status = DNS_NXDOMAIN, .secure = true },
		{ .status = DNS_OK, .rdata = &rdata, .count = 1 },
	};

	for (size_t i = 0; i < COUNT(answers); i++) {
		struct fixture f;

		setup(&f);
		cr_expect_not(tlsa_take(&f.choice, &f.host, f.host.name,
					&answers[i]));
		plan(&f, TLS_LEVEL_MAY);
		cr_expect_eq(f.host.tls.level, TLS_LEVEL_MAY);
		arena_reset(&f.arena);
	}
}

/* A host the policy does not name is out, unless DANE speaks for it; testing
 * only says so. */
Test(plan, policy_names_the_hosts)
{
	struct fixture f;

	setup(&f);
	f.patterns[0] = SPAN_LIT("else.test");
	f.host.sts = &f.policy;
	plan(&f, TLS_LEVEL_MAY);
	cr_expect_eq(f.host.fate, ROUTE_NOT_IN_STS);
	arena_reset(&f.arena);

	setup(&f);
	f.patterns[0] = SPAN_LIT("else.test");
	f.host.sts = &f.policy;
	publish(&f, 3);
	plan(&f, TLS_LEVEL_MAY);
	cr_expect_eq(f.host.fate, ROUTE_USED);
	cr_expect(f.host.tls.is_dane);
	arena_reset(&f.arena);

	setup(&f);
	f.patterns[0] = SPAN_LIT("else.test");
	f.policy.mode = STS_TESTING;
	f.host.sts = &f.policy;
	plan(&f, TLS_LEVEL_MAY);
	cr_expect_eq(f.host.fate, ROUTE_USED);
	cr_expect_eq(f.host.tls.level, TLS_LEVEL_MAY);
	cr_expect_eq(f.choice.note_count, 1);
	arena_reset(&f.arena);
}

Test(plan, literal_is_verified_by_its_address)
{
	struct fixture f;

	setup(&f);
	f.host.name = SPAN_LIT("");
	plan(&f, TLS_LEVEL_VERIFY);
	cr_assert_eq(f.host.tls.name_count, 1);
	cr_expect(span_eq(f.host.tls.names[0], SPAN_LIT("192.0.2.1")));
	cr_expect_eq(f.host.tls.sni.n, 0);
	arena_reset(&f.arena);
}
