/* What is remembered of a target. */
#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/drain/machine.h"
#include "daemon/drain/target.h"

static struct target target;
static unsigned left_out;

static bool is_news(const char *stage, const char *reply, int64_t at_s)
{
	return target_is_news(&target, stage, reply, SECONDS(at_s), &left_out);
}

Test(target, the_same_failure_is_said_once)
{
	cr_expect(is_news("connect", "451 4.4.1 Connection refused", 100000));
	cr_expect_eq(left_out, 0);
	for (int i = 1; i < 120; i++)
		cr_expect_not(is_news("connect", "451 4.4.1 Connection refused",
				      100000 + 30 * i));
	cr_expect(is_news("connect", "451 4.4.1 Connection refused", 103600));
	cr_expect_eq(left_out, 119);
	cr_expect_not(
		is_news("connect", "451 4.4.1 Connection refused", 103630));
	cr_expect(is_news("connect", "451 4.4.1 No route to host", 103660));
	cr_expect_eq(left_out, 1);
}

Test(target, another_stage_or_code_is_another_failure)
{
	static const char *const cases[][2] = {
		{ "connect", "451 4.4.1 Time-out" },
		{ "greeting", "451 4.4.1 Time-out" },
		{ "greeting", "421 4.4.1 Time-out" },
		{ "greeting", "421 4.4.2 Time-out" },
		{ "greeting", "421 4.4.2 Time-out at last" },
		{ "greeting", "421 Time-out at last" },
		{ "greeting", "421" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		cr_expect(is_news(cases[i][0], cases[i][1], 100000), "%zu", i);
		cr_expect_not(is_news(cases[i][0], cases[i][1], 100001), "%zu",
			      i);
	}
}

/* Many servers put the time or the session into what they say. */
Test(target, numbers_and_ids_make_no_difference)
{
	cr_expect(is_news("greeting", "421 4.7.0 busy at 12:01:02 [a1] - mx",
			  100000));
	cr_expect_not(is_news("greeting",
			      "421 4.7.0 busy at 12:01:03 [b27] - mx", 100001));
	cr_expect_not(is_news("greeting", "421 4.7.0 busy at - mx", 100002));
	cr_expect(is_news("greeting", "421 4.7.0 busy at 12:01:04 [a1] - my",
			  100003));
}

Test(target, after_it_was_up_a_failure_is_news)
{
	cr_expect(is_news("connect", "451 4.4.1 Connection refused", 100000));
	target_forget_failure(&target);
	cr_expect(is_news("connect", "451 4.4.1 Connection refused", 100001));
}
