#include "tests/support/addrs.h"

#include <criterion/criterion.h>

struct net_addr addr_at(const char *text)
{
	struct net_addr a;

	cr_assert_eq(net_addr_parse(span_str(text), &a), MX_OK);
	return a;
}

struct net_addr addr_number(unsigned n)
{
	struct net_addr a = addr_at("10.0.0.0");

	a.ip[1] = (unsigned char)(n >> 16);
	a.ip[2] = (unsigned char)(n >> 8);
	a.ip[3] = (unsigned char)n;
	return a;
}
