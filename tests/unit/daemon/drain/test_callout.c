/* Questions to a primary over the drain's own connections. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "common/base/assert.h"
#include "daemon/drain/callout.h"
#include "daemon/drain/drain_priv.h"
#include "tests/support/drain_world.h"

TestSuite(drain_callout, .timeout = 60);
TestSuite(drain_hail, .timeout = 60);

struct told {
	unsigned count;
	enum known_said said;
	char reply[200];
};

static void on_said(enum known_said said, struct span reply, void *arg)
{
	struct told *t = arg;

	t->count++;
	t->said = said;
	snprintf(t->reply, sizeof(t->reply), "%.*s", SPAN_ARG(reply));
}

static struct callout *ask(struct world *w, const char *mailbox, struct told *t)
{
	struct span at = span_str(strchr(mailbox, '@') + 1);

	*t = (struct told){ 0 };
	return drain_ask(w->drain, at, span_str(mailbox), on_said, t);
}

static enum known_said answer(struct world *w, const char *mailbox)
{
	struct told t;

	cr_assert_not_null(ask(w, mailbox, &t));
	cr_assert_eq(t.count, 0, "never before return");
	WAIT_FOR(w, t.count == 1);
	return t.said;
}

Test(drain_callout, what_it_says)
{
	static const struct {
		const char *mailbox;
		enum known_said said;
	} cases[] = {
		{ "yes@d0.example", SAID_YES },
		{ "no@d0.example", SAID_NO },
		{ "plain@d1.example", SAID_NO },
		{ "policy@d0.example", SAID_NOTHING },
		{ "later@d0.example", SAID_NOTHING },
	};
	struct world w;

	world_begin(&w, "", peer_by_name);
	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(answer(&w, cases[i].mailbox), cases[i].said, "%s",
			     cases[i].mailbox);
	cr_expect_eq(w.peer->connections, 1, "it is used again");
	cr_expect_eq(peer_saw(w.peer, "DATA"), 0);
	cr_expect_eq(world_state(&w, "d0.example"), DRAIN_UP);
	world_end(&w);
}

/* One that is just back may know nobody: its "no" counts when it has taken
 * some mail. */
Test(drain_callout, who_is_back_from_an_outage_is_not_believed)
{
	struct world w;
	struct dest *dst;

	world_begin(&w, "", peer_by_name);
	cr_expect_eq(answer(&w, "no@d0.example"), SAID_NO);
	dst = domain_find(w.drain, SPAN_LIT("d0.example"))->dest;
	dst->flow.is_canary = true;
	cr_expect_eq(answer(&w, "no@d0.example"), SAID_EARLY);
	cr_expect_eq(answer(&w, "yes@d0.example"), SAID_YES);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_queued(&w) == 0);
	cr_expect_eq(answer(&w, "no@d0.example"), SAID_NO);
	world_end(&w);
}

/* Whatever becomes of the connection: it is no outage, and mail goes. */
Test(drain_callout, never_makes_an_outage)
{
	static const char *const mailboxes[] = { "lost@d0.example",
						 "leaves@d0.example" };
	struct world w;

	world_begin(&w, "", peer_by_name);
	for (size_t i = 0; i < COUNT(mailboxes); i++) {
		cr_expect_eq(answer(&w, mailboxes[i]), SAID_NOTHING);
		cr_expect_eq(world_state(&w, "d0.example"), DRAIN_UP);
		world_send_one(&w, "u@d0.example");
		WAIT_FOR(&w, world_queued(&w) == 0);
	}
	world_end(&w);
}

/* One that hangs keeps neither mail from going nor others from asking; taken
 * back, its connection is closed. */
Test(drain_callout, one_that_hangs)
{
	struct told hangs, yes;
	struct callout *c;
	struct world w;

	world_begin(&w, "", peer_by_name);
	c = ask(&w, "hang@d0.example", &hangs);
	WAIT_FOR(&w, peer_saw(w.peer, "RCPT TO:<hang@") == 1);
	for (int i = 0; i < 3; i++) {
		world_send_one(&w, "u@d0.example");
		WAIT_FOR(&w, world_queued(&w) == 0);
		ask(&w, "yes@d0.example", &yes);
		WAIT_FOR(&w, yes.count == 1);
		cr_expect_eq(yes.said, SAID_YES);
	}
	cr_expect_eq(hangs.count, 0);
	drain_ask_cancel(c);
	cr_expect_eq(answer(&w, "no@d0.example"), SAID_NO);
	WAIT_FOR(&w, w.peer->open <= 2);
	cr_expect_eq(hangs.count, 0);
	cr_expect_eq(world_state(&w, "d0.example"), DRAIN_UP);
	world_end(&w);
}

