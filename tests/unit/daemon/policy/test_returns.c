/* Who was sent away and comes back, in fixed memory. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/policy/returns.h"
#include "tests/support/addrs.h"

enum { WAIT_MS = 60000 };

static struct returns *r;

static void setup(void)
{
	r = returns_new();
}

static void teardown(void)
{
	returns_free(&r);
}

TestSuite(returns, .init = setup, .fini = teardown);

static bool come(const char *client, const char *from, const char *to,
		 int64_t now_ms)
{
	struct net_addr a = addr_at(client);
	bool due = returns_is_due(r, &a, span_str(from), span_str(to), WAIT_MS,
				  now_ms);

	cr_expect_eq(returns_come(r, &a, span_str(from), span_str(to), WAIT_MS,
				  now_ms),
		     due);
	return due;
}

/* The first time counts: who hammers is let in no later. */
Test(returns, after_a_while)
{
	for (int64_t t = 0; t < WAIT_MS; t += 1000)
		cr_expect_not(come("192.0.2.1", "a@x.test", "b@y.test", t));
	/* at 0 it was entered as of 1 */
	cr_expect(come("192.0.2.1", "a@x.test", "b@y.test", WAIT_MS + 1));
	cr_expect(come("192.0.2.1", "a@x.test", "b@y.test", DAYS(1)));
	cr_expect_not(come("192.0.2.1", "a@x.test", "b@y.test", DAYS(2) + 1));
	cr_expect(come("192.0.2.1", "a@x.test", "b@y.test",
		       DAYS(2) + 1 + WAIT_MS));
}

/* The same network, sender and recipient; each is told from what stands beside
 * it. */
Test(returns, what_is_the_same)
{
	static const struct {
		const char *client, *from, *to;
		bool is_same;
	} cases[] = {
		{ "192.0.2.1", "a@x.test", "b@y.test", true },
		{ "192.0.2.2", "a@x.test", "b@y.test", false },
		{ "192.0.2.1", "", "b@y.test", false },
		{ "192.0.2.1", "A@x.test", "b@y.test", false },
		{ "192.0.2.1", "a@x.test", "c@y.test", false },
		{ "192.0.2.1", "a@x.testb", "@y.test", false },
		{ "192.0.2.1", "a@x.test\nb@y.test", "", false },
		{ "2001:db8::1", "a@x.test", "b@y.test", true },
		{ "2001:db8::ffff:1", "a@x.test", "b@y.test", true },
		{ "2001:db8:0:1::1", "a@x.test", "b@y.test", false },
	};

	come("192.0.2.1", "a@x.test", "b@y.test", 1);
	come("2001:db8::2", "a@x.test", "b@y.test", 1);
	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(come(cases[i].client, cases[i].from, cases[i].to,
				  1 + WAIT_MS),
			     cases[i].is_same, "%zu", i);
}

/* ---- Too much for the memory ---- */

static bool one_of(const char *client, unsigned n, int64_t now_ms)
{
	char from[32];

	snprintf(from, sizeof(from), "%u@x.test", n);
	return come(client, from, "b@y.test", now_ms);
}

/* Whoever sends more than there is room for has some of it let in at each
 * return, and all in the end; the mail of others is not pushed out by it. */
Test(returns, a_flood_of_one_network)
{
	enum { MAILS = 1000, OTHERS = 20 }; /* who fit, whatever the hash */
	bool is_in[MAILS] = { false };
	unsigned in = 0, rounds = 0;
	int64_t now = 1;

	for (unsigned i = 0; i < OTHERS; i++)
		cr_expect_not(one_of("198.51.100.1", i, now));
	for (; in < MAILS && rounds < 100; rounds++, now += WAIT_MS)
		for (unsigned i = 0; i < MAILS; i++)
			if (!is_in[i] && one_of("192.0.2.1", i, now)) {
				is_in[i] = true;
				in++;
			}
	cr_expect_eq(in, MAILS);
	cr_expect_leq(rounds, 20);
	in = 0;
	for (unsigned i = 0; i < OTHERS; i++)
		in += one_of("198.51.100.1", i, now);
	cr_expect_eq(in, OTHERS);
}

/* A crowd of networks pushes out the oldest, so who comes later has his turn. */
Test(returns, a_crowd)
{
	enum { CROWD = 400000, LATE = 100 };
	unsigned in = 0;

	for (unsigned i = 0; i < CROWD; i++) {
		struct net_addr a = addr_number(i);

		cr_assert_not(returns_come(r, &a, SPAN_LIT("a@x.test"),
					   SPAN_LIT("b@y.test"), WAIT_MS, 1));
	}
	for (unsigned i = 0; i < LATE; i++)
		cr_expect_not(one_of("192.0.2.1", i, 2));
	for (unsigned i = 0; i < LATE; i++)
		in += one_of("192.0.2.1", i, 2 + WAIT_MS);
	/* one in each of its sets at least */
	cr_expect_geq(in, 1);
	cr_expect_leq(in, LATE);
}

/* What is over makes room before anybody is pushed out. */
Test(returns, what_is_over_goes_first)
{
	for (unsigned i = 0; i < 1000; i++)
		one_of("192.0.2.1", i, 1);
	for (unsigned i = 0; i < 20; i++)
		cr_expect_not(one_of("192.0.2.1", 5000 + i, 1 + DAYS(2)));
	for (unsigned i = 0; i < 20; i++)
		cr_expect(one_of("192.0.2.1", 5000 + i,
				 1 + DAYS(2) + WAIT_MS));
}
