/* How much a primary may have that the disk does not know of. */
#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/risk.h"

enum { ATTEMPTS = 200 };

static struct drain drain;
static struct route by_mx = { .source = ROUTE_FROM_MX };
static struct dest dests[4]; /* the last two are made strangers' by a test */
static struct link links[4];
static struct attempt attempts[ATTEMPTS];
static size_t used;

static void begin(void)
{
	drain.loop = ev_loop_new(EVFLAG_AUTO);
	risk_start(&drain);
	for (size_t i = 0; i < COUNT(dests); i++) {
		dests[i].drain = &drain;
		dests[i].route = &by_mx;
		dests[i].listed = 1;
		links[i].dest = &dests[i];
	}
}

static void end(void)
{
	risk_stop(&drain);
	ev_loop_destroy(drain.loop);
}

/* As many as may be sent to that destination, at most `most`. */
static unsigned take(size_t dest, unsigned most)
{
	unsigned n = 0;

	while (n < most) {
		attempts[used].drain = &drain;
		if (!risk_take(&attempts[used], &links[dest]))
			break;
		used++;
		n++;
	}
	return n;
}

Test(risk, is_bounded_for_all_and_shared, .init = begin, .fini = end)
{
	cr_expect_eq(take(0, ATTEMPTS), 56);
	cr_expect_eq(take(1, ATTEMPTS), 7);
	cr_expect_eq(take(2, ATTEMPTS), 1);
	cr_expect_eq(drain.at_risk, 64);
	cr_expect_eq(take(0, 1) + take(1, 1) + take(2, 1), 0);
}

Test(risk, ends_when_it_is_recorded_or_refused, .init = begin, .fini = end)
{
	cr_assert_eq(take(0, ATTEMPTS), 56);
	risk_answered(&attempts[3]);
	cr_expect_eq(take(0, 1), 0, "taken, but not recorded");
	risk_over(&attempts[3]);
	risk_over(&attempts[3]);
	risk_over(&attempts[7]); /* refused: no answer before */
	cr_expect_eq(drain.at_risk, 54);
	cr_expect_eq(take(0, ATTEMPTS), 2);
}

Test(risk, is_taken_once, .init = begin, .fini = end)
{
	cr_assert_eq(take(0, 1), 1);
	cr_expect(risk_take(&attempts[0], &links[0]), "the same content again");
	cr_expect_eq(drain.at_risk, 1);
}

Test(risk, holds_links_back_until_there_is_room, .init = begin, .fini = end)
{
	cr_assert_eq(take(0, ATTEMPTS), 56);
	cr_expect(links[0].is_held_back);
	cr_expect_not(ev_is_active(&drain.resume));
	risk_over(&attempts[0]);
	cr_expect(ev_is_active(&drain.resume));
	risk_forget(&links[0]);
	cr_expect(TAILQ_EMPTY(&drain.held_back));
}

static void let_time_pass(int64_t ms)
{
	for (size_t i = 0; i < used; i++)
		attempts[i].risky_ms -= ms;
	ev_feed_event(drain.loop, &drain.patience, EV_TIMER);
	ev_run(drain.loop, EVRUN_NOWAIT);
}

/* A host that answers nothing keeps its own mail from going on, only that. */
Test(risk, of_a_silent_host_leaves_the_others_their_room, .init = begin,
     .fini = end)
{
	cr_assert_eq(take(0, ATTEMPTS), 56);
	risk_forget(&links[0]);
	risk_answered(&attempts[0]);
	let_time_pass(4000);
	cr_expect_eq(drain.at_risk, 56);
	let_time_pass(2000);
	cr_expect_eq(drain.at_risk, 1, "but what was answered counts");
	cr_expect_eq(dests[0].at_risk, 56);
	cr_expect_eq(take(0, ATTEMPTS), 8, "its own are as many as ever");
	risk_forget(&links[0]);
	for (size_t i = used - 8; i < used; i++)
		risk_over(&attempts[i]);
	cr_expect_eq(take(1, ATTEMPTS), 56);
	for (size_t i = 0; i < used; i++)
		risk_over(&attempts[i]);
	cr_expect_eq(drain.at_risk, 0);
	cr_expect_eq(dests[0].at_risk, 0);
}

/* Late answers make room for its own, though they were no longer counted. */
Test(risk, of_a_silent_host_that_speaks_again_goes_on, .init = begin,
     .fini = end)
{
	cr_assert_eq(take(0, ATTEMPTS), 56);
	risk_forget(&links[0]);
	let_time_pass(6000);
	cr_assert_eq(take(0, ATTEMPTS), 8);
	cr_expect(links[0].is_held_back);
	cr_expect_not(ev_is_active(&drain.resume));
	risk_answered(&attempts[0]);
	risk_over(&attempts[0]);
	cr_expect(ev_is_active(&drain.resume));
}

Test(risk, is_not_taken_when_the_disk_has_failed, .init = begin, .fini = end)
{
	drain.is_broken = true;
	cr_expect_eq(take(0, ATTEMPTS), 0);
}

/* Hosts that nobody of ours is behind have a share of it between them. */
Test(risk, of_strangers_is_little, .init = begin, .fini = end)
{
	dests[2].listed = dests[3].listed = 0;
	cr_expect_eq(take(2, 5), 5);
	cr_expect_eq(take(3, 10), 3);
	cr_expect_eq(take(0, 100), 49);
	risk_over(&attempts[0]);
	cr_expect_eq(take(3, 10), 1);
	for (size_t i = 0; i < COUNT(links); i++)
		risk_forget(&links[i]);
	dests[3].listed = 1; /* meanwhile; what was taken stays what it was */
	let_time_pass(6000);
	cr_expect_eq(drain.strangers_at_risk, 0);
	for (size_t i = 0; i < used; i++)
		risk_over(&attempts[i]);
	cr_expect_eq(drain.at_risk, 0);
	cr_expect_eq(drain.strangers_at_risk, 0);
}