/* Gently: two at a time, whatever there is to ask. */
Test(drain_callout, a_few_at_once)
{
	struct told told[20];
	struct world w;

	world_begin(&w, "", peer_by_name);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_queued(&w) == 0);
	for (size_t i = 0; i < COUNT(told); i++)
		ask(&w, "hang@d0.example", &told[i]);
	WAIT_FOR(&w, peer_saw(w.peer, "RCPT TO:<hang@") == 2);
	peer_run(w.loop, &(bool){ false }, 200);
	cr_expect_eq(peer_saw(w.peer, "RCPT TO:<hang@"), 2);
	world_end(&w); /* with all of them out */
}

/* Down: told at once, and found when it is up again although no mail waits. */
Test(drain_callout, wakes_a_destination)
{
	struct told t;
	struct world w;

	world_begin(&w, "drain = { probe_max = \"1s\"; };", peer_by_name);
	peer_stop(w.peer);
	cr_expect_eq(answer(&w, "yes@d0.example"), SAID_DOWN);
	cr_expect_eq(world_state(&w, "d0.example"), DRAIN_DOWN);
	cr_expect_eq(answer(&w, "yes@away.example"), SAID_DOWN);
	ask(&w, "yes@d0.example", &t);
	WAIT_FOR(&w, t.count == 1);
	cr_expect_eq(t.said, SAID_DOWN);
	peer_start(w.peer);
	WAIT_FOR(&w, world_state(&w, "d0.example") == DRAIN_UP);
	cr_expect_eq(answer(&w, "yes@d0.example"), SAID_YES);
	world_end(&w);
}

/* Busy is down, too: no question makes it worse. */
static const char *busy(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	return strcmp(line, "CONNECT") == 0 ? "421 4.3.2 busy" : NULL;
}

Test(drain_callout, a_busy_primary_is_left_alone)
{
	struct world w;

	world_begin(&w, "", busy);
	for (int i = 0; i < 5; i++)
		cr_expect_eq(answer(&w, "yes@d0.example"), SAID_DOWN);
	cr_expect_eq(w.peer->connections, 1);
	world_end(&w);
}

/* MAIL from these is refused, and RCPT behind it out of order. */
static const char *refuse(const char *line, const char *mail)
{
	static bool is_refused;

	if (strncmp(line, "MAIL", 4) == 0)
		is_refused = strncmp(line, mail, strlen(mail)) == 0;
	if (is_refused && strncmp(line, "RCPT", 4) == 0)
		return "503 5.5.1 MAIL first";
	return is_refused && strncmp(line, "MAIL", 4) == 0
		       ? "550 5.7.1 not you"
		       : NULL;
}

static const char *no_null(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	return refuse(line, "MAIL FROM:<>");
}

Test(drain_callout, once_more_with_our_postmaster)
{
	struct world w;

	world_begin(&w, "", no_null);
	cr_expect_eq(answer(&w, "yes@d0.example"), SAID_YES);
	cr_expect_eq(answer(&w, "yes@d1.example"), SAID_YES);
	cr_expect_eq(peer_saw(w.peer, "MAIL FROM:<>"), 1);
	cr_expect_eq(peer_saw(w.peer, "MAIL FROM:<postmaster@mx2.example.net>"),
		     2);
	world_end(&w);
}

static const char *no_mail(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	return refuse(line, "MAIL");
}

Test(drain_callout, mail_is_refused_whoever_sends)
{
	struct world w;

	world_begin(&w, "", no_mail);
	cr_expect_eq(answer(&w, "yes@d0.example"), SAID_NOTHING);
	cr_expect_eq(peer_saw(w.peer, "MAIL"), 2);
	world_end(&w);
}

/* ---- Hails ---- */

static enum known_said hail(struct world *w, const char *domain)
{
	struct told t = { 0 };

	ev_now_update(w->loop);
	cr_assert_not_null(
		drain_hail(w->drain, span_str(domain), on_said, &t));
	cr_assert_eq(t.count, 0, "never before return");
	WAIT_FOR(w, t.count == 1);
	return t.said;
}

static enum drain_answers answers(struct world *w, const char *domain)
{
	return drain_answers(w->drain, span_str(domain));
}

