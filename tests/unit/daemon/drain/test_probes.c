/* How many hosts that are down are asked, of all destinations together. */
#include <criterion/criterion.h>
#include <limits.h>

#include "common/base/assert.h"
#include "daemon/drain/drain_priv.h"
#include "tests/support/drain_world.h"

enum { DESTS = 20000, BEGUN_MS = 1000000 };

static struct drain drain;
static struct dest dests[DESTS];
static int64_t now_ms, probed_ms[DESTS];
static unsigned probes[DESTS];
static struct dest *served[DESTS];
static size_t served_count;

static void probe(struct dest *dst)
{
	probed_ms[dst - dests] = now_ms;
	probes[dst - dests]++;
	probes_spend(dst);
}

/* As a destination does whose time has come. */
static void serve(struct dest *dst)
{
	cr_assert(probes_admit(dst, PROBE_ROUTINE, now_ms), "it is its turn");
	served[served_count++ % DESTS] = dst;
	probe(dst);
}

static void begin(void)
{
	drain.loop = ev_loop_new(EVFLAG_AUTO);
	turns_start(&drain, serve);
	probes_start(&drain);
	now_ms = drain.probes.counted_ms = BEGUN_MS;
	for (size_t i = 0; i < DESTS; i++)
		dests[i].drain = &drain;
}

static void end(void)
{
	for (size_t i = 0; i < DESTS; i++)
		probes_forget(&dests[i]);
	probes_stop(&drain);
	turns_stop(&drain);
	ev_loop_destroy(drain.loop);
}

static bool ask(size_t i, enum probe_class class)
{
	if (!probes_admit(&dests[i], class, now_ms))
		return false;
	probe(&dests[i]);
	return true;
}

static void pass(int64_t ms)
{
	now_ms += ms;
	probes_serve(&drain, now_ms);
}

/* The pace is used up; from there on who comes waits. */
static void exhaust(void)
{
	for (size_t i = 0; drain.probes.left > 0; i++)
		cr_assert(ask(DESTS - 1 - i, PROBE_ROUTINE));
}

static unsigned all_probes(void)
{
	unsigned n = 0;

	for (size_t i = 0; i < DESTS; i++)
		n += probes[i];
	return n;
}

/* Two thousand that go away at once, each due every second: what waits for its
 * turn does so for less than that. */
Test(probes, an_ordinary_number_is_hardly_late, .init = begin, .fini = end)
{
	for (int s = 0; s < 20; s++) {
		for (size_t i = 0; i < 2000; i++)
			ask(i, PROBE_ROUTINE);
		for (int n = 0; n < 100; n++)
			pass(10);
		for (size_t i = 0; i < 2000; i++)
			cr_assert_eq(probes[i], (unsigned)s + 1);
	}
	cr_expect_eq(drain.probes.said_ms, 0, "nothing to tell");
}

/* All want one whenever they have none: no more than the pace, and each as
 * often as any other. */
Test(probes, very_many_have_the_pace_in_turn, .init = begin, .fini = end)
{
	unsigned least = UINT_MAX, most = 0;

	for (int n = 0; n < 2000; n++) {
		for (size_t i = 0; i < DESTS; i++)
			if (dests[i].probe_in == NULL)
				ask(i, PROBE_ROUTINE);
		pass(10);
	}
	for (size_t i = 0; i < DESTS; i++) {
		least = probes[i] < least ? probes[i] : least;
		most = probes[i] > most ? probes[i] : most;
	}
	cr_expect_leq(most - least, 1);
	cr_expect_geq(least, 2);
	cr_expect_leq(all_probes(), PROBES_AT_ONCE + 20000 * PROBES_A_MS);
	cr_expect_geq(all_probes(), 20000 * PROBES_A_MS);
}

Test(probes, the_longest_due_is_first, .init = begin, .fini = end)
{
	exhaust();
	for (size_t i = 0; i < 9; i++)
		cr_assert_not(ask(i, PROBE_ROUTINE));
	cr_expect_not(ask(0, PROBE_ROUTINE), "it keeps its place");
	pass(2);
	cr_assert_eq(served_count, 2 * PROBES_A_MS);
	for (size_t i = 0; i < served_count; i++)
		cr_expect_eq(served[i], &dests[i]);
	cr_expect_not(ask(20, PROBE_ROUTINE), "others wait");
}

