/* Counts of client networks in fixed memory. */
#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "daemon/policy/rates.h"
#include "tests/support/addrs.h"

static struct rates *r;

static void setup(void)
{
	r = rates_new();
}

static void teardown(void)
{
	rates_free(&r);
}

TestSuite(rates, .init = setup, .fini = teardown);

/* A network is an IPv4 address or an IPv6 /64, and the kinds are apart. */
Test(rates, networks)
{
	static const struct {
		const char *client;
		unsigned count;
	} cases[] = {
		{ "192.0.2.1", 1 },	{ "192.0.2.2", 1 },
		{ "192.0.2.1", 2 },	{ "2001:db8::1", 1 },
		{ "2001:db8::ffff", 2 }, { "2001:db8:0:1::1", 1 },
		/* the same octets */
		{ "c000:0201::1", 1 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct net_addr a = addr_at(cases[i].client);

		cr_expect_eq(rates_add(r, &a, RATE_UNKNOWN, 5),
			     cases[i].count, "%s", cases[i].client);
		cr_expect_eq(rates_get(r, &a, RATE_UNKNOWN, 5),
			     cases[i].count);
		cr_expect_eq(rates_get(r, &a, RATE_MESSAGES, 5), 0);
	}
}

/* Whoever has a /48 has 65,536 networks: all of them have 16 times as much. */
Test(rates, a_site)
{
	struct net_addr a = addr_at("2001:db8:7::1"), b = addr_at("2001:db8:8::1");

	for (unsigned n = 1; n <= 1000; n++) {
		unsigned want = n / 16 > 1 ? n / 16 : 1;

		a.ip[6] = (unsigned char)(n >> 8);
		a.ip[7] = (unsigned char)n;
		cr_expect_eq(rates_add(r, &a, RATE_UNKNOWN, 5), want);
		cr_expect_eq(rates_get(r, &a, RATE_UNKNOWN, 5), want);
	}
	cr_expect_eq(rates_get(r, &b, RATE_UNKNOWN, 5), 0, "its neighbour");
	for (unsigned n = 1; n <= 100; n++)
		cr_expect_eq(rates_add(r, &b, RATE_UNKNOWN, 5), n);
}

/* A minute from the first on, however many follow. */
Test(rates, a_minute)
{
	struct net_addr a = addr_at("192.0.2.1");

	for (int i = 0; i < 100; i++)
		rates_add(r, &a, RATE_UNKNOWN, 1000 + i * 10);
	cr_expect_eq(rates_get(r, &a, RATE_UNKNOWN, 60999), 100);
	cr_expect_eq(rates_add(r, &a, RATE_MESSAGES, 60999), 1);
	cr_expect_eq(rates_get(r, &a, RATE_UNKNOWN, 61000), 0);
	cr_expect_eq(rates_add(r, &a, RATE_UNKNOWN, 61000), 1);
	cr_expect_eq(rates_get(r, &a, RATE_MESSAGES, 61000), 0);
}

/* A crowd that does little neither pushes out who did much, nor is one of it
 * ever counted for another. */
Test(rates, a_crowd)
{
	enum { CROWD = 400000, LIMIT = 60 };
	struct net_addr worst = addr_at("198.51.100.66");

	for (int i = 0; i < LIMIT; i++)
		rates_add(r, &worst, RATE_UNKNOWN, 1);
	for (unsigned i = 0; i < CROWD; i++) {
		struct net_addr a = addr_number(i);

		cr_assert_eq(rates_add(r, &a, RATE_UNKNOWN, 2), 1, "%u", i);
	}
	cr_expect_eq(rates_add(r, &worst, RATE_UNKNOWN, 2), LIMIT + 1);
}

/* What is counted is never more than there was. */
Test(rates, never_more_than_there_was)
{
	enum { NETWORKS = 100000, ROUNDS = 3 };

	for (unsigned k = 1; k <= ROUNDS; k++)
		for (unsigned i = 0; i < NETWORKS; i++) {
			struct net_addr a = addr_number(i);
			unsigned n = rates_add(r, &a, RATE_MESSAGES, k);

			cr_assert(n >= 1 && n <= k, "%u: %u of %u", i, n, k);
		}
}

/* It does not run over into a fresh start. */
Test(rates, no_overflow)
{
	struct net_addr a = addr_at("192.0.2.1");

	for (int i = 0; i < 70000; i++)
		rates_add(r, &a, RATE_UNKNOWN, 1);
	cr_expect_eq(rates_get(r, &a, RATE_UNKNOWN, 1), UINT16_MAX);
}
