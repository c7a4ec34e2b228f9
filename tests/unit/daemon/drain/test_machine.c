/* The decisions of a destination, with a clock that stands still. */
#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/drain/machine.h"

static const struct machine_params params = {
	.probe_max_ms = SECONDS(30),
	.probe_busy_ms = SECONDS(30),
	.connect_timeout_ms = SECONDS(30),
	.connections = 10,
};

struct world {
	struct machine m;
	struct machine_target t[4];
	int64_t now;
};

static void begin(struct world *w, size_t targets)
{
	memset(w, 0, sizeof(*w));
	w->now = 1000000;
	machine_init(&w->m, &params, 42);
	for (size_t i = 0; i < targets; i++)
		w->t[i].rank = w->t[i].host = (unsigned)i;
	machine_set_targets(&w->m, w->t, targets);
}

/* One attempt that fails after so many ms. */
static void attempt_fails(struct world *w, int target, enum machine_fault fault,
			  int64_t takes_ms)
{
	machine_started(&w->m, target, w->now);
	w->now += takes_ms;
	machine_failed(&w->m, target, fault, 0, 0, w->now);
}

static int next(struct world *w)
{
	return machine_next(&w->m, true, 0, 0, w->now);
}

/* The first mail makes an unknown destination probe. */
Test(machine, mail_starts_a_probe)
{
	struct world w;

	begin(&w, 1);
	cr_assert_eq(machine_next(&w.m, false, 0, 0, w.now), MACHINE_NONE);
	cr_assert_eq(w.m.state, DRAIN_UNKNOWN);
	cr_assert_eq(next(&w), 0);
	cr_assert_eq(w.m.state, DRAIN_PROBING);
	cr_assert_eq(machine_next(&w.m, true, 0, 1, w.now), MACHINE_NONE,
		     "one probe at a time");
	machine_ready(&w.m, 0, w.now);
	cr_assert_eq(w.m.state, DRAIN_UP);
}

/* 5 % of the outage at most, jitter included; at least 1 s; probe_max. */
Test(machine, waits_are_a_twentieth_of_the_outage)
{
	static const struct {
		int64_t outage_s;
		unsigned percent;
		int64_t least_ms, most_ms;
	} cases[] = {
		{ 0, 100, 1000, 1000 },	      { 10, 120, 1000, 1000 },
		{ 60, 120, 3000, 3000 },      { 60, 80, 1900, 2000 },
		{ 120, 120, 6000, 6000 },     { 600, 100, 25000, 25000 },
		{ 86400, 120, 30000, 30000 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t ms =
			machine_wait_ms(&params, SECONDS(cases[i].outage_s),
					FAULT_GONE, cases[i].percent);

		cr_expect(ms >= cases[i].least_ms && ms <= cases[i].most_ms,
			  "outage %d s: %d ms", (int)cases[i].outage_s,
			  (int)ms);
		cr_expect(ms * 20 <= SECONDS(cases[i].outage_s) ||
			  ms == SECONDS(1));
	}
	cr_expect_eq(machine_wait_ms(&params, 0, FAULT_BUSY, 80), SECONDS(30));
}

/* Whatever the jitter, a primary back after 120 s is found within 7 s. */
Test(machine, a_return_after_two_minutes_is_seen_in_seven_seconds)
{
	for (uint64_t seed = 1; seed < 200; seed++) {
		struct world w;
		int64_t start;

		begin(&w, 1);
		w.m.seed = seed * 7919;
		start = w.now;
		while (w.now - start < SECONDS(120)) {
			cr_assert_eq(next(&w), 0);
			attempt_fails(&w, 0, FAULT_GONE, 1);
			cr_assert_eq(w.m.state, DRAIN_DOWN);
			cr_assert_eq(next(&w), MACHINE_NONE);
			w.now = machine_timer(&w.m);
		}
		cr_assert_leq(w.now - start, SECONDS(127));
	}
}

/* The time an attempt took counts as waiting, save for a pause of 1 s. */
Test(machine, slow_failures_do_not_add_up)
{
	struct world w;

	begin(&w, 1);
	cr_assert_eq(next(&w), 0);
	attempt_fails(&w, 0, FAULT_GONE, SECONDS(30));
	cr_assert_eq(machine_timer(&w.m), w.now + SECONDS(1));
	cr_assert_eq(w.m.since_ms, w.now - SECONDS(30));
}

Test(machine, a_busy_host_is_left_alone_for_a_while)
{
	struct world w;

	begin(&w, 1);
	cr_assert_eq(next(&w), 0);
	attempt_fails(&w, 0, FAULT_BUSY, 5);
	cr_assert_eq(w.m.state, DRAIN_DOWN);
	cr_assert_eq(machine_timer(&w.m), w.now + SECONDS(30));
	w.now += SECONDS(30) - 1;
	cr_assert_eq(next(&w), MACHINE_NONE);
	w.now += 1;
	cr_assert_eq(next(&w), 0);
}

/* RFC 5321 section 5.1: each address in order, and the next one at once. */
Test(machine, targets_are_tried_in_order)
{
	struct world w;

	begin(&w, 3);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(next(&w), i);
		attempt_fails(&w, i, FAULT_GONE, 10);
		cr_assert_eq(w.m.state, i < 2 ? DRAIN_PROBING : DRAIN_DOWN);
	}
	cr_assert_eq(next(&w), MACHINE_NONE);
	w.now = machine_timer(&w.m);
	cr_assert_eq(next(&w), 0);
}

