/* How a unit ends without having been delivered. */
#include <criterion/criterion.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/smtp/command.h"
#include "daemon/drain/give_up.h"
#include "tests/support/drain_world.h"

static const char *refuse_all(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	return strncmp(line, "RCPT", 4) == 0 ? "550 5.1.1 unknown" : NULL;
}

static const char *hang_at_dot(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	return strcmp(line, ".") == 0 ? PEER_HANG : NULL;
}

/* The id of the only message of the domain. */
static uint64_t only_id(struct world *w, const char *domain)
{
	uint64_t id = 0;
	size_t n = 0;

	cr_assert_eq(spool_ready(w->spool, span_str(domain), 0, &id, 1, &n),
		     MX_OK);
	cr_assert_eq(n, 1);
	return id;
}

struct given {
	int calls;
	enum mx_err err;
};

static void on_given_up(enum mx_err err, void *arg)
{
	struct given *g = arg;

	g->calls++;
	g->err = err;
}

static enum mx_err give_up(struct world *w, uint64_t id, struct given *g)
{
	const struct drain_order by = { 0, "1000" };

	return drain_give_up(w->drain, id, SPAN_LIT("d0.example"), &by,
			     on_given_up, g);
}

/* The report goes to a domain that is not ours: it waits for a route. */
static uint64_t reports(struct world *w)
{
	return world_row(w, "sender.example").units;
}

Test(give_up, what_is_refused_is_reported)
{
	struct world w;

	world_begin(&w, "", refuse_all);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_row(&w, "d0.example").units == 0);
	cr_expect_eq(reports(&w), 1);
	world_end(&w);
}

Test(give_up, what_is_refused_is_held_by_the_mode)
{
	struct world w;

	world_begin(&w, "bounce = { mode = \"hold\"; };", refuse_all);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_row(&w, "d0.example").held == 1);
	cr_expect_eq(reports(&w), 0);
	world_end(&w);
}

Test(give_up, nobody_is_told_of_mail_from_nobody)
{
	struct world w;

	world_begin(&w, "", refuse_all);
	w.sender = "";
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_queued(&w) == 0);
	world_end(&w);
}

/* Whatever the mode: it is his word. */
Test(give_up, what_the_operator_returns_is_reported)
{
	struct world w;
	struct given g = { 0 };
	uint64_t id;

	world_begin(&w, "bounce = { mode = \"hold\"; };", NULL);
	peer_stop(w.peer);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_state(&w, "d0.example") == DRAIN_DOWN);
	id = only_id(&w, "d0.example");
	cr_assert_eq(give_up(&w, id, &g), MX_OK);
	cr_expect_eq(g.calls, 0, "not within the call");
	cr_expect_eq(give_up(&w, id, &g), MX_EBUSY, "once");
	cr_expect_not(drain_is_in_flight(w.drain, id, SPAN_LIT("d0.example")),
		      "it is not being delivered");
	cr_expect_eq(drain_in_flight(w.drain, SPAN_LIT("d0.example")), 0);
	WAIT_FOR(&w, g.calls == 1);
	cr_expect_eq(g.err, MX_OK);
	cr_expect_eq(world_row(&w, "d0.example").units, 0);
	cr_expect_eq(reports(&w), 1);
	cr_expect_eq(give_up(&w, id, &g), MX_ENOENT);
	world_end(&w);
	cr_expect_eq(g.calls, 1);
}

/* An order that comes while the host has the message in hand. */
static void give_up_in_flight(struct world *w, struct given *g)
{
	uint64_t id;

	world_begin(w, "", hang_at_dot);
	world_send_one(w, "u@d0.example");
	WAIT_FOR(w, w->peer->message_count == 1);
	id = only_id(w, "d0.example");
	cr_assert_eq(give_up(w, id, g), MX_OK);
	cr_expect_eq(give_up(w, id, g), MX_EBUSY, "once");
	cr_expect(drain_is_in_flight(w->drain, id, SPAN_LIT("d0.example")));
	cr_expect_eq(g->calls, 0);
}

/* Delivered or returned, never both. */
Test(give_up, what_is_being_delivered_is_left_to_that)
{
	struct world w;
	struct given g = { 0 };

	give_up_in_flight(&w, &g);
	cr_expect_eq(world_row(&w, "d0.example").units, 1);
	world_end(&w);
	cr_expect_eq(g.calls, 1);
	cr_expect_eq(g.err, MX_ESTOP);
}

