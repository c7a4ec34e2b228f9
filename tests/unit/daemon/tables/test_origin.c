#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "daemon/tables/origin.h"

/* Another host was not named by the operator; nor was another port of it. */
Test(origin, what_is_the_same)
{
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {
		{ "https://t.example/a", "https://T.Example:443/b?c", true },
		{ "https://t.example:8443/a", "https://t.example:8443/", true },
		{ "https://t.example/a", "https://t.example:8443/a", false },
		{ "https://t.example/a", "http://t.example/a", false },
		{ "https://t.example/a", "https://t.example.org/a", false },
		{ "https://t.example/a", "https://t.example@b.example/", false },
		{ "https://t.example/a", "/a", false },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(origin_is_same(cases[i].a, cases[i].b),
			     cases[i].same, "%s", cases[i].b);
}

Test(origin, is_appended_in_lower_case)
{
	struct buf b = { 0 };

	buf_adds(&b, "To ");
	cr_expect(origin_add(&b, "https://u:p@T.Example/x"));
	cr_expect_str_eq(buf_cstr(&b), "To https://t.example:443");
	buf_fini(&b);
}