/* Each target has its own clock: a busy first does not delay the second. */
Test(machine, a_busy_target_does_not_delay_the_other)
{
	struct world w;

	begin(&w, 2);
	cr_assert_eq(next(&w), 0);
	attempt_fails(&w, 0, FAULT_BUSY, 1);
	cr_assert_eq(next(&w), 1);
	attempt_fails(&w, 1, FAULT_GONE, 1);
	cr_assert_eq(machine_timer(&w.m), w.t[1].next_ms);
	cr_assert_leq(w.t[1].next_ms, w.now + SECONDS(1));
	w.now = machine_timer(&w.m);
	cr_assert_eq(next(&w), 1);
}

/* Slow start: 1, 2, 4, 8, then the limit; each after a round of successes. */
Test(machine, connections_double_per_round)
{
	static const unsigned expected[] = { 1, 2, 4, 8, 10, 10 };
	struct world w;

	begin(&w, 1);
	machine_ready(&w.m, 0, w.now);
	for (size_t r = 0; r < COUNT(expected); r++) {
		cr_assert_eq(w.m.limit, expected[r], "round %zu: %u", r,
			     w.m.limit);
		for (unsigned i = 0; i < expected[r]; i++)
			machine_success(&w.m, 0, 5, w.now);
	}
}

Test(machine, connections_open_up_to_the_limit)
{
	struct world w;

	begin(&w, 1);
	machine_ready(&w.m, 0, w.now);
	w.m.limit = 4;
	cr_assert_eq(machine_next(&w.m, true, 2, 1, w.now), 0);
	cr_assert_eq(machine_next(&w.m, true, 2, 2, w.now), MACHINE_NONE);
	cr_assert_eq(machine_next(&w.m, false, 1, 0, w.now), MACHINE_NONE);
}

/* One connection too many is not an outage. */
Test(machine, a_refused_extra_connection_caps)
{
	struct world w;

	begin(&w, 1);
	machine_ready(&w.m, 0, w.now);
	w.m.limit = 8;
	machine_failed(&w.m, 0, FAULT_BUSY, 5, 5, w.now);
	cr_assert_eq(w.m.state, DRAIN_UP);
	cr_assert_eq(w.m.limit, 5);
	for (int i = 0; i < 50; i++)
		machine_success(&w.m, 0, 5, w.now);
	cr_assert_eq(w.m.limit, 5, "capped for a while");
	w.now += SECONDS(31);
	for (int i = 0; i < 50; i++)
		machine_success(&w.m, 0, 5, w.now);
	cr_assert_eq(w.m.limit, 10);
}