Test(give_up, what_a_delivery_leaves_is_returned)
{
	struct world w;
	struct given g = { 0 };

	give_up_in_flight(&w, &g);
	peer_say(w.peer, PEER_CLOSE);
	WAIT_FOR(&w, g.calls == 1);
	cr_expect_eq(g.err, MX_OK);
	cr_expect_eq(world_row(&w, "d0.example").units, 0);
	cr_expect_eq(reports(&w), 1);
	world_end(&w);
}

/* The answer comes also when the drain has gone. */
Test(give_up, an_order_outlives_the_drain)
{
	struct world w;
	struct given g = { 0 };

	world_begin(&w, "", NULL);
	peer_stop(w.peer);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_state(&w, "d0.example") == DRAIN_DOWN);
	cr_assert_eq(give_up(&w, only_id(&w, "d0.example"), &g), MX_OK);
	drain_free(&w.drain);
	WAIT_FOR(&w, g.calls == 1);
	cr_expect_eq(g.err, MX_OK);
	world_start_drain(&w);
	world_end(&w);
}

/* ---- Not final ---- */

#define LATE "drain = { brake_window = \"300ms\"; };"

Test(give_up, a_refusal_is_final_later)
{
	struct world w;
	struct spool_domain row;

	world_begin(&w, LATE "bounce = { mode = \"dsn\"; };", refuse_all);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_row(&w, "d0.example").refused == 1);
	cr_expect_eq(reports(&w), 0);
	WAIT_FOR(&w, world_row(&w, "d0.example").units == 0);
	cr_expect_eq(reports(&w), 1);
	cr_expect_eq(peer_saw(w.peer, "RCPT"), 1, "it is not asked again");
	row = world_row(&w, "d0.example");
	cr_expect_eq(row.refused, 0);
	world_end(&w);
}

Test(give_up, a_refusal_outlives_a_restart)
{
	struct world w;

	world_begin(&w, LATE, refuse_all);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_row(&w, "d0.example").refused == 1);
	drain_free(&w.drain);
	world_start_drain(&w);
	WAIT_FOR(&w, world_row(&w, "d0.example").units == 0);
	cr_expect_eq(reports(&w), 1);
	world_end(&w);
}

static const char *never(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	return strncmp(line, "RCPT", 4) == 0 ? "250 2.1.5 fine" : NULL;
}

Test(give_up, an_undone_refusal_is_tried_again)
{
	struct world w;

	world_begin(&w, "drain = { brake_window = \"1h\"; };", refuse_all);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_row(&w, "d0.example").refused == 1);
	w.peer->opt.reply = never;
	spool_unrefuse(w.spool, SPAN_LIT("d0.example"), 0, NULL, NULL);
	WAIT_FOR(&w, world_queued(&w) == 0);
	cr_expect_eq(peer_saw(w.peer, "RCPT"), 2);
	world_end(&w);
}

/* ---- Proven ---- */

#define PROVEN LATE "bounce = { mode = \"proven\"; shelf = \"7d\"; };"

/* Whoever asks is answered with this, when it is let go. */
struct oracle {
	struct give_up_proof proof;
	struct ev_loop *loop;
	ev_timer timer;
	enum proof answer;
	bool is_silent;
	unsigned asked, cancelled;
	give_up_proof_cb *cb;
	void *arg;
};

static void on_oracle(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct oracle *o = w->data;

	(void)loop;
	(void)revents;
	o->cb(o->answer, o->arg);
}

static void *ask(const struct envelope *env, give_up_proof_cb *cb, void *cb_arg,
		 void *arg)
{
	struct oracle *o = arg;

	cr_expect(env->from.n > 0 && !env->is_dsn);
	o->asked++;
	o->cb = cb;
	o->arg = cb_arg;
	if (!o->is_silent)
		ev_timer_start(o->loop, &o->timer);
	return o;
}

static void cancel(void *question, void *arg)
{
	struct oracle *o = arg;

	cr_expect_eq(question, o);
	ev_timer_stop(o->loop, &o->timer);
	o->cancelled++;
}

static void begin_proven(struct world *w, struct oracle *o, enum proof answer,
			 const char *conf)
{
	world_begin(w, conf, refuse_all);
	*o = (struct oracle){ .proof = { ask, cancel, o },
			      .loop = w->loop,
			      .answer = answer };
	ev_timer_init(&o->timer, on_oracle, 0.01, 0.);
	o->timer.data = o;
	w->proof = &o->proof;
	drain_free(&w->drain);
	world_start_drain(w);
}

