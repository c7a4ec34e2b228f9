/* How many reports leave for a domain in a minute. */
#include <criterion/criterion.h>

#include "common/base/clock.h"
#include "daemon/drain/drain_priv.h"

static const int64_t ladder[] = { HOURS(1) };
static struct config config;
static struct drain drain = { .config = &config };
static struct domain dom = { .drain = &drain,
			     .name = (char[]){ "x" },
			     .name_len = 1 };

static void begin(void)
{
	config.bounce.rate = 2;
	config.drain.retry_count = 1;
	config.drain.retry_ms = ladder;
}

static int64_t defer(void)
{
	struct attempt a = { .domain = &dom };

	cap_defer(&a);
	cr_expect(a.is_capped);
	return a.wait_ms;
}

Test(cap, so_many_leave_in_a_minute, .init = begin)
{
	cr_expect(cap_allows(&dom));
	cr_expect(cap_allows(&dom));
	cr_expect_not(cap_allows(&dom));
	dom.cap.began_ms -= MINUTES(1);
	cr_expect(cap_allows(&dom), "the next minute");
}

Test(cap, without_a_rate_all_leave, .init = begin)
{
	config.bounce.rate = 0;
	for (int i = 0; i < 100; i++)
		cr_assert(cap_allows(&dom));
}

/* Each minute behind this one has as many as may leave in it. */
Test(cap, the_others_wait_for_a_minute_with_room, .init = begin)
{
	int64_t first;

	while (cap_allows(&dom))
		;
	first = defer();
	cr_expect_leq(first, MINUTES(1));
	cr_expect_gt(first, MINUTES(1) - SECONDS(5));
	cr_expect_leq(defer(), first);
	cr_expect_gt(defer(), first + MINUTES(1) - SECONDS(5));
}

Test(cap, nobody_waits_longer_than_the_longest_retry, .init = begin)
{
	while (cap_allows(&dom))
		;
	for (int i = 0; i < 1000; i++)
		cr_assert_leq(defer(), HOURS(1));
}

Test(cap, so_many_are_on_their_way_to_the_disk, .init = begin)
{
	while (cap_allows(&dom))
		;
	for (int i = 0; i < 64; i++) {
		cr_assert_not(cap_is_full(&dom));
		defer();
	}
	cr_expect(cap_is_full(&dom));
	cr_expect(cap_is_recorded(&dom), "look again");
	cr_expect_not(cap_is_recorded(&dom));
	cr_expect_not(cap_is_full(&dom));
}