Test(machine, growing_latency_halves)
{
	struct world w;

	begin(&w, 1);
	machine_ready(&w.m, 0, w.now);
	for (int i = 0; i < 100; i++)
		machine_success(&w.m, 0, 10, w.now);
	cr_assert_eq(w.m.limit, 10);
	w.now += SECONDS(5);
	for (int i = 0; i < 60; i++)
		machine_success(&w.m, 0, 3000, w.now);
	cr_assert_lt(w.m.limit, 10);
	cr_assert_geq(w.m.limit, 1);
}

/* A server that closes after each few messages is no outage while they go
 * through; one that drops every connection is. */
Test(machine, lost_connections)
{
	struct world w;

	begin(&w, 1);
	machine_ready(&w.m, 0, w.now);
	w.m.limit = 8;
	machine_ended(&w.m, 0, FAULT_GONE, true, 0, 0, w.now);
	cr_assert_eq(w.m.state, DRAIN_UP);
	cr_assert_eq(w.m.limit, 1);
	machine_ended(&w.m, 0, FAULT_GONE, false, 0, 0, w.now);
	cr_assert_eq(w.m.state, DRAIN_DOWN);
	begin(&w, 1);
	machine_ready(&w.m, 0, w.now);
	machine_ended(&w.m, 0, FAULT_NONE, false, 0, 0, w.now);
	cr_assert_eq(w.m.state, DRAIN_UP, "orderly");
}

/* While the second choice works, the first is asked after at its own pace. */
Test(machine, a_better_target_is_scouted)
{
	struct world w;

	begin(&w, 2);
	cr_assert_eq(next(&w), 0);
	attempt_fails(&w, 0, FAULT_GONE, 1);
	cr_assert_eq(next(&w), 1);
	machine_ready(&w.m, 1, w.now);
	cr_assert_eq(w.m.state, DRAIN_UP);
	cr_assert_eq(machine_better(&w.m, w.now), MACHINE_NONE);
	cr_assert_eq(machine_timer(&w.m), w.t[0].next_ms);
	w.now = machine_timer(&w.m);
	cr_assert_eq(machine_better(&w.m, w.now), 0);
	machine_ready(&w.m, 0, w.now);
	w.m.limit = 5;
	cr_assert_eq(machine_next(&w.m, true, 0, 0, w.now), 0);
	cr_assert_eq(machine_better(&w.m, w.now), MACHINE_NONE);
}

/* Of two equals both are wanted: the one that is away is asked after. */
Test(machine, an_equal_host_is_scouted)
{
	struct world w;

	begin(&w, 2);
	w.t[1].rank = 0;
	cr_assert_eq(next(&w), 0);
	attempt_fails(&w, 0, FAULT_GONE, 1);
	machine_ready(&w.m, 1, w.now);
	cr_assert_eq(machine_better(&w.m, w.now), MACHINE_NONE);
	cr_assert_eq(machine_timer(&w.m), w.t[0].next_ms);
	w.now = machine_timer(&w.m);
	cr_assert_eq(machine_better(&w.m, w.now), 0);
}

/* The other family of a host that answers is not missed. */
Test(machine, another_way_to_the_same_host_is_not_scouted)
{
	struct world w;

	begin(&w, 2);
	w.t[1].rank = w.t[1].host = 0;
	w.t[1].family = 1;
	cr_assert_eq(next(&w), 0);
	attempt_fails(&w, 0, FAULT_GONE, 1);
	machine_ready(&w.m, 1, w.now);
	w.now += HOURS(1);
	cr_assert_eq(machine_better(&w.m, w.now), MACHINE_NONE);
	cr_assert_eq(machine_timer(&w.m), 0);
}