Test(probes, who_is_waited_for_is_served_first, .init = begin, .fini = end)
{
	exhaust();
	for (size_t i = 0; i < 1000; i++)
		cr_assert_not(ask(i, PROBE_ROUTINE));
	cr_assert_not(ask(2000, PROBE_NEWS));
	cr_assert_not(ask(500, PROBE_ASKED), "it has waited already");
	pass(1);
	cr_assert_eq(served_count, 3);
	cr_expect_eq(served[0], &dests[500]);
	cr_expect_eq(served[1], &dests[2000]);
	cr_expect_eq(served[2], &dests[0]);
}

Test(probes, a_better_class_is_not_lost, .init = begin, .fini = end)
{
	exhaust();
	cr_assert_not(ask(1, PROBE_ROUTINE));
	cr_assert_not(ask(2, PROBE_NEWS));
	cr_assert_not(ask(2, PROBE_ROUTINE));
	pass(1);
	cr_expect_eq(served[0], &dests[2]);
}

/* However many clients wait and operators flush. */
Test(probes, no_class_gets_all, .init = begin, .fini = end)
{
	unsigned news = 0, routine = 0;

	exhaust();
	for (size_t i = 0; i < 3000; i++)
		cr_assert_not(ask(i, (enum probe_class)(i / 1000)));
	pass(100);
	cr_assert_eq(served_count, PROBES_AT_ONCE);
	for (size_t i = 1000; i < 2000; i++) {
		news += probes[i];
		routine += probes[1000 + i];
	}
	cr_expect_eq(news, PROBES_AT_ONCE / 4);
	cr_expect_eq(routine, PROBES_AT_ONCE / 4);
}

Test(probes, who_left_is_not_served, .init = begin, .fini = end)
{
	exhaust();
	cr_assert_not(ask(0, PROBE_ROUTINE));
	cr_expect(ev_is_active(&drain.probes.timer));
	probes_forget(&dests[0]);
	pass(10);
	cr_expect_eq(served_count, 0);
	cr_expect_not(ev_is_active(&drain.probes.timer), "nobody waits");
}

Test(probes, that_some_are_late_is_said_once_an_hour, .init = begin,
     .fini = end)
{
	int64_t said;

	exhaust();
	cr_assert_not(ask(0, PROBE_ROUTINE));
	pass(9999);
	cr_expect_eq(drain.probes.said_ms, 0);
	exhaust();
	cr_assert_not(ask(0, PROBE_ROUTINE));
	pass(10000);
	said = drain.probes.said_ms;
	cr_expect_eq(said, now_ms);
	exhaust();
	cr_assert_not(ask(0, PROBE_ROUTINE));
	pass(60000);
	cr_expect_eq(drain.probes.said_ms, said);
}

/* A destination that has no turn rests, keeps its mail, and asks when it has
 * one. */
Test(probes, a_destination_waits_for_its_turn)
{
	struct world w;
	struct dest *dst;
	bool no = false;
	unsigned turns;
	int64_t started;

	world_begin(&w, "", NULL);
	world_send_one(&w, "u@away.example");
	WAIT_FOR(&w, world_state(&w, "away.example") == DRAIN_DOWN);
	dst = domain_find(w.drain, SPAN_LIT("away.example"))->dest;
	started = dst->mtargets[0].started_ms;
	w.drain->probes.counted_ms += 3600000; /* nothing is left for long */
	w.drain->probes.left = 0;
	WAIT_FOR(&w, dst->probe_in != NULL);
	turns = ev_iteration(w.loop);
	peer_run(w.loop, &no, 300);
	cr_expect_lt(ev_iteration(w.loop) - turns, 200, "not in a circle");
	cr_expect_eq(dst->mtargets[0].started_ms, started);
	dest_trigger(dst, "flush");
	WAIT_FOR(&w, dst->probe_in == &w.drain->probes.waiting[PROBE_NEWS]);
	w.drain->probes.counted_ms = clock_mono_ms();
	WAIT_FOR(&w, dst->mtargets[0].started_ms > started);
	cr_expect_not(dst->is_called, "said and done");
	world_end(&w);
}