static void be_silent(struct world *w, const char *domain, int64_t ms)
{
	struct dest *dst = domain_find(w->drain, span_str(domain))->dest;

	for (size_t i = 0; i < dst->target_count; i++)
		dst->mtargets[i].heard_ms -= ms;
}

/* Nothing is begun by asking; a hail finds out, and mail tells, too. */
Test(drain_hail, does_it_answer)
{
	struct world w;

	world_begin(&w, "", peer_by_name);
	cr_expect_eq(answers(&w, "d0.example"), ANSWERS_UNKNOWN);
	cr_expect_eq(w.peer->connections, 0);
	cr_expect_eq(hail(&w, "d0.example"), SAID_YES);
	cr_expect_eq(answers(&w, "d0.example"), ANSWERS_YES);
	cr_expect_eq(answers(&w, "d1.example"), ANSWERS_YES,
		     "it has the same primary");
	cr_expect_eq(w.peer->connections, 1);
	cr_expect_eq(peer_saw(w.peer, "MAIL"), 0);
	WAIT_FOR(&w, w.peer->open == 0); /* idle for long enough */
	be_silent(&w, "d0.example", ANSWERS_MS);
	cr_expect_eq(answers(&w, "d0.example"), ANSWERS_UNKNOWN);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_queued(&w) == 0);
	cr_expect_eq(answers(&w, "d0.example"), ANSWERS_YES);
	world_end(&w);
}

/* Whoever was up a minute ago is asked again, and found to be down. */
Test(drain_hail, it_does_not)
{
	struct world w;

	world_begin(&w, "", peer_by_name);
	cr_expect_eq(hail(&w, "away.example"), SAID_DOWN);
	cr_expect_eq(answers(&w, "away.example"), ANSWERS_NO);
	cr_expect_eq(hail(&w, "d0.example"), SAID_YES);
	WAIT_FOR(&w, w.peer->open == 0);
	peer_stop(w.peer);
	be_silent(&w, "d0.example", ANSWERS_MS);
	cr_expect_eq(hail(&w, "d0.example"), SAID_DOWN);
	cr_expect_eq(world_state(&w, "d0.example"), DRAIN_DOWN);
	cr_expect_eq(answers(&w, "d0.example"), ANSWERS_NO);
	world_end(&w);
}

static const char *no_greeting(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	return strcmp(line, "CONNECT") == 0 ? PEER_HANG : NULL;
}

/* Nobody waits for longer than he may, and whoever left hears nothing. */
Test(drain_hail, silence)
{
	struct told left = { 0 };
	struct world w;

	world_begin(&w, "policy = { verify_timeout = \"200ms\"; };",
		    no_greeting);
	ev_now_update(w.loop);
	struct callout *c = drain_hail(w.drain, SPAN_LIT("d0.example"),
				       on_said, &left);

	drain_ask_cancel(c);
	cr_expect_eq(hail(&w, "d0.example"), SAID_NOTHING);
	cr_expect_eq(left.count, 0);
	world_end(&w);
}

/* All questions hang, and mail keeps none of its connections: a connection is
 * made that shows that it answers. */
Test(drain_hail, beside_questions_that_hang)
{
	struct told told[CALLOUT_LINKS];
	struct world w;

	world_begin(&w, "", peer_by_name);
	for (size_t i = 0; i < COUNT(told); i++)
		ask(&w, "hang@d0.example", &told[i]);
	WAIT_FOR(&w, peer_saw(w.peer, "RCPT TO:<hang@") == 2);
	cr_expect_eq(hail(&w, "d0.example"), SAID_YES);
	world_end(&w);
}

/* In every state: nobody is told any more. */
Test(drain_callout, taken_back)
{
	struct told t[4];
	struct callout *c[4];
	struct world w;

	world_begin(&w, "", peer_by_name);
	c[0] = ask(&w, "yes@d0.example", &t[0]); /* its route is asked for */
	drain_ask_cancel(c[0]);
	cr_expect_eq(answer(&w, "yes@d0.example"), SAID_YES);
	for (size_t i = 1; i < COUNT(t); i++)
		c[i] = ask(&w, "hang@d0.example", &t[i]);
	WAIT_FOR(&w, peer_saw(w.peer, "RCPT TO:<hang@") >= 1);
	for (size_t i = 1; i < COUNT(t); i++)
		drain_ask_cancel(c[i]);
	cr_expect_eq(answer(&w, "no@d0.example"), SAID_NO);
	for (size_t i = 0; i < COUNT(t); i++)
		cr_expect_eq(t[i].count, 0);
	world_end(&w);
}