/* Connect as long as the machine wants to; everything is ready at once. */
static void connect_all(struct world *w)
{
	unsigned live = 0;
	int t;

	for (size_t i = 0; i < w->m.count; i++)
		live += w->t[i].links;
	while ((t = machine_next(&w->m, true, live, 0, w->now)) !=
	       MACHINE_NONE) {
		machine_started(&w->m, t, ++w->now);
		machine_ready(&w->m, t, w->now);
		w->t[t].links++;
		live++;
	}
}

/* RFC 5321 section 5.1: equal preference spreads the load. */
Test(machine, equals_share_the_connections)
{
	struct world w;

	begin(&w, 4);
	w.t[1].rank = w.t[2].rank = 0;
	machine_ready(&w.m, 0, w.now);
	w.m.limit = 9;
	connect_all(&w);
	for (int i = 0; i < 3; i++)
		cr_expect_eq(w.t[i].links, 3, "%d: %u", i, w.t[i].links);
	cr_expect_eq(w.t[3].links, 0, "worse");
}

/* By host first: one with two addresses does not get twice as much. */
Test(machine, hosts_share_before_their_addresses)
{
	struct world w;

	begin(&w, 3);
	for (int i = 0; i < 3; i++)
		w.t[i].rank = 0;
	w.t[1].host = 0;
	machine_ready(&w.m, 0, w.now);
	w.m.limit = 8;
	connect_all(&w);
	cr_expect_eq(w.t[0].links, 2);
	cr_expect_eq(w.t[1].links, 2);
	cr_expect_eq(w.t[2].links, 4);
}

Test(machine, one_family_of_a_host_is_used_until_it_is_down)
{
	struct world w;

	begin(&w, 2);
	w.t[1].rank = w.t[1].host = 0;
	w.t[1].family = 1;
	machine_ready(&w.m, 0, w.now);
	w.m.limit = 4;
	connect_all(&w);
	cr_expect_eq(w.t[0].links, 4);
	cr_expect_eq(machine_relief(&w.m, 0), MACHINE_NONE);
	w.t[0].links = 0;
	machine_started(&w.m, 0, w.now);
	machine_failed(&w.m, 0, FAULT_GONE, 0, 0, w.now);
	cr_expect_eq(next(&w), 1);
}

/* Little mail, a connection at a time: each goes elsewhere. */
Test(machine, single_connections_take_turns)
{
	struct world w;
	int last = MACHINE_NONE;

	begin(&w, 2);
	w.t[1].rank = 0;
	machine_ready(&w.m, 0, w.now);
	for (int i = 0; i < 6; i++) {
		int t = next(&w);

		cr_assert_neq(t, last);
		machine_started(&w.m, t, ++w.now);
		machine_ready(&w.m, t, w.now);
		last = t;
	}
}

Test(machine, a_host_with_more_connections_is_relieved)
{
	struct world w;

	begin(&w, 3);
	w.t[1].rank = 0;
	machine_ready(&w.m, 0, w.now);
	w.t[0].links = 1;
	cr_expect_eq(machine_relief(&w.m, 0), 1);
	w.t[1].links = 1;
	cr_expect_eq(machine_relief(&w.m, 0), MACHINE_NONE);
	w.t[0].links = 2;
	cr_expect_eq(machine_relief(&w.m, 0), 1);
	attempt_fails(&w, 1, FAULT_GONE, 1);
	cr_expect_eq(machine_relief(&w.m, 0), MACHINE_NONE, "it is down");
}

/* One of two equals that cannot be reached is no outage. */
Test(machine, an_equal_that_fails_is_no_outage)
{
	struct world w;

	begin(&w, 2);
	w.t[1].rank = 0;
	machine_ready(&w.m, 0, w.now);
	w.m.limit = 8;
	attempt_fails(&w, 1, FAULT_GONE, 1);
	cr_expect_eq(w.m.state, DRAIN_UP);
	cr_expect_eq(w.m.limit, 1, "slowly at first");
	cr_expect_eq(next(&w), 0);
	attempt_fails(&w, 0, FAULT_GONE, 1);
	cr_expect_eq(w.m.state, DRAIN_DOWN);
}

