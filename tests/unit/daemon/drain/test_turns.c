/* Many domains and destinations, a few at a time. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "common/base/assert.h"
#include "daemon/drain/drain_priv.h"

enum { DOMAINS = 600 };

static struct drain drain;
static struct domain domains[DOMAINS];
static struct dest dests[3];
static size_t seen, seen_dests;

static void begin(void)
{
	drain.loop = ev_loop_new(EVFLAG_AUTO);
	turns_start(&drain, NULL);
	for (size_t i = 0; i < DOMAINS; i++) {
		domains[i].drain = &drain;
		turns_enter_domain(&domains[i]);
	}
	for (size_t i = 0; i < COUNT(dests); i++) {
		dests[i].drain = &drain;
		turns_enter_dest(&dests[i]);
	}
}

static void end(void)
{
	struct domain *dom;
	struct dest *dst;

	while ((dom = TAILQ_FIRST(&drain.turns.domains)) != NULL)
		turns_leave_domain(dom);
	while ((dst = TAILQ_FIRST(&drain.turns.dests)) != NULL)
		turns_leave_dest(dst);
	turns_stop(&drain);
	ev_loop_destroy(drain.loop);
}

static void turn(void)
{
	ev_now_update(drain.loop);
	ev_run(drain.loop, EVRUN_ONCE);
}

static void see(struct domain *dom)
{
	(void)dom;
	seen++;
}

static void see_dest(struct dest *dst, struct span name)
{
	cr_expect(span_eq(name, SPAN_LIT("mx")));
	(void)dst;
	seen_dests++;
}

static const struct visit_ops all = { see, see_dest };

Test(turns, a_visit_sees_some_at_a_time, .init = begin, .fini = end)
{
	turns_visit(&drain, &all, SPAN_LIT("mx"));
	cr_expect_eq(seen, 0, "never within the call");
	turn();
	cr_expect_eq(seen, VISITED_A_TURN);
	turn();
	turn();
	cr_expect_eq(seen, DOMAINS);
	cr_expect_eq(seen_dests, COUNT(dests));
	cr_expect_not(ev_is_active(&drain.turns.timer), "nothing is to do");
}

Test(turns, what_leaves_is_stepped_over, .init = begin, .fini = end)
{
	turns_visit(&drain, &all, SPAN_LIT("mx"));
	turn();
	turns_leave_domain(&domains[VISITED_A_TURN]); /* the next one */
	turns_leave_domain(&domains[0]);
	turns_leave_dest(&dests[0]);
	turn();
	turn();
	cr_expect_eq(seen, DOMAINS - 1);
	cr_expect_eq(seen_dests, COUNT(dests) - 1);
}

Test(turns, the_same_visit_is_made_once_more_behind_it, .init = begin,
     .fini = end)
{
	turns_visit(&drain, &all, SPAN_LIT("mx"));
	turn();
	for (int i = 0; i < 5; i++)
		turns_visit(&drain, &all, SPAN_LIT("mx"));
	for (int i = 0; i < 10; i++)
		if (ev_is_active(&drain.turns.timer))
			turn();
	cr_expect_eq(seen, 2 * DOMAINS);
	cr_expect_eq(seen_dests, 2 * COUNT(dests));
}

/* A look that is not over goes on behind the last one, and ends. */
Test(turns, a_destination_is_looked_for_some_at_a_time)
{
	static struct dest many[DOMAINS];
	static struct route routes[DOMAINS];
	static char keys[DOMAINS][32];
	struct buf after = { 0 };
	bool is_over = false;
	int turns = 0;

	turns_start(&drain, NULL);
	for (size_t i = 0; i < DOMAINS; i++) {
		snprintf(keys[i], sizeof(keys[i]), "mx%zu.example:25", i);
		routes[i].key = span_str(keys[i]);
		many[i].drain = &drain;
		many[i].route = &routes[i];
		HASH_ADD_KEYPTR(hh, drain.dests, routes[i].key.p,
				routes[i].key.n, &many[i]);
		turns_enter_dest(&many[i]);
	}
	while (!is_over && turns < 10) {
		cr_expect_not(drain_knows_destination(
			&drain, SPAN_LIT("mx.typo"), &after, &is_over));
		turns++;
	}
	cr_expect_eq(turns, DOMAINS / VISITED_A_TURN + 1);
	buf_reset(&after);
	for (is_over = false, turns = 0; !is_over && turns < 10; turns++)
		(void)drain_knows_destination(&drain, SPAN_LIT("mx300.example"),
					      &after, &is_over);
	cr_expect_eq(turns, 2);
	buf_fini(&after);
}
