/* A message that may be why connections are lost. */
#include <criterion/criterion.h>

#include "common/base/clock.h"
#include "daemon/drain/suspect.h"

Test(suspect, after_one_loss_another_goes_first)
{
	struct suspect s = { 0 };
	int64_t now = 1000000;

	cr_assert_not(suspect_lost(&s, MINUTES(10), now), "it may be innocent");
	cr_assert_eq(suspect_way(&s, false, false, now), WAY_NONE);
	cr_assert_eq(suspect_way(&s, false, true, now), WAY_SIDE,
		     "something went through: nobody waits behind it");
	cr_assert_eq(suspect_way(&s, true, false, now), WAY_USUAL,
		     "there is no other: it is the probe");
	cr_assert_eq(suspect_way(&s, true, true, now), WAY_USUAL);
}

Test(suspect, after_two_it_waits_longer_than_it_cost)
{
	struct suspect s = { 0 };
	int64_t now = 1000000;

	suspect_lost(&s, MINUTES(10), now);
	now += MINUTES(10);
	cr_assert(suspect_lost(&s, MINUTES(10), now));
	cr_assert_eq(s.due_ms, now + MINUTES(40));
	cr_assert_eq(suspect_way(&s, true, true, s.due_ms - 1), WAY_NONE);
	cr_assert_eq(suspect_way(&s, true, true, s.due_ms), WAY_SIDE);
	cr_assert_eq(suspect_way(&s, false, true, s.due_ms), WAY_SIDE);
	cr_assert_eq(suspect_way(&s, false, false, s.due_ms), WAY_NONE);
	now = s.due_ms + MINUTES(10);
	cr_assert(suspect_lost(&s, MINUTES(10), now));
	cr_assert_eq(s.due_ms, now + MINUTES(60));
}