/* How its only recipient stands. */
static enum recipient_state state_of(struct world *w, uint64_t id)
{
	enum recipient_state state = RECIPIENT_PENDING;
	struct unit *u = NULL;

	if (spool_unit_load(w->spool, id, SPAN_LIT("d0.example"), &u) == MX_OK)
		state = u->rcpts[0].state;
	unit_free(&u);
	return state;
}

Test(give_up, who_is_proven_is_told)
{
	struct world w;
	struct oracle o;

	begin_proven(&w, &o, PROOF_PASS, PROVEN);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_row(&w, "d0.example").units == 0);
	cr_expect_eq(reports(&w), 1);
	cr_expect_eq(o.asked, 1);
	world_end(&w);
}

Test(give_up, who_is_not_goes_on_the_shelf)
{
	struct world w;
	struct oracle o;
	struct given g = { 0 };
	uint64_t id;

	begin_proven(&w, &o, PROOF_NONE, PROVEN);
	world_send_one(&w, "u@d0.example");
	id = only_id(&w, "d0.example");
	WAIT_FOR(&w, state_of(&w, id) == RECIPIENT_SHELVED);
	cr_expect_eq(o.asked, 1);
	cr_expect_eq(reports(&w), 0);
	cr_expect_eq(world_row(&w, "d0.example").refused, 1);
	/* by hand it is returned whatever he is */
	cr_assert_eq(give_up(&w, id, &g), MX_OK);
	WAIT_FOR(&w, g.calls == 1);
	cr_expect_eq(world_row(&w, "d0.example").units, 0);
	cr_expect_eq(reports(&w), 1);
	world_end(&w);
}

/* Nobody is there to be told, nobody is asked about. */
Test(give_up, nobody_goes_on_the_shelf)
{
	struct world w;
	struct oracle o;
	uint64_t id;

	begin_proven(&w, &o, PROOF_PASS, PROVEN);
	w.sender = "";
	world_send_one(&w, "u@d0.example");
	id = only_id(&w, "d0.example");
	WAIT_FOR(&w, state_of(&w, id) == RECIPIENT_SHELVED);
	cr_expect_eq(o.asked, 0);
	world_end(&w);
}

Test(give_up, the_shelf_ends_without_a_word)
{
	struct world w;
	struct oracle o;

	begin_proven(&w, &o, PROOF_NONE,
		     LATE "bounce = { mode = \"proven\"; shelf = \"300ms\"; };");
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_row(&w, "d0.example").units == 0);
	cr_expect_eq(reports(&w), 0);
	world_end(&w);
}

/* For want of an answer: not final, and not asked at once. */
Test(give_up, a_word_that_does_not_come)
{
	struct world w;
	struct oracle o;
	uint64_t id;

	begin_proven(&w, &o, PROOF_LATER, PROVEN);
	world_send_one(&w, "u@d0.example");
	id = only_id(&w, "d0.example");
	WAIT_FOR(&w, o.asked == 1 && !ev_is_active(&o.timer));
	WAIT_FOR(&w, !drain_busy(w.drain));
	cr_expect_eq(state_of(&w, id), RECIPIENT_REFUSED);
	cr_expect_eq(world_row(&w, "d0.example").refused, 1);
	cr_expect_eq(reports(&w), 0);
	world_end(&w);
}

static const char *refuse_one(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	if (strncmp(line, "RCPT", 4) != 0)
		return NULL;
	return strstr(line, "nobody@") != NULL ? "550 5.1.1 unknown"
					       : "450 4.2.1 busy";
}

/* The others of its unit are due while that is asked. */
Test(give_up, who_waits_beside_a_question_is_tried_again)
{
	static const char *const both[] = { "nobody@d0.example",
					    "u@d0.example" };
	struct world w;
	struct oracle o;

	begin_proven(&w, &o, PROOF_NONE,
		     "drain = { brake_window = \"100ms\"; retry = [ \"1s\" ]; };"
		     "bounce = { mode = \"proven\"; shelf = \"7d\"; };");
	w.peer->opt.reply = refuse_one;
	o.is_silent = true;
	world_send(&w, both, COUNT(both));
	WAIT_FOR(&w, o.asked == 1);
	cr_assert_eq(world_row(&w, "d0.example").deferred, 1);
	WAIT_FOR(&w, world_row(&w, "d0.example").ready == 1);
	w.peer->opt.reply = never;
	ev_timer_start(w.loop, &o.timer);
	WAIT_FOR(&w, peer_saw(w.peer, "RCPT") == 3);
	WAIT_FOR(&w, world_row(&w, "d0.example").refused == 1);
	world_end(&w);
}

