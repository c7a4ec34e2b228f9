#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "common/smtp/alike.h"

Test(alike, replies)
{
	static const struct {
		const char *a, *b;
		bool is_alike;
	} cases[] = {
		{ "", "", true },
		{ "550", "550", true },
		{ "550 no", "550 no", true },
		{ "550 no", "554 no", false },
		{ "550 5.1.1 no", "550 5.7.1 no", false },
		{ "550 5.1.1 no", "550 no", false },
		{ "550 5.1.1 no", "550 5.1.1 yes", false },
		{ "550 5.1.1 <a@b.example>: User unknown",
		  "550 5.1.1 <c@d.example>: User unknown", true },
		{ "421 4.3.2 busy at 12:01 [a1]", "421 4.3.2 busy at 12:02 [b2]",
		  true },
		{ "ehlo 421 4.3.2 busy", "mail 421 4.3.2 busy", false },
		{ "550  5.1.1 no", "550 5.1.1 no", false },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(smtp_alike(cases[i].a, cases[i].b),
			     cases[i].is_alike, "%s, %s", cases[i].a,
			     cases[i].b);
}
