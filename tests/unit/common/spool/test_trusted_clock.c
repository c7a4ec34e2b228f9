#include <criterion/criterion.h>

#include "common/base/clock.h"
#include "common/spool/trusted_clock.h"

#define T0 ((int64_t)1790000000000)

static struct trusted_clock l;

/* After a start the monotonic clock begins at 0. */
static void start(int64_t last_ms, int64_t wall_ms)
{
	trusted_clock_init(&l, last_ms, wall_ms, 0);
}

Test(spool_trusted_clock, an_ordinary_clock_is_believed)
{
	start(T0, T0 + HOURS(3));
	cr_expect_eq(trusted_clock_now(&l, T0 + HOURS(3), 0), T0 + HOURS(3));
	cr_expect_eq(trusted_clock_now(&l, T0 + HOURS(20), HOURS(17)),
		     T0 + HOURS(20));
}

Test(spool_trusted_clock, a_new_spool_believes_any_clock)
{
	start(0, 5);
	cr_expect_eq(trusted_clock_now(&l, 5, 0), 5);
}

/* A jump at start never expires mail. */
Test(spool_trusted_clock, a_jump_at_start_is_not_believed)
{
	int64_t far = T0 + DAYS(30);

	start(T0, far);
	cr_expect_eq(trusted_clock_now(&l, far, 0), T0);
	cr_expect_eq(trusted_clock_now(&l, far + HOURS(5), HOURS(5)), T0 + HOURS(5));
	/* the operator sets it right */
	cr_expect_eq(trusted_clock_now(&l, T0 + HOURS(7), HOURS(6)), T0 + HOURS(7));
}

/* A daemon that was down for a month must expire mail one day, too. */
Test(spool_trusted_clock, a_steady_clock_is_believed_after_a_day)
{
	int64_t far = T0 + DAYS(30);

	start(T0, far);
	for (int64_t h = 0; h < 24; h++)
		cr_expect_eq(trusted_clock_now(&l, far + HOURS(h), HOURS(h)),
			     T0 + HOURS(h));
	cr_expect_not(trusted_clock_is_steady(&l, HOURS(23)));
	cr_expect_eq(trusted_clock_now(&l, far + HOURS(24), HOURS(24)),
		     T0 + HOURS(24));
	cr_expect(trusted_clock_is_steady(&l, HOURS(24)));
	cr_expect_eq(l.since_ms, T0);
	trusted_clock_believe(&l, far + HOURS(24), HOURS(24));
	cr_expect_eq(trusted_clock_now(&l, far + HOURS(25), HOURS(25)),
		     far + HOURS(25));
	cr_expect_not(trusted_clock_is_steady(&l, HOURS(50)));
}

Test(spool_trusted_clock, a_clock_that_goes_on_jumping_is_not)
{
	start(T0, T0);
	for (int64_t h = 1; h < 100; h++)
		cr_expect_eq(trusted_clock_now(&l, T0 + DAYS(10 * h), HOURS(h)),
			     T0 + HOURS(h));
	cr_expect_not(trusted_clock_is_steady(&l, HOURS(100)));
	cr_expect_eq(l.since_ms, T0 + HOURS(1), "when it began");
}

Test(spool_trusted_clock, a_clock_set_back_is_believed)
{
	start(T0, T0 - DAYS(100));
	cr_expect_eq(trusted_clock_now(&l, T0 - DAYS(100), 0), T0 - DAYS(100));
}
