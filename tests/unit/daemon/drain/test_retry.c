/* How long a recipient that failed before waits. */
#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/drain/retry.h"

Test(retry, goes_up_the_ladder_and_stays_there)
{
	static const struct {
		uint32_t attempts;
		int64_t wait_ms;
	} cases[] = { { 0, MINUTES(1) },
		      { 1, MINUTES(5) },
		      { 2, MINUTES(2) },
		      { 3, MINUTES(2) },
		      { UINT32_MAX, MINUTES(2) } };
	static const int64_t ladder[] = { MINUTES(1), MINUTES(5), MINUTES(2) };
	const struct config c = { .drain.retry_count = COUNT(ladder),
				  .drain.retry_ms = ladder };

	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(retry_step_ms(&c, cases[i].attempts),
			     cases[i].wait_ms, "%zu", i);
	cr_expect_eq(retry_longest_ms(&c), MINUTES(5));
}

Test(retry, is_due_after_the_last_attempt)
{
	static const int64_t ladder[] = { MINUTES(1) };
	const struct config c = { .drain.retry_count = 1,
				  .drain.retry_ms = ladder };
	struct recipient r = { 0 };

	cr_expect_eq(retry_due_ms(&c, &r), 0, "never tried: at once");
	r.attempt_ms = 1000;
	cr_expect_eq(retry_due_ms(&c, &r), 0, "forgiven");
	r.attempts = 1;
	cr_expect_eq(retry_due_ms(&c, &r), 1000 + MINUTES(1));
}