Test(machine, a_trigger_cuts_the_wait)
{
	struct world w;

	begin(&w, 1);
	cr_assert_eq(next(&w), 0);
	attempt_fails(&w, 0, FAULT_BUSY, 1);
	cr_assert_eq(next(&w), MACHINE_NONE);
	machine_trigger(&w.m, w.now);
	cr_assert_eq(next(&w), 0);
}

/* A hint from the host itself is taken twice a second, and never lost. */
Test(machine, a_target_that_connects_is_asked_soon)
{
	struct world w;

	begin(&w, 1);
	cr_assert_eq(next(&w), 0);
	w.now += SECONDS(600);
	attempt_fails(&w, 0, FAULT_GONE, 1);
	w.t[0].since_ms = w.now - SECONDS(600);
	attempt_fails(&w, 0, FAULT_GONE, 1);
	cr_assert_gt(machine_timer(&w.m), w.now + SECONDS(10));
	cr_assert(machine_heard(&w.m, 0, w.now));
	cr_assert_eq(next(&w), MACHINE_NONE, "not so soon");
	cr_assert_not(machine_heard(&w.m, 0, w.now));
	cr_assert_leq(machine_timer(&w.m), w.now + SECONDS(1));
	w.now += SECONDS(1);
	cr_assert_eq(next(&w), 0);
	attempt_fails(&w, 0, FAULT_BUSY, 1);
	cr_assert_not(machine_heard(&w.m, 0, w.now), "busy is busy");
}

/* The outage did not begin with our restart. */
/* That we are short of descriptors is nobody's outage: a second's pause. */
Test(machine, want_of_descriptors_is_a_pause)
{
	struct world w;

	begin(&w, 2);
	cr_assert_eq(next(&w), 0);
	machine_started(&w.m, 0, w.now);
	machine_starved(&w.m, w.now);
	cr_expect_eq(next(&w), MACHINE_NONE);
	cr_expect_eq(machine_timer(&w.m), w.now + SECONDS(1));
	w.now += SECONDS(1);
	cr_expect_eq(machine_next(&w.m, false, 0, 0, w.now), MACHINE_NONE);
	cr_expect_eq(machine_timer(&w.m), 0, "no timer that is over");
	cr_expect_eq(next(&w), 0);
	machine_ready(&w.m, 0, w.now);
	machine_starved(&w.m, w.now);
	cr_expect_eq(w.m.state, DRAIN_UP);
	cr_expect_eq(next(&w), MACHINE_NONE);
}

Test(machine, a_remembered_outage_goes_on)
{
	struct world w;

	begin(&w, 1);
	w.t[0].is_down = true;
	w.t[0].since_ms = w.now - SECONDS(400);
	cr_assert_eq(next(&w), 0, "but it is tried at once");
	attempt_fails(&w, 0, FAULT_GONE, 1);
	cr_assert_geq(machine_timer(&w.m) - w.now, SECONDS(12));
	cr_assert_eq(w.m.since_ms, w.now - 1 - SECONDS(400));
}

/* A host that drops packets is asked again sooner than TCP would. */
Test(machine, connecting_to_a_down_host_is_cut_short)
{
	struct world w;

	begin(&w, 1);
	cr_assert_eq(machine_connect_ms(&w.m, 0), SECONDS(30));
	cr_assert_eq(next(&w), 0);
	attempt_fails(&w, 0, FAULT_GONE, SECONDS(30));
	cr_assert_leq(machine_connect_ms(&w.m, 0), SECONDS(5));
}

