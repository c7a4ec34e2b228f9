#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/tables/due.h"

Test(tables_due, waits)
{
	static const struct {
		int64_t refresh_ms;
		unsigned failures;
		int64_t retry_after_ms, wait_ms;
	} cases[] = {
		{ MINUTES(15), 0, 0, MINUTES(15) },
		{ SECONDS(1), 0, 0, SECONDS(1) },
		{ MINUTES(15), 1, 0, SECONDS(5) },
		{ MINUTES(15), 2, 0, SECONDS(10) },
		{ MINUTES(15), 8, 0, SECONDS(640) },
		{ MINUTES(15), 9, 0, MINUTES(15) },
		{ MINUTES(15), 4000000000u, 0, MINUTES(15) },
		{ SECONDS(1), 4, 0, SECONDS(40) },
		{ SECONDS(1), 5, 0, SECONDS(60) },
		{ MINUTES(15), 1, MINUTES(2), MINUTES(2) },
		{ MINUTES(15), 0, MINUTES(2), MINUTES(15) },
		{ DAYS(30), 4000000000u, 0, SECONDS(5) << 12 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		const int64_t wait_ms = cases[i].wait_ms;

		for (uint64_t r = 0; r < 3; r++) {
			int64_t got = due_wait_ms(cases[i].refresh_ms,
						  cases[i].failures,
						  cases[i].retry_after_ms,
						  r * (UINT64_MAX / 2));

			cr_expect(got >= wait_ms - wait_ms / 10 &&
					  got <= wait_ms + wait_ms / 10,
				  "case %zu: %lld", i, (long long)got);
		}
	}
}

/* So that they do not all come at once. */
Test(tables_due, differ)
{
	cr_expect_neq(due_wait_ms(MINUTES(15), 0, 0, 1),
		      due_wait_ms(MINUTES(15), 0, 0, 2));
}
