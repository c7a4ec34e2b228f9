/* How many connections go out. */
#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "daemon/drain/drain_priv.h"

enum { OURS, STRANGERS, OTHERS, DESTS };

static struct drain drain;
static struct config config = { .drain.connections = 10 };
static struct route route = { .source = ROUTE_FROM_MX };
static struct dest dests[DESTS];
static struct link links[64];
static size_t used;
static struct dest *served[8];
static size_t served_count;

/* Takes what there is, as a destination does. */
static void serve(struct dest *dst)
{
	served[served_count++] = dst;
	if (!slots_have_room(dst)) {
		slots_wait(dst);
		return;
	}
	links[used].dest = dst;
	slots_take(&links[used++]);
}

static void begin(void)
{
	drain.loop = ev_loop_new(EVFLAG_AUTO);
	drain.config = &config;
	turns_start(&drain, serve);
	slots_start(&drain, 16);
	for (size_t i = 0; i < DESTS; i++) {
		dests[i].drain = &drain;
		dests[i].route = &route;
	}
	dests[OURS].listed = 1;
}

static void end(void)
{
	for (size_t i = 0; i < used; i++)
		if (links[i].slots != NULL)
			slots_give_back(&links[i]);
	slots_stop(&drain);
	ev_loop_destroy(drain.loop);
}

static unsigned take(struct dest *dst)
{
	unsigned n = 0;

	for (; slots_have_room(dst); n++) {
		links[used].dest = dst;
		slots_take(&links[used++]);
	}
	return n;
}

static void give_back(size_t i)
{
	slots_give_back(&links[i]);
	links[i].slots = NULL;
	ev_run(drain.loop, EVRUN_NOWAIT);
}

Test(slots, strangers_have_a_share_of_their_own, .init = begin, .fini = end)
{
	cr_expect(slots_is_strangers(&dests[STRANGERS]));
	cr_expect_eq(take(&dests[STRANGERS]), 3);
	cr_expect_eq(take(&dests[OTHERS]), 0, "it is the same share");
	cr_expect_eq(take(&dests[OURS]), 14, "of which ours lose nothing");
	cr_expect_eq(slots_each(&dests[STRANGERS]), 2);
	cr_expect_eq(slots_each(&dests[OURS]), 10);
}

/* What the operator names is nobody's choice but his. */
Test(slots, a_relay_is_no_stranger, .init = begin, .fini = end)
{
	static struct route named = { .source = ROUTE_FROM_RELAY };

	dests[STRANGERS].route = &named;
	cr_expect_not(slots_is_strangers(&dests[STRANGERS]));
}

Test(slots, who_waits_is_served_in_turn, .init = begin, .fini = end)
{
	cr_assert_eq(take(&dests[STRANGERS]), 3);
	slots_wait(&dests[OTHERS]);
	slots_wait(&dests[STRANGERS]);
	slots_wait(&dests[OTHERS]);
	give_back(0);
	cr_assert_eq(served_count, 1);
	cr_expect_eq(served[0], &dests[OTHERS]);
	give_back(1);
	cr_assert_eq(served_count, 2);
	cr_expect_eq(served[1], &dests[STRANGERS]);
}

Test(slots, who_left_is_not_served, .init = begin, .fini = end)
{
	cr_assert_eq(take(&dests[STRANGERS]), 3);
	slots_wait(&dests[OTHERS]);
	slots_forget(&dests[OTHERS]);
	give_back(0);
	cr_expect_eq(served_count, 0);
}
