/* A report leaves when its sender is proven. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/base/alloc.h"
#include "tests/support/drain_world.h"

/* ---- Who proves ---- */

struct question {
	TAILQ_ENTRY(question) link;
	ev_timer timer;
	give_up_proof_cb *cb;
	void *arg;
};

static struct fake {
	struct world *world;
	enum proof answer;
	bool is_silent;
	unsigned asked, open, most_open, cancelled;
	char from[100], client[50];
	TAILQ_HEAD(, question) questions;
} fake;

static void question_end(struct question *q)
{
	ev_timer_stop(fake.world->loop, &q->timer);
	TAILQ_REMOVE(&fake.questions, q, link);
	fake.open--;
	free(q);
}

static void on_answer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct question *q = w->data;
	give_up_proof_cb *cb = q->cb;
	void *arg = q->arg;

	(void)loop;
	(void)revents;
	question_end(q);
	cb(fake.answer, arg);
}

static void *fake_ask(const struct envelope *env, give_up_proof_cb *cb,
		      void *cb_arg, void *arg)
{
	struct question *q = mx_alloc(sizeof(*q));

	cr_assert_eq(arg, &fake);
	snprintf(fake.from, sizeof(fake.from), "%.*s", SPAN_ARG(env->from));
	snprintf(fake.client, sizeof(fake.client), "%.*s",
		 SPAN_ARG(env->client_addr));
	q->cb = cb;
	q->arg = cb_arg;
	ev_timer_init(&q->timer, on_answer, 0., 0.);
	q->timer.data = q;
	if (!fake.is_silent)
		ev_timer_start(fake.world->loop, &q->timer);
	TAILQ_INSERT_TAIL(&fake.questions, q, link);
	fake.asked++;
	if (++fake.open > fake.most_open)
		fake.most_open = fake.open;
	return q;
}

static void fake_cancel(void *question, void *arg)
{
	cr_assert_eq(arg, &fake);
	fake.cancelled++;
	question_end(question);
}

static const struct give_up_proof hook = { fake_ask, fake_cancel, &fake };

#define PROVEN "bounce = { mode = \"proven\"; };"

/* What is sent are reports about mail that 192.0.2.7 brought. */
static void begin(struct world *w, const char *conf, enum proof answer)
{
	world_begin(w, conf, NULL);
	fake = (struct fake){ .world = w, .answer = answer };
	TAILQ_INIT(&fake.questions);
	drain_free(&w->drain);
	w->proof = &hook;
	world_start_drain(w);
	w->sender = "";
	w->client = "192.0.2.7";
	w->are_reports = true;
}

static size_t arrived(const struct world *w)
{
	return w->peer->message_count;
}

/* ---- What comes of it ---- */

Test(departure, who_is_proven_hears_of_it)
{
	struct world w;

	begin(&w, PROVEN, PROOF_PASS);
	world_send_one(&w, "ann@d0.example");
	WAIT_FOR(&w, world_queued(&w) == 0);
	cr_expect_eq(arrived(&w), 1);
	cr_expect_eq(fake.asked, 1);
	cr_expect_str_eq(fake.from, "ann@d0.example");
	cr_expect_str_eq(fake.client, "192.0.2.7");
	world_end(&w);
}

Test(departure, who_is_not_hears_nothing)
{
	struct world w;

	begin(&w, PROVEN, PROOF_NONE);
	world_send_one(&w, "ann@d0.example");
	WAIT_FOR(&w, world_queued(&w) == 0);
	cr_expect_eq(fake.asked, 1);
	cr_expect_eq(peer_saw(w.peer, "MAIL"), 0);
	world_end(&w);
}

Test(departure, nobody_to_ask_proves_nobody)
{
	struct world w;

	begin(&w, PROVEN, PROOF_PASS);
	drain_free(&w.drain);
	w.proof = NULL;
	world_start_drain(&w);
	world_send_one(&w, "ann@d0.example");
	WAIT_FOR(&w, world_queued(&w) == 0);
	cr_expect_eq(peer_saw(w.peer, "MAIL"), 0);
	world_end(&w);
}