/* So is the first of several, until the others are known to be down, too. */
Test(machine, connecting_is_cut_short_where_another_may_do)
{
	struct world w;

	begin(&w, 2);
	cr_assert_eq(machine_connect_ms(&w.m, 0), SECONDS(5));
	w.t[1].is_down = true;
	cr_assert_eq(machine_connect_ms(&w.m, 0), SECONDS(30));
	w.t[1].is_down = false;
	w.m.params.connect_timeout_ms = SECONDS(2);
	cr_assert_eq(machine_connect_ms(&w.m, 0), SECONDS(2));
}

/* Nor is the greeting of an unknown host waited for five minutes, as long as
 * there is another; one that is known to be slow is given its time. */
Test(machine, a_greeting_is_waited_for_less_where_another_may_do)
{
	struct world w;

	begin(&w, 2);
	cr_assert_eq(machine_greeting_ms(&w.m, 0), SECONDS(30));
	cr_assert_eq(next(&w), 0);
	attempt_fails(&w, 0, FAULT_GONE, SECONDS(30));
	cr_assert_eq(machine_greeting_ms(&w.m, 0), 0);
	cr_assert_eq(next(&w), 1);
	cr_assert_eq(machine_greeting_ms(&w.m, 1), 0, "the last one");
	machine_ready(&w.m, 1, w.now);
	w.now += SECONDS(10);
	cr_assert_eq(machine_better(&w.m, w.now), 0);
	machine_ready(&w.m, 0, w.now);
	cr_assert_eq(machine_greeting_ms(&w.m, 0), 0);
}

/* What nobody asks for any more is not known any more. */
Test(machine, old_news_is_forgotten)
{
	struct world w;

	begin(&w, 3);
	cr_assert_eq(next(&w), 0);
	attempt_fails(&w, 0, FAULT_GONE, 1);
	attempt_fails(&w, 1, FAULT_BUSY, 1);
	machine_ready(&w.m, 2, w.now);
	w.t[2].links = 1;
	w.now += MINUTES(10) - SECONDS(1);
	machine_forget(&w.m, MINUTES(10), w.now);
	cr_expect(w.t[0].is_down && w.t[1].is_down && w.t[2].is_up);
	w.now += SECONDS(2);
	machine_forget(&w.m, MINUTES(10), w.now);
	cr_expect_not(w.t[0].is_down || w.t[1].is_down || w.t[1].is_busy);
	cr_expect_eq(w.m.state, DRAIN_UP, "a connection is there");
	cr_expect(w.t[2].is_up);
	w.t[2].links = 0;
	machine_success(&w.m, 2, 5, w.now);
	machine_forget(&w.m, MINUTES(10), w.now + MINUTES(9));
	cr_expect_eq(w.m.state, DRAIN_UP, "it was heard of");
	machine_forget(&w.m, MINUTES(10), w.now + MINUTES(10));
	cr_expect_eq(w.m.state, DRAIN_UNKNOWN);
	cr_expect_eq(w.m.since_ms, 0);
	cr_expect_eq(next(&w), 0, "from the first, at once");
}

Test(machine, an_outage_that_nobody_watches_is_forgotten)
{
	struct world w;

	begin(&w, 1);
	cr_assert_eq(next(&w), 0);
	attempt_fails(&w, 0, FAULT_GONE, 1);
	cr_assert_eq(w.m.state, DRAIN_DOWN);
	w.now += MINUTES(10);
	machine_forget(&w.m, MINUTES(10), w.now);
	cr_expect_eq(w.m.state, DRAIN_UNKNOWN);
	cr_expect_eq(machine_timer(&w.m), 0);
	attempt_fails(&w, 0, FAULT_GONE, 1);
	cr_expect_eq(w.m.since_ms, w.now - 1, "another outage");
}

/* No state and no event may be forgotten: run all of them against each other
 * and look for a state outside the four, or a limit outside its range. */
