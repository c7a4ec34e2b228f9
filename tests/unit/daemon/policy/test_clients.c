/* Clients are counted, paced and forgotten. */
#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "daemon/policy/clients.h"

static struct net_addr addr(const char *text)
{
	struct net_addr a;

	cr_assert_eq(net_addr_parse(span_str(text), &a), MX_OK);
	return a;
}

Test(clients, each_is_counted_for_itself)
{
	struct clients *c = clients_new();
	struct net_addr a = addr("192.0.2.1"), b = addr("192.0.2.2");

	a.port = 1000;
	clients_enter(c, &a, 0, 0);
	a.port = 2000; /* one client has many ports */
	clients_enter(c, &a, 0, 0);
	clients_enter(c, &b, 0, 0);
	cr_expect_eq(clients_held(c, &a), 2);
	cr_expect_eq(clients_held(c, &b), 1);
	cr_expect_eq(clients_connected(c), 3);
	clients_leave(c, &a);
	clients_leave(c, &b);
	cr_expect_eq(clients_held(c, &a), 1);
	cr_expect_eq(clients_connected(c), 1);
	/* without a rate nothing is to be remembered */
	cr_expect_eq(clients_known(c), 2, "itself and the /24");
	clients_free(&c);
	cr_expect_null(c);
}

/* A host owns its whole /64: it is one client. */
Test(clients, ipv6_counts_by_network)
{
	struct clients *c = clients_new();
	struct net_addr a = addr("2001:db8::1"), b = addr("2001:db8::ffff:2"),
			other = addr("2001:db8:0:1::1");

	clients_enter(c, &a, 0, 0);
	cr_expect_eq(clients_held(c, &b), 1);
	cr_expect_eq(clients_held(c, &other), 0);
	clients_leave(c, &b);
	cr_expect_eq(clients_held(c, &a), 0);
	clients_free(&c);
}

/* How many connections pass in `total_ms` when one is tried each step_ms. */
static unsigned passed(struct clients *c, const struct net_addr *a,
		       unsigned rate, int64_t *now_ms, int64_t total_ms,
		       int64_t step_ms)
{
	unsigned n = 0;

	for (int64_t end = *now_ms + total_ms; *now_ms < end;
	     *now_ms += step_ms) {
		if (!clients_may_connect(c, a, rate, *now_ms))
			continue;
		clients_enter(c, a, rate, *now_ms);
		clients_leave(c, a);
		n++;
	}
	return n;
}

/* Whoever has a network does not have the rate of each of its hosts. */
Test(clients, rate_of_a_network)
{
	static const struct {
		const char *first, *other;
		unsigned octet; /* that the hosts differ in */
		unsigned most;
	} cases[] = {
		{ "192.0.2.0", "198.51.100.1", 3, 160 },
		{ "2001:db8::1", "2001:db8:0:100::1", 7, 40 },
		{ "2001:db8::1", "2001:db8:1::1", 6, 160 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct clients *c = clients_new();
		struct net_addr other = addr(cases[i].other);
		unsigned n = 0;

		for (unsigned host = 0; host < 256; host++) {
			struct net_addr a = addr(cases[i].first);
			int64_t now_ms = 1000000;

			a.ip[cases[i].octet] = (unsigned char)host;
			n += passed(c, &a, 10, &now_ms, 1, 1);
		}
		cr_expect_eq(n, cases[i].most, "%s: %u", cases[i].first, n);
		cr_expect(clients_may_connect(c, &other, 10, 1000000));
		clients_free(&c);
	}
}

Test(clients, rate_is_a_bucket_of_one_minute)
{
	struct clients *c = clients_new();
	struct net_addr a = addr("192.0.2.1"), b = addr("192.0.2.2");
	int64_t now_ms = 1000000;
	unsigned n;

	/* a burst takes the whole bucket, then six seconds make one more */
	cr_expect_eq(passed(c, &a, 10, &now_ms, 50, 1), 10);
	cr_expect(!clients_may_connect(c, &a, 10, now_ms + 5000));
	cr_expect(clients_may_connect(c, &a, 10, now_ms + 6000));
	cr_expect(clients_may_connect(c, &b, 10, now_ms));
	/* tried often, the rate comes out */
	now_ms += 6000;
	n = passed(c, &a, 10, &now_ms, 600 * 1000, 10);
	cr_expect(n >= 100 && n <= 101, "%u", n);
	/* after a minute of silence it is full again, and no fuller */
	now_ms += 3600 * 1000;
	cr_expect_eq(passed(c, &a, 10, &now_ms, 50, 1), 10);
	clients_free(&c);
}

/* What is tried too fast does not pay: the next slot is not pushed away. */
Test(clients, refused_attempts_cost_nothing)
{
	struct clients *c = clients_new();
	struct net_addr a = addr("192.0.2.1");
	int64_t now_ms = 0;

	cr_expect_eq(passed(c, &a, 60, &now_ms, 1000, 1), 60);
	cr_expect_eq(passed(c, &a, 60, &now_ms, 10000, 1), 10);
	clients_free(&c);
}

static struct net_addr numbered(unsigned i)
{
	struct net_addr a = addr("10.0.0.0");

	a.ip[1] = (unsigned char)(i >> 16);
	a.ip[2] = (unsigned char)(i >> 8);
	a.ip[3] = (unsigned char)i;
	return a;
}

/* Everybody connects once: the table keeps what one minute brings, not more. */
Test(clients, strangers_are_forgotten)
{
	struct clients *c = clients_new();
	const unsigned each_s = 1000;
	size_t most = 0;

	for (unsigned i = 0; i < 200 * each_s; i++) {
		struct net_addr a = numbered(i);

		clients_enter(c, &a, 10, (int64_t)i * 1000 / each_s);
		clients_leave(c, &a);
		if (clients_known(c) > most)
			most = clients_known(c);
	}
	/* and their networks */
	cr_expect_leq(most, 60 * each_s * 257 / 256 + 10, "%zu", most);
	clients_free(&c);
}

Test(clients, table_is_bounded_within_a_minute)
{
	struct clients *c = clients_new();

	for (unsigned i = 0; i < 2 * CLIENTS_IDLE_MAX; i++) {
		struct net_addr a = numbered(i);

		clients_enter(c, &a, 10, 5);
		clients_leave(c, &a);
	}
	cr_expect_leq(clients_known(c), CLIENTS_IDLE_MAX + 2);
	clients_free(&c);
}

/* Who holds a connection is never forgotten. */
Test(clients, the_connected_stay)
{
	struct clients *c = clients_new();
	struct net_addr a = addr("192.0.2.1");

	clients_enter(c, &a, 10, 0);
	for (unsigned i = 0; i < 100; i++) {
		struct net_addr b = numbered(i);

		clients_enter(c, &b, 10, (int64_t)i * 60000);
		clients_leave(c, &b);
	}
	cr_expect_eq(clients_held(c, &a), 1);
	clients_leave(c, &a);
	cr_expect_eq(clients_connected(c), 0);
	clients_free(&c);
}
