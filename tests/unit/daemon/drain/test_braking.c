/* A primary that is broken, and a brake that is pulled. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "common/base/assert.h"
#include "daemon/drain/braking.h"
#include "daemon/drain/drain_priv.h"
#include "tests/support/drain_world.h"

static int rcpts, taken;
static const char *refusal; /* NULL: everybody is taken */
static const char *whom;    /* only those are refused; NULL: all */

static struct world *here;
static size_t sent_ahead; /* with the first one */

static const char *answer(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	if (strncmp(line, "RCPT", 4) != 0)
		return NULL;
	if (rcpts++ == 0 && here != NULL)
		sent_ahead = drain_in_flight(here->drain, SPAN_LIT("d0.example"));
	if (refusal != NULL && (whom == NULL || strstr(line, whom) != NULL))
		return refusal;
	taken++;
	return NULL;
}

static void begin(struct world *w, const char *words, const char *of)
{
	rcpts = taken = 0;
	refusal = words;
	whom = of;
	world_begin(w, "drain = { brake_window = \"5s\"; };", answer);
	w->sender = ""; /* no reports: they would wait, too */
}

/* To a second mailbox each. */
static void send_some(struct world *w, const char *domain, int count)
{
	char path[64];

	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "u%d@%s", i, domain);
		world_send_one(w, path);
	}
}

static const struct braked *brake_of(struct world *w, const char *domain)
{
	struct status_destination st;

	drain_status(w->drain, span_str(domain), &st);
	return st.braked;
}

Test(braking, who_refuses_everybody_is_asked_no_more)
{
	struct world w;
	const struct braked *b;

	begin(&w, "550 5.1.1 <u7@d0.example> unknown", NULL);
	send_some(&w, "d0.example", 60);
	WAIT_FOR(&w, brake_of(&w, "d0.example") != NULL);
	WAIT_FOR(&w, drain_busy(w.drain) == 0);
	cr_expect_leq(rcpts, 40, "%d", rcpts);
	b = brake_of(&w, "d0.example");
	cr_expect_eq(b->reply_count, 1);
	cr_expect_geq(braked_refusals(b), 20);
	cr_expect_not(drain_flows(w.drain, SPAN_LIT("d0.example")));
	/* others go on, and so does it when the operator says so */
	refusal = NULL;
	send_some(&w, "d1.example", 1);
	WAIT_FOR(&w, world_row(&w, "d1.example").units == 0);
	cr_expect_gt(world_row(&w, "d0.example").units, 0);
	cr_expect(drain_release(w.drain, SPAN_LIT("d0.example")));
	cr_expect_not(drain_release(w.drain, SPAN_LIT("d0.example")));
	WAIT_FOR(&w, world_queued(&w) == 0);
	cr_expect_eq(taken, 61, "%d: none was lost", taken);
	world_end(&w);
}

Test(braking, one_domain_of_many_stops_alone)
{
	struct world w;

	begin(&w, "554 5.7.1 no", "@d0.example");
	send_some(&w, "d0.example", 30);
	send_some(&w, "d1.example", 30);
	send_some(&w, "d2.example", 30);
	WAIT_FOR(&w, brake_of(&w, "d0.example") != NULL);
	WAIT_FOR(&w, world_row(&w, "d1.example").units +
				     world_row(&w, "d2.example").units ==
			     0);
	cr_expect_null(brake_of(&w, "d1.example"));
	cr_expect_eq(taken, 60);
	WAIT_FOR(&w, world_row(&w, "d0.example").ready == 30);
	world_end(&w);
}

