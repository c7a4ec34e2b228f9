/* States by what the spool remembers. */
#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "common/status/memory.h"

Test(status_memory, targets_belong_by_whole_names)
{
	static const struct {
		const char *destination, *target;
		bool match;
	} cases[] = {
		{ "mx.example.org:25", "mx.example.org[192.0.2.1]:25", true },
		{ "a.test:25,mx.example.org:25/must;b.test:25 tls=may",
		  "mx.example.org[2001:db8::1]:25", true },
		{ "mx.example.org:2525", "mx.example.org[192.0.2.1]:25",
		  false },
		{ "bmx.example.org:25", "mx.example.org[192.0.2.1]:25", false },
		{ "mx.example.org.uk:25", "mx.example.org[192.0.2.1]:25",
		  false },
		{ "192.0.2.1:2525 tls=may", "[192.0.2.1]:2525", true },
		{ "[2001:db8::1]:25", "[2001:db8::1]:25", true },
		{ "192.0.2.1:2525", "[192.0.2.1]:252", false },
		{ "192.0.2.11:25", "[192.0.2.1]:25", false },
		{ "1192.0.2.1:25", "[192.0.2.1]:25", false },
		{ "", "mx.example.org[192.0.2.1]:25", false },
		{ "mx.example.org:25", "nonsense", false },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(
			status_match(cases[i].destination, cases[i].target),
			cases[i].match, "row %zu", i);
}