/* The operator's order, and the end of the daemon, do not wait for it. */
Test(give_up, a_question_is_taken_back)
{
	struct world w;
	struct oracle o;
	struct given g = { 0 };
	uint64_t id;

	begin_proven(&w, &o, PROOF_PASS, PROVEN);
	o.is_silent = true;
	world_send_one(&w, "u@d0.example");
	id = only_id(&w, "d0.example");
	WAIT_FOR(&w, o.asked == 1);
	cr_expect_not(drain_is_in_flight(w.drain, id, SPAN_LIT("d0.example")));
	cr_assert_eq(give_up(&w, id, &g), MX_OK);
	cr_expect_eq(o.cancelled, 1);
	WAIT_FOR(&w, g.calls == 1);
	cr_expect_eq(reports(&w), 1);
	world_send_one(&w, "v@d0.example");
	WAIT_FOR(&w, o.asked == 2);
	drain_stop(w.drain);
	cr_expect_eq(o.cancelled, 2);
	cr_expect_eq(drain_busy(w.drain), 0);
	world_end(&w);
}

/* A word for who asked for one about a delivery (NOTIFY=SUCCESS; the peer lacks
 * DSN, so it would be ours), and for who waits. */
static const struct {
	enum proof answer;
	uint64_t reports;
} words[] = { { PROOF_PASS, 1 }, { PROOF_NONE, 0 } };

/* The rest of it is in the spool until that is known. */
Test(give_up, of_a_delivery_the_proven_alone_are_told)
{
	for (size_t i = 0; i < COUNT(words); i++) {
		struct world w;
		struct oracle o;

		begin_proven(&w, &o, words[i].answer, PROVEN);
		w.peer->opt.reply = never;
		w.notify = SMTP_NOTIFY_SUCCESS;
		world_send_one(&w, "u@d0.example");
		WAIT_FOR(&w, world_row(&w, "d0.example").units == 0);
		cr_expect_eq(o.asked, 1);
		cr_expect_eq(reports(&w), words[i].reports);
		cr_expect_eq(w.peer->message_count, 1);
		world_end(&w);
	}
}

/* Unless nobody asked: then nobody is asked about. */
Test(give_up, of_a_delivery_nobody_else_is_told)
{
	struct world w;
	struct oracle o;

	begin_proven(&w, &o, PROOF_PASS, PROVEN);
	w.peer->opt.reply = never;
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_row(&w, "d0.example").units == 0);
	cr_expect_eq(o.asked, 0);
	cr_expect_eq(reports(&w), 0);
	world_end(&w);
}

/* The word about the delivery that does not come takes nothing back. */
Test(give_up, a_delivery_is_not_repeated_for_a_word)
{
	struct world w;
	struct oracle o;

	begin_proven(&w, &o, PROOF_LATER, PROVEN);
	w.peer->opt.reply = never;
	w.notify = SMTP_NOTIFY_SUCCESS;
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, o.asked == 1 && !ev_is_active(&o.timer));
	WAIT_FOR(&w, !drain_busy(w.drain));
	cr_expect_eq(world_row(&w, "d0.example").units, 1, "it waits");
	cr_expect_eq(reports(&w), 0);
	drain_free(&w.drain);
	world_start_drain(&w);
	world_send_one(&w, "v@d0.example");
	WAIT_FOR(&w, w.peer->message_count == 2);
	WAIT_FOR(&w, !drain_busy(w.drain));
	cr_expect_eq(peer_saw(w.peer, "RCPT"), 2, "once each");
	world_end(&w);
}

/* The warning is behind it: what comes next is the end of the lifetime. */
static bool is_warned(struct world *w)
{
	int64_t at = 0;

	return spool_next_expiry(w->spool, &at) == MX_OK &&
	       at > clock_wall_ms() + HOURS(1);
}

Test(give_up, of_a_delay_the_proven_alone_are_told)
{
	for (size_t i = 0; i < COUNT(words); i++) {
		struct world w;
		struct oracle o;

		begin_proven(&w, &o, words[i].answer, PROVEN);
		peer_stop(w.peer);
		w.warn_after_ms = 200;
		world_send_one(&w, "u@d0.example");
		WAIT_FOR(&w, is_warned(&w));
		cr_expect_geq(o.asked, 1);
		cr_expect_eq(world_row(&w, "d0.example").units, 1);
		cr_expect_eq(reports(&w), words[i].reports);
		world_end(&w);
	}
}