Test(braking, many_domains_of_a_broken_destination_stop_together)
{
	struct world w;
	char path[64];

	begin(&w, "550 5.1.1 unknown", NULL);
	for (int i = 0; i < 100; i++) {
		snprintf(path, sizeof(path), "u@d%d.example", i);
		world_send_one(&w, path);
	}
	WAIT_FOR(&w, brake_of(&w, "d99.example") != NULL);
	WAIT_FOR(&w, drain_busy(w.drain) == 0);
	cr_expect_leq(rcpts, 40, "%d", rcpts);
	refusal = NULL;
	cr_expect(drain_release(w.drain, SPAN_LIT("d99.example")));
	WAIT_FOR(&w, world_queued(&w) == 0);
	cr_expect_eq(taken, 100);
	world_end(&w);
}

Test(braking, a_restart_changes_nothing)
{
	struct world w;

	begin(&w, "554 5.7.1 no", NULL);
	send_some(&w, "d0.example", 60);
	WAIT_FOR(&w, brake_of(&w, "d0.example") != NULL);
	WAIT_FOR(&w, drain_busy(w.drain) == 0);
	drain_free(&w.drain);
	rcpts = 0;
	world_start_drain(&w);
	cr_expect_not_null(brake_of(&w, "d0.example"));
	refusal = NULL;
	world_send_one(&w, "a@d1.example");
	WAIT_FOR(&w, world_row(&w, "d1.example").units == 0);
	cr_expect_eq(rcpts, 1);
	drain_release(w.drain, SPAN_LIT("d0.example"));
	WAIT_FOR(&w, world_queued(&w) == 0);
	cr_expect_eq(taken, 61);
	world_end(&w);
}

/* Where nothing is known of a host, as after an outage. */
static size_t first_of_many(const char *conf)
{
	struct world w;

	rcpts = taken = 0;
	refusal = NULL;
	world_begin(&w, conf, answer);
	drain_free(&w.drain);
	send_some(&w, "d0.example", 30);
	world_start_drain(&w);
	here = &w;
	WAIT_FOR(&w, world_queued(&w) == 0);
	here = NULL;
	cr_expect_eq(taken, 30);
	world_end(&w);
	return sent_ahead;
}

Test(braking, one_goes_ahead)
{
	cr_expect_eq(first_of_many("drain = { brake_window = \"5s\"; };"), 1);
	cr_expect_gt(first_of_many("drain = { brake_window = \"0\"; };"), 1,
		     "without a brake there is no canary");
}

/* Every tenth is gone: they are final when their time has come. */
Test(braking, a_healthy_primary_goes_on)
{
	struct world w;

	begin(&w, "550 5.1.1 unknown", "5@");
	send_some(&w, "d0.example", 50);
	WAIT_FOR(&w, world_queued(&w) == 0);
	cr_expect_eq(taken, 45);
	cr_expect_null(brake_of(&w, "d0.example"));
	world_end(&w);
}

Test(braking, there_is_none_without_a_window)
{
	struct world w;

	rcpts = taken = 0;
	refusal = "554 5.7.1 no";
	whom = NULL;
	world_begin(&w, "drain = { brake_window = \"0\"; };", answer);
	w.sender = "";
	send_some(&w, "d0.example", 60);
	WAIT_FOR(&w, world_row(&w, "d0.example").units == 0);
	cr_expect_eq(rcpts, 60);
	world_end(&w);
}

/* ---- One an hour ---- */

static struct domain *pulled(struct world *w, const char *name)
{
	WAIT_FOR(w, brake_of(w, name) != NULL);
	WAIT_FOR(w, drain_busy(w->drain) == 0);
	WAIT_FOR(w, w->peer->open == 0);
	return domain_find(w->drain, span_str(name));
}

static int64_t next_of(struct world *w, const char *name)
{
	return brake_of(w, name)->next_ms - clock_wall_ms();
}

