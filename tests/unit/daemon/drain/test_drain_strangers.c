/* How many domains of strangers are known at a time. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "common/base/alloc.h"
#include "daemon/drain/drain_priv.h"
#include "tests/support/drain_world.h"

enum { MANY = 1200, MOST = 1000, EACH = 200 };

static char paths[MANY][32];
static bool seen[MANY];

static void send_reports(struct world *w)
{
	const char *list[EACH];

	w->are_reports = true;
	for (int i = 0; i < MANY; i++) {
		snprintf(paths[i], sizeof(paths[i]), "x@s%d.example", i);
		list[i % EACH] = paths[i];
		if (i % EACH == EACH - 1)
			world_send(w, list, EACH);
	}
}

/* How many have had a place by now. */
static int look(struct world *w)
{
	int n = 0;

	for (int i = 0; i < MANY; i++) {
		seen[i] |= domain_find(w->drain, span_str(paths[i] + 2)) !=
			   NULL;
		n += seen[i];
	}
	return n;
}

Test(drain_strangers, are_few_at_a_time_and_each_has_its_turn, .timeout = 60)
{
	struct world w;
	struct strangers *s;
	struct domain *dom;

	world_begin(&w, "", NULL);
	s = &w.drain->strangers;
	send_reports(&w);
	cr_expect_eq(s->count, MOST);
	cr_expect_eq(HASH_COUNT(w.drain->domains), MOST);
	cr_expect(ev_is_active(&s->timer));
	cr_expect_eq(look(&w), MOST);
	/* no name server answers: they fail, in their own time */
	TAILQ_FOREACH (dom, &s->known, stranger) {
		domain_ask_no_more(dom);
		dom->route = mx_alloc(sizeof(*dom->route));
		dom->route->refs = 1;
	}
	WAIT_FOR(&w, look(&w) == MANY);
	cr_expect_leq(s->count, MOST);
	world_end(&w);
}

/* Neither of a listed domain nor of others' mail is any left out. */
Test(drain_strangers, take_no_place_of_ours, .timeout = 60)
{
	struct world w;

	world_begin(&w, "", NULL);
	send_reports(&w);
	w.are_reports = false;
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, w.peer->message_count == 1);
	world_send_one(&w, "u@left.example");
	WAIT_FOR(&w, world_row(&w, "left.example").is_held);
	world_end(&w);
}

/* Who was just sent as much as bounce.rate lets through is remembered. */
Test(drain_strangers, leave_only_when_nothing_counts)
{
	struct domain dom = { .cap = { .taken = 1 } };

	dom.cap.began_ms = clock_mono_ms();
	cr_expect(cap_counts(&dom.cap));
	dom.cap.began_ms -= MINUTES(1);
	cr_expect_not(cap_counts(&dom.cap));
}