Test(departure, what_cannot_be_known_now_waits)
{
	struct world w;

	begin(&w, PROVEN, PROOF_LATER);
	world_send_one(&w, "ann@d0.example");
	WAIT_FOR(&w, world_row(&w, "d0.example").deferred == 1);
	cr_expect_eq(fake.asked, 1);
	w.age_ms = HOURS(1); /* long enough: it goes without a word */
	world_send_one(&w, "bob@d1.example");
	WAIT_FOR(&w, world_row(&w, "d1.example").units == 0);
	cr_expect_eq(fake.asked, 2);
	cr_expect_eq(peer_saw(w.peer, "MAIL"), 0);
	world_end(&w);
}

/* ---- Who is not asked about ---- */

Test(departure, other_modes_do_not_ask)
{
	static const char *const confs[] = { "bounce = { mode = \"dsn\"; };",
					     "bounce = { mode = \"hold\"; };" };

	for (int i = 0; i < 2; i++) {
		struct world w;

		begin(&w, confs[i], PROOF_NONE);
		world_send_one(&w, "ann@d0.example");
		WAIT_FOR(&w, world_queued(&w) == 0);
		cr_expect_eq(arrived(&w), 1);
		cr_expect_eq(fake.asked, 0);
		world_end(&w);
	}
}

/* It was proven when it was made, or the operator wanted it. */
Test(departure, without_a_client_there_is_nothing_to_ask)
{
	struct world w;

	begin(&w, PROVEN, PROOF_NONE);
	w.client = "";
	world_send_one(&w, "ann@d0.example");
	WAIT_FOR(&w, world_queued(&w) == 0);
	cr_expect_eq(arrived(&w), 1);
	cr_expect_eq(fake.asked, 0);
	world_end(&w);
}

Test(departure, mail_is_no_report)
{
	struct world w;

	begin(&w, PROVEN, PROOF_NONE);
	w.are_reports = false;
	world_send_one(&w, "ann@d0.example");
	WAIT_FOR(&w, world_queued(&w) == 0);
	cr_expect_eq(arrived(&w), 1);
	cr_expect_eq(fake.asked, 0);
	world_end(&w);
}

/* ---- How many, and when all ends ---- */

Test(departure, a_few_are_asked_about_at_a_time)
{
	struct world w;

	begin(&w, "bounce = { mode = \"proven\"; rate = 0; };", PROOF_PASS);
	for (int i = 0; i < 30; i++)
		world_send_one(&w, "ann@d0.example");
	WAIT_FOR(&w, world_queued(&w) == 0);
	cr_expect_eq(arrived(&w), 30);
	cr_expect_leq(fake.most_open, 4);
	world_end(&w);
}

Test(departure, a_silent_one_stops_nobody)
{
	struct world w;

	begin(&w, PROVEN, PROOF_PASS);
	fake.is_silent = true;
	for (int i = 0; i < 10; i++)
		world_send_one(&w, "ann@d0.example");
	WAIT_FOR(&w, fake.open == 4);
	w.are_reports = false;
	world_send_one(&w, "bob@d1.example");
	WAIT_FOR(&w, arrived(&w) == 1);
	cr_expect_eq(world_row(&w, "d0.example").units, 10);
	world_end(&w);
	cr_expect_eq(fake.cancelled, 4);
	cr_expect_eq(fake.open, 0);
}

Test(departure, a_stop_leaves_it_in_the_spool)
{
	struct world w;

	begin(&w, PROVEN, PROOF_PASS);
	fake.is_silent = true;
	world_send_one(&w, "ann@d0.example");
	WAIT_FOR(&w, fake.open == 1);
	drain_stop(w.drain);
	cr_expect_eq(fake.open, 0);
	cr_expect_eq(drain_busy(w.drain), 0);
	drain_free(&w.drain);
	fake.is_silent = false;
	world_start_drain(&w);
	WAIT_FOR(&w, world_queued(&w) == 0);
	cr_expect_eq(arrived(&w), 1);
	world_end(&w);
}
