/* Addresses that turned out to be ours: kept for a while, and few. */
#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "daemon/route/found.h"

static struct net_addr addr(unsigned char last, in_port_t port)
{
	return (struct net_addr){ .family = AF_INET,
				  .ip = { 192, 0, 2, last },
				  .port = port };
}

Test(found, for_a_while)
{
	struct found f = { 0 };
	struct net_addr a = addr(1, 25), b = addr(1, 26);

	cr_expect(found_add(&f, &a, 1000));
	cr_expect(found_add(&f, &b, 2000), "another port is another server");
	cr_expect_not(found_add(&f, &a, 3000));
	found_expire(&f, 2000 + FOUND_FOR_MS - 1);
	cr_assert_eq(f.count, 2);
	found_expire(&f, 2000 + FOUND_FOR_MS);
	cr_assert_eq(f.count, 1);
	cr_expect(net_endpoint_eq(&f.at[0], &a), "it was found again");
	found_expire(&f, 3000 + FOUND_FOR_MS);
	cr_expect_eq(f.count, 0);
	cr_expect(found_add(&f, &a, 4000 + FOUND_FOR_MS));
}

/* Each is news for all domains: whoever has more of them makes no more. */
Test(found, no_more_than_a_few)
{
	struct found f = { 0 };
	struct net_addr first = addr(0, 25);

	for (int i = 0; i <= FOUND_MOST; i++) {
		struct net_addr a = addr((unsigned char)i, 25);

		cr_expect_eq(found_add(&f, &a, i), i < FOUND_MOST);
	}
	cr_assert_eq(f.count, FOUND_MOST);
	cr_expect_not(found_add(&f, &first, 100), "it was known");
	cr_expect_eq(f.count, FOUND_MOST);
	found_expire(&f, 1 + FOUND_FOR_MS);
	first.port++;
	cr_expect(found_add(&f, &first, 1 + FOUND_FOR_MS));
}
