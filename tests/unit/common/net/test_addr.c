#include <criterion/criterion.h>
#include <stdlib.h>

#include "common/base/assert.h"
#include "common/net/addr.h"

static void expect_text(const char *want, const struct net_addr *a, bool port)
{
	struct buf b = { 0 };

	if (port)
		net_endpoint_add(&b, a);
	else
		net_addr_add(&b, a);
	cr_expect_str_eq(buf_cstr(&b), want);
	buf_fini(&b);
}

Test(net_addr, text_is_an_address_or_nothing)
{
	static const struct {
		const char *text, *canonical;
	} cases[] = {
		{ "192.0.2.1", "192.0.2.1" },
		{ "2001:DB8:0:0::1", "2001:db8::1" },
		{ "::ffff:192.0.2.1", "192.0.2.1" },
		{ "::1", "::1" },
		{ "", NULL },
		{ "192.0.2", NULL },
		{ "192.0.2.256", NULL },
		{ "192.0.2.1 ", NULL },
		{ "[::1]", NULL },
		{ "fe80::1%eth0", NULL },
		{ "192.0.2.1:25", NULL },
		{ "localhost", NULL },
		{ "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bb",
		  NULL },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct net_addr a;
		enum mx_err err = net_addr_parse(span_str(cases[i].text), &a);

		cr_expect_eq(err == MX_OK, cases[i].canonical != NULL, "%s",
			     cases[i].text);
		if (err == MX_OK)
			expect_text(cases[i].canonical, &a, false);
		else
			cr_expect_eq(a.family, AF_UNSPEC);
	}
	struct net_addr a;

	cr_expect_eq(net_addr_parse(SPAN_LIT("127.0.0.1\0x"), &a), MX_EINVAL);
}

Test(net_addr, endpoint_has_an_address_and_a_port)
{
	static const struct {
		const char *text;
		char sep;
		const char *want;
	} cases[] = {
		{ "192.0.2.1", ':', "192.0.2.1:25" },
		{ "192.0.2.1:2525", ':', "192.0.2.1:2525" },
		{ "[2001:db8::1]", ':', "[2001:db8::1]:25" },
		{ "[2001:db8::1]:26", ':', "[2001:db8::1]:26" },
		{ "2001:db8::1", ':', "[2001:db8::1]:25" },
		{ "192.0.2.1@5353", '@', "192.0.2.1:5353" },
		{ "::1@5353", '@', "[::1]:5353" },
		{ "[192.0.2.1]:24", ':', "192.0.2.1:24" },
		{ "192.0.2.1:", ':', NULL },
		{ "192.0.2.1:0", ':', NULL },
		{ "192.0.2.1:65536", ':', NULL },
		{ "192.0.2.1:+25", ':', NULL },
		{ "[::1]:", ':', NULL },
		{ "[::1", ':', NULL },
		{ "[::1]25", ':', NULL },
		{ "[]:25", ':', NULL },
		{ ":25", ':', NULL },
		{ "", ':', NULL },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct net_addr a;
		enum mx_err err = net_endpoint_parse(span_str(cases[i].text),
						     cases[i].sep, 25, &a);

		cr_expect_eq(err == MX_OK, cases[i].want != NULL, "%s",
			     cases[i].text);
		if (err == MX_OK)
			expect_text(cases[i].want, &a, true);
		else
			cr_expect_eq(a.family, AF_UNSPEC);
	}
}

Test(net_addr, network_has_its_addresses)
{
	static const struct {
		const char *net, *addr;
		bool has;
	} cases[] = {
		{ "192.0.2.0/24", "192.0.2.255", true },
		{ "192.0.2.0/24", "192.0.3.0", false },
		{ "192.0.2.128/25", "192.0.2.127", false },
		{ "192.0.2.128/25", "192.0.2.200", true },
		{ "192.0.2.1", "192.0.2.1", true },
		{ "192.0.2.1", "192.0.2.2", false },
		{ "0.0.0.0/0", "203.0.113.9", true },
		{ "0.0.0.0/0", "2001:db8::1", false },
		{ "2001:db8::/33", "2001:db8:7fff::1", true },
		{ "2001:db8::/33", "2001:db8:8000::1", false },
		{ "::ffff:192.0.2.0/120", "192.0.2.77", true },
		{ "::/0", "::1", true },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct net_cidr n;
		struct net_addr a;

		cr_assert_eq(net_cidr_parse(span_str(cases[i].net), &n), MX_OK);
		cr_assert_eq(net_addr_parse(span_str(cases[i].addr), &a),
			     MX_OK);
		cr_expect_eq(net_cidr_has(&n, &a), cases[i].has, "%s %s",
			     cases[i].net, cases[i].addr);
	}
}

Test(net_addr, network_text_is_strict)
{
	static const char *const bad[] = { "192.0.2.0/33",
					   "192.0.2.0/",
					   "192.0.2.0/-1",
					   "/24",
					   "192.0.2.0/024x",
					   "::/129",
					   "example.org/24",
					   "::ffff:1.2.3.4/8",
					   "" };

	for (size_t i = 0; i < COUNT(bad); i++) {
		struct net_cidr n;

		cr_expect_eq(net_cidr_parse(span_str(bad[i]), &n), MX_EINVAL,
			     "%s", bad[i]);
	}
}

Test(net_addr, one_host_is_one_client)
{
	struct net_addr a, b;

	net_addr_parse(SPAN_LIT("2001:db8::1"), &a);
	net_addr_parse(SPAN_LIT("2001:db8::ffff:2"), &b);
	a.port = 1;
	a = net_addr_client(&a);
	b = net_addr_client(&b);
	cr_expect(net_endpoint_eq(&a, &b));
	net_addr_parse(SPAN_LIT("192.0.2.1"), &a);
	net_addr_parse(SPAN_LIT("192.0.2.2"), &b);
	a = net_addr_client(&a);
	b = net_addr_client(&b);
	cr_expect_not(net_addr_eq(&a, &b));
}

Test(net_addr, sockaddr_there_and_back)
{
	static const char *const text[] = { "192.0.2.1:25",
					    "[2001:db8::1]:2525" };

	for (size_t i = 0; i < COUNT(text); i++) {
		struct net_addr a, b;
		struct sockaddr_storage ss;

		cr_assert_eq(net_endpoint_parse(span_str(text[i]), ':', 1, &a),
			     MX_OK);
		net_addr_to_sockaddr(&a, &ss);
		net_addr_from_sockaddr(&b, (struct sockaddr *)&ss);
		cr_expect(net_endpoint_eq(&a, &b));
	}
}

Test(net_addr, this_host_has_a_loopback_address)
{
	struct net_addr *list, lo;
	size_t n;
	bool found = false;

	net_addr_parse(SPAN_LIT("127.0.0.1"), &lo);
	cr_assert_eq(net_addr_local(&list, &n), MX_OK);
	for (size_t i = 0; i < n; i++)
		found = found || net_addr_eq(&list[i], &lo);
	cr_expect(found);
	free(list);
}