Test(braking, a_message_is_tried_each_hour)
{
	struct world w;
	struct domain *dom;
	int before;

	begin(&w, "554 5.7.1 no", NULL);
	send_some(&w, "d0.example", 40);
	dom = pulled(&w, "d0.example");
	before = rcpts;
	cr_expect_leq(next_of(&w, "d0.example"), HOURS(1));
	cr_expect_geq(next_of(&w, "d0.example"), HOURS(1) - MINUTES(1));
	/* not before it is time */
	braking_try_domain(dom, clock_mono_ms() + HOURS(1) - MINUTES(2));
	cr_expect_not(dom->flow.is_trial);
	for (int i = 1; i <= 2; i++) {
		dom->flow.stop->next_ms = clock_mono_ms();
		braking_try_domain(dom, clock_mono_ms());
		WAIT_FOR(&w, rcpts == before + i);
		WAIT_FOR(&w, !dom->flow.is_trial);
		pulled(&w, "d0.example");
		cr_expect_eq(rcpts, before + i, "one alone");
		cr_expect_geq(next_of(&w, "d0.example"),
			      HOURS(1) - MINUTES(1));
	}
	cr_expect_eq(world_queued(&w), 40);
	/* it was mended, and nobody was told */
	refusal = NULL;
	dom->flow.stop->next_ms = clock_mono_ms();
	braking_try_domain(dom, clock_mono_ms());
	WAIT_FOR(&w, world_queued(&w) == 0);
	cr_expect_null(brake_of(&w, "d0.example"));
	cr_expect_eq(taken, 40);
	world_end(&w);
}

Test(braking, so_it_is_of_a_destination)
{
	struct world w;
	struct dest *dst;
	char path[64];
	int before;

	begin(&w, "550 5.1.1 unknown", NULL);
	for (int i = 0; i < 50; i++) {
		snprintf(path, sizeof(path), "u@d%d.example", i);
		world_send_one(&w, path);
	}
	dst = pulled(&w, "d49.example")->dest;
	before = rcpts;
	dst->flow.stop->next_ms = clock_mono_ms();
	braking_try_dest(dst, clock_mono_ms());
	WAIT_FOR(&w, rcpts == before + 1);
	WAIT_FOR(&w, !dst->flow.is_trial);
	pulled(&w, "d49.example");
	cr_expect_eq(rcpts, before + 1);
	refusal = NULL;
	dst->flow.stop->next_ms = clock_mono_ms();
	braking_try_dest(dst, clock_mono_ms());
	WAIT_FOR(&w, world_queued(&w) == 0);
	cr_expect_eq(taken, 50);
	cr_expect_null(brake_of(&w, "d49.example"));
	world_end(&w);
}

/* An operator's word counts, also while one is tried. */
Test(braking, released_while_one_is_tried)
{
	struct world w;
	struct domain *dom;

	begin(&w, "554 5.7.1 no", NULL);
	send_some(&w, "d0.example", 30);
	dom = pulled(&w, "d0.example");
	dom->flow.stop->next_ms = clock_mono_ms();
	braking_try_domain(dom, clock_mono_ms());
	refusal = NULL;
	cr_expect(drain_release(w.drain, SPAN_LIT("d0.example")));
	WAIT_FOR(&w, world_queued(&w) == 0);
	cr_expect_eq(taken, 30);
	world_end(&w);
}

/* ---- Domains that strangers choose ---- */

Test(braking, domains_without_a_watch_are_undone_as_well)
{
	struct world w;
	char path[64];
	size_t had;

	begin(&w, "550 5.1.1 unknown", NULL);
	had = w.drain->watches = BRAKING_STRANGERS - 1;
	for (int i = 0; i < 60; i++) {
		snprintf(path, sizeof(path), "u@s%d.any.example", i);
		world_send_one(&w, path);
	}
	WAIT_FOR(&w, brake_of(&w, "s59.any.example") != NULL);
	WAIT_FOR(&w, drain_busy(w.drain) == 0);
	cr_expect_eq(w.drain->watches, had, "%zu", w.drain->watches);
	for (int i = 0; i < 60; i++) {
		snprintf(path, sizeof(path), "s%d.any.example", i);
		WAIT_FOR(&w, world_row(&w, path).ready == 1);
	}
	w.drain->watches = 0;
	world_end(&w);
}