Test(machine, no_sequence_breaks_it)
{
	struct world w;
	uint64_t x = 88172645463325252u;

	begin(&w, 3);
	for (int i = 0; i < 200000; i++) {
		int t;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		t = (int)(x % 3);
		switch ((x >> 8) % 8) {
		case 6:
			machine_forget(&w.m, SECONDS(20), w.now);
			break;
		case 0:
			machine_started(&w.m, t, w.now);
			break;
		case 1:
			machine_ready(&w.m, t, w.now);
			break;
		case 2:
			machine_failed(&w.m, t,
				       1 + (enum machine_fault)((x >> 16) % 2),
				       (unsigned)(x >> 20) % 2,
				       (unsigned)(x >> 21) % 2, w.now);
			break;
		case 3:
			machine_ended(&w.m, t,
				      (enum machine_fault)((x >> 16) % 3),
				      (x >> 22) % 2, 0, (unsigned)(x >> 23) % 2,
				      w.now);
			break;
		case 4:
			machine_success(&w.m, t, (int64_t)((x >> 24) % 1000),
					w.now);
			break;
		case 5:
			machine_trigger(&w.m, w.now);
			break;
		default:
			t = machine_next(&w.m, true, (unsigned)(x >> 25) % 3,
					 (unsigned)(x >> 27) % 2, w.now);
			cr_assert(t >= MACHINE_NONE && t < 3);
		}
		w.now += (int64_t)((x >> 30) % 3000);
		cr_assert(w.m.state <= DRAIN_DOWN);
		cr_assert(w.m.limit >= 1 && w.m.limit <= 10);
	}
}

/* A target that answers and refuses everybody is down like any other, at the
 * same pace, and the next target has its turn. */
Test(machine, a_target_that_refuses_everybody_is_down)
{
	struct world w;

	begin(&w, 2);
	cr_assert_eq(next(&w), 0);
	machine_started(&w.m, 0, w.now);
	machine_ready(&w.m, 0, w.now);
	cr_assert_not(machine_wants_trial(&w.m, 0));
	w.now += SECONDS(100);
	w.t[0].refusals.temper = HOST_REFUSES;
	w.t[0].refusals.since_ms = w.now - 700;
	machine_refused(&w.m, 0, 0, w.now);
	cr_assert_eq(w.m.state, DRAIN_PROBING);
	cr_assert_eq(next(&w), 1);
	attempt_fails(&w, 1, FAULT_GONE, 1);
	cr_assert_eq(w.m.state, DRAIN_DOWN);
	cr_assert_eq(w.t[0].since_ms, w.now - 701);
	cr_assert(machine_wants_trial(&w.m, 0));
}

/* The first promise holds for it, too: 5 % of the outage, and probe_max. */
Test(machine, trials_follow_the_clock_of_the_destination)
{
	struct world w;
	int64_t start, last;

	begin(&w, 1);
	machine_started(&w.m, 0, w.now);
	machine_ready(&w.m, 0, w.now);
	start = last = w.now;
	w.t[0].refusals.temper = HOST_REFUSES;
	w.t[0].refusals.since_ms = w.now;
	machine_refused(&w.m, 0, 0, w.now);
	while (w.now - start < HOURS(1)) {
		cr_assert_eq(next(&w), MACHINE_NONE);
		w.now = machine_timer(&w.m);
		cr_assert_leq(w.now - last, SECONDS(31));
		cr_assert((w.now - last - 10) * 20 <= w.now - start ||
			  w.now - last <= SECONDS(1) + 10);
		last = w.now;
		cr_assert_eq(next(&w), 0);
		cr_assert_eq(w.m.state, DRAIN_PROBING);
		attempt_fails(&w, 0, FAULT_REFUSES, 5);
		cr_assert_eq(w.m.state, DRAIN_DOWN);
	}
	machine_started(&w.m, 0, w.now);
	machine_ready(&w.m, 0, w.now);
	cr_assert_eq(w.m.state, DRAIN_UP);
	cr_assert_eq(w.m.limit, 1, "slow start");
}
