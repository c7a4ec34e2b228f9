/* No network holds more than is left for all others. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "common/base/assert.h"
#include "daemon/policy/shares.h"

static struct shares *all;

static void setup(void)
{
	all = shares_new();
}

/* Nothing stays behind: shares_free insists. */
static void teardown(void)
{
	cr_expect_eq(shares_memory(all), 0);
	cr_expect_eq(shares_networks(all), 0);
	shares_free(&all);
	cr_expect_null(all);
}

TestSuite(shares, .init = setup, .fini = teardown);

static struct holding begin(const char *text)
{
	struct net_addr a;
	struct holding h;

	cr_assert_eq(net_addr_parse(span_str(text), &a), MX_OK);
	a.port = (in_port_t)strlen(text); /* no part of a network */
	holding_begin(&h, all, &a);
	return h;
}

static void end(struct holding *h, size_t n)
{
	for (size_t i = 0; i < n; i++)
		holding_end(&h[i]);
}

/* A recipient, with the array for the next ones. */
enum { STEP = 64 << 10 };

/* Until it may not; how much that is. */
static size_t grow(struct holding *h)
{
	size_t bytes = h->memory > 0 ? h->memory + SHARES_FREE_BYTES : 0;

	while (holding_may_grow(h))
		holding_set_memory(h, bytes += STEP);
	return bytes;
}

Test(shares, an_address_or_an_ipv6_48_is_one)
{
	struct holding h[] = { begin("192.0.2.1"), begin("192.0.2.1"),
			       begin("2001:db8:1::1"),
			       begin("2001:db8:1:ffff::1") };
	struct holding others[] = { begin("192.0.2.2"), begin("2001:db8:2::") };

	cr_expect_eq(h[0].share, h[1].share);
	cr_expect_eq(h[2].share, h[3].share);
	cr_expect_eq(shares_networks(all), 4);
	end(h, COUNT(h));
	cr_expect_eq(shares_networks(all), 2);
	end(others, COUNT(others));
	end(others, COUNT(others)); /* has ended */
}

/* Half of it, a third each, and always something for who comes. */
Test(shares, one_network_cannot_use_all_memory)
{
	static struct holding h[50];
	const size_t half = SHARES_MEMORY_BYTES / 2;
	size_t most;
	char text[32];

	h[0] = begin("192.0.2.1");
	most = grow(&h[0]);
	cr_expect(most > half - 2 * STEP && most < half + 2 * STEP);
	h[1] = begin("192.0.2.1");
	cr_expect(holding_may_grow(&h[1]), "what each has for itself");
	holding_set_memory(&h[1], SHARES_FREE_BYTES + 1);
	cr_expect_not(holding_may_grow(&h[1]));
	for (unsigned i = 2; i < COUNT(h); i++) {
		snprintf(text, sizeof(text), "192.0.2.%u", i);
		h[i] = begin(text);
		cr_expect_gt(grow(&h[i]), 0, "%s", text);
	}
	/* the last step of each is not foreseen */
	cr_expect_leq(shares_memory(all),
		      SHARES_MEMORY_BYTES + COUNT(h) * STEP);
	end(h, COUNT(h));
	h[0] = begin("192.0.2.1");
	cr_expect_eq(grow(&h[0]), most);
	end(h, 1);
}

/* What the sessions bound is not counted. */
Test(shares, plain_envelopes_are_free)
{
	static struct holding h[1000];

	for (size_t i = 0; i < COUNT(h); i++) {
		h[i] = begin("192.0.2.1");
		holding_set_memory(&h[i], SHARES_FREE_BYTES);
		cr_expect(holding_may_grow(&h[i]));
	}
	cr_expect_eq(shares_memory(all), 0);
	end(h, COUNT(h));
}

Test(shares, content_under_way_is_bounded)
{
	const uint64_t left = 1 << 20, most = left / SHARES_ROOM_PART;
	struct holding h[] = { begin("192.0.2.1"), begin("192.0.2.1"),
			       begin("192.0.2.2") };

	/* the only one: what fits is taken */
	cr_expect(holding_set_content(&h[0], left, left));
	cr_expect(holding_set_content(&h[2], most, left));
	/* a second one of the same network */
	cr_expect_not(holding_set_content(&h[1], 1, left));
	cr_expect(holding_set_content(&h[1], 0, left));
	cr_expect(holding_set_content(&h[0], most - 1, left));
	cr_expect(holding_set_content(&h[1], 1, left));
	cr_expect_not(holding_set_content(&h[1], 2, left));
	/* who leaves makes room */
	holding_end(&h[0]);
	cr_expect(holding_set_content(&h[1], left, left));
	end(h, COUNT(h));
}
