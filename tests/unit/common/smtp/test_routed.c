/* Local parts that name another server. */
#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "common/smtp/routed.h"

Test(smtp_routed, a_host_behind_or_before_a_sign)
{
	static const struct {
		const char *local;
		bool is;
	} cases[] = {
		{ "user", false },
		{ "user%other.test", true },
		{ "user%a%other.test", true },
		{ "user%other.test%a", true },
		{ "user%other.test.", true },
		{ "user@other.test", true },
		{ "@other.test:user", true },
		{ "user@ other.test", true },
		{ "user@(c)other.test", true },
		{ "user@[192.0.2.1]", true },
		{ "user%[ipv6:2001:db8::1]", true },
		{ "user%b\xc3\xbc"
		  "cher.test", true },
		{ "other.test!user", true },
		{ "a!other.test!user", true },
		{ "other.test!a!user", true },
		{ "user+x%other.test", true },
		/* what cannot be reached from here */
		{ "user%host", false },
		{ "host!user", false },
		{ "user@host", false },
		{ "first.last", false },
		{ "first.last%host", false },
		{ "host!first.last", false },
		{ "50%", false },
		{ "50%.", false },
		{ "!first.last", false },
		{ "!#$%&'*+-/=?^_`{|}~", false },
		{ "", false },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(smtp_is_routed(span_str(cases[i].local)),
			     cases[i].is, "%s", cases[i].local);
}
