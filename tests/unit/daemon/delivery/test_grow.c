/* Mail that is carried on as it arrives: its recipients and its content come
 * while it is under way, and somebody waits for each reply. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "tests/support/client.h"

struct script {
	const char *at, *reply;
};

static const char *play(struct peer *p, const char *line, void *arg)
{
	const struct script *s = arg;

	(void)p;
	if (strcmp(s->at, "MAIL") == 0 && strncmp(line, "RCPT", 4) == 0)
		return "503 5.5.1 MAIL first";
	return strncmp(line, s->at, strlen(s->at)) == 0 ? s->reply : NULL;
}

static struct script taken = { "NONE", NULL };

static const char *const manners[] = { "8BITMIME", "PIPELINING",
				       "PIPELINING\nCHUNKING\nSIZE 9999999" };

static void expect_message(const struct peer *p, size_t i, const char *text)
{
	cr_expect_gt(p->message_count, i);
	cr_expect(span_eq(buf_span(&p->messages[i]), span_str(text)), "%.*s",
		  SPAN_ARG(buf_span(&p->messages[i])));
}

static void begin(struct client *c, struct mail *m, const char *ehlo,
		  struct script *script)
{
	client_open(c, ehlo, play, script);
	mail_relay(m, c, NULL, "u@example.org");
}

static void end(struct client *c, struct mail *m)
{
	client_close(c);
	buf_fini(&m->content);
}

/* ---- All goes well ---- */

/* Each reply is told when it comes, and nothing waits for the end. */
Test(grow, as_it_arrives)
{
	for (size_t i = 0; i < COUNT(manners); i++) {
		struct client c = { 0 };
		struct mail m = { 0 };

		begin(&c, &m, manners[i], &taken);
		mail_wait_rcpts(&m);
		cr_expect_eq(m.means[0], MEANS_YES);
		cr_expect_str_eq(m.replies[0], "250 2.1.5 ok");
		mail_rcpt(&m, "v@example.org");
		mail_wait_rcpts(&m);
		cr_expect_eq(peer_saw(c.peer, "DATA"), 0);
		mail_content(&m, "Subject: x\r\n", false);
		client_run(&c, 20);
		cr_expect_eq(peer_saw(c.peer, "DATA"), 1, "%s", manners[i]);
		cr_expect(!m.is_done);
		mail_content(&m, "\r\ntext\r\n", true);
		mail_wait(&m);
		cr_expect_eq(m.outcomes[0], OUTCOME_DELIVERED);
		cr_expect_eq(m.outcomes[1], OUTCOME_DELIVERED);
		cr_expect_str_eq(m.replies[1], "250 2.0.0 ok");
		expect_message(c.peer, 0, "Subject: x\r\n\r\ntext\r\n");
		cr_expect_eq(peer_saw(c.peer, "BDAT"), 0);
		end(&c, &m);
		cr_expect_eq(c.end.why, DELIVERY_CLOSED);
	}
}

/* Content that is all there when it begins is like any other. */
Test(grow, bdat_when_the_end_is_known)
{
	struct client c = { 0 };
	struct mail m = { 0 };

	begin(&c, &m, "PIPELINING\nCHUNKING", &taken);
	mail_content(&m, "x: y\r\n\r\n.dot\r\n", true);
	mail_wait(&m);
	cr_expect_eq(m.outcomes[0], OUTCOME_DELIVERED);
	cr_expect_str_eq(peer_command(c.peer, "BDAT", 0)->line, "BDAT 14 LAST");
	expect_message(c.peer, 0, "x: y\r\n\r\n.dot\r\n");
	end(&c, &m);
}

/* RFC 5321 section 4.5.2, wherever a piece ends. */
Test(grow, dots_across_pieces)
{
	static const char text[] = ".a\r\n..b\r\nc.\r\n.\r\n\r\n.d";
	static const char sent[] = "..a\r\n...b\r\nc.\r\n..\r\n\r\n..d\r\n";

	for (size_t piece = 1; piece < sizeof(text); piece++) {
		struct client c = { 0 };
		struct mail m = { 0 };

		begin(&c, &m, "PIPELINING", &taken);
		for (size_t at = 0; at < sizeof(text) - 1; at += piece) {
			char part[sizeof(text)];

			snprintf(part, sizeof(part), "%.*s", (int)piece,
				 text + at);
			mail_content(&m, part, false);
			client_run(&c, 1);
		}
		mail_content(&m, "", true);
		mail_wait(&m);
		expect_message(c.peer, 0, sent);
		end(&c, &m);
	}
}

/* RFC 1870: what is not known is not said. */
Test(grow, size)
{
	static const struct {
		uint64_t bytes;
		const char *mail;
	} cases[] = {
		{ 0, "MAIL FROM:<a@example.net>" },
		{ 77, "MAIL FROM:<a@example.net> SIZE=77" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct envelope env = { .bytes = cases[i].bytes };
		struct client c = { 0 };
		struct mail m = { 0 };

		client_open(&c, "SIZE 100000", play, &taken);
		mail_relay(&m, &c, &env, "u@example.org");
		mail_content(&m, "x: y\r\n", true);
		mail_wait(&m);
		cr_expect_str_eq(peer_command(c.peer, "MAIL", 0)->line,
				 cases[i].mail);
		cr_expect_eq(m.outcomes[0], OUTCOME_DELIVERED);
		end(&c, &m);
	}
}

/* One after another, as long as there is room; how often EHLO was said when the
 * ith was done. */
static void carry_some(struct client *c, struct mail *m, const size_t *ehlos,
		       size_t count)
{
	for (size_t i = 0; i < count; i++) {
		cr_expect_gt(delivery_room(c->delivery), 0);
		mail_relay(m, c, NULL, "u@example.org");
		mail_content(m, "x: y\r\n", true);
		mail_wait(m);
		cr_expect_eq(m->outcomes[0], OUTCOME_DELIVERED);
		cr_expect_eq(peer_saw(c->peer, "EHLO"), ehlos[i], "%zu", i);
		buf_reset(&m->content);
	}
}

/* The reply to content may be followed by one too many: before somebody waits
 * for the next replies, EHLO shows that it was not.  So do the words for MAIL,
 * when they are known to be for nothing else. */
Test(grow, one_after_the_other)
{
	/* the first is a proof: it has one behind it */
	static const size_t ehlos[] = { 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3 };
	struct client c = { 0 };
	struct mail m = { 0 };

	client_open(&c, "PIPELINING", play, &taken);
	carry_some(&c, &m, ehlos, COUNT(ehlos));
	cr_expect_gt(delivery_room(c.delivery), 0);
	cr_expect_eq(c.peer->message_count, COUNT(ehlos));
	end(&c, &m);
}

/* Here they are not: those for content are the same, or they name the sender.
 */
Test(grow, one_after_the_other_without_words)
{
	static const size_t ehlos[] = { 2, 2, 3, 4, 5, 6, 7, 8, 9 };
	static struct script scripts[] = {
		{ "MAIL FROM", "250 2.0.0 ok" },
		{ "MAIL FROM", "250 2.1.0 <a@example.net>... Sender ok" },
	};

	for (size_t i = 0; i < COUNT(scripts); i++) {
		struct client c = { 0 };
		struct mail m = { 0 };

		client_open(&c, "PIPELINING", play, &scripts[i]);
		carry_some(&c, &m, ehlos, COUNT(ehlos));
		client_wait(&c); /* EHLO counts against a session */
		cr_expect_eq(c.peer->message_count, COUNT(ehlos));
		end(&c, &m);
	}
}

/* One too many behind content, or words that are new: nobody is told what may
 * be the answer to something else, and the mail can go over another one. */
Test(grow, other_words_for_mail)
{
	static const size_t ehlos[] = { 2, 2, 3, 3 };
	static struct script scripts[] = { { "NONE", NULL }, { "NONE", NULL } };

	for (size_t i = 0; i < COUNT(scripts); i++) {
		struct client c = { 0 };
		struct mail m = { 0 };

		client_open(&c, "PIPELINING", play, &scripts[i]);
		carry_some(&c, &m, ehlos, COUNT(ehlos));
		if (i == 0)
			scripts[i] = (struct script){ "MAIL FROM", "250 fine" };
		else
			peer_say(c.peer, "250 2.0.0 ok");
		mail_relay(&m, &c, NULL, "u@example.org");
		mail_wait(&m);
		cr_expect_eq(m.outcomes[0], OUTCOME_UNTRIED);
		cr_expect_eq(peer_saw(c.peer, "DATA"), COUNT(ehlos));
		end(&c, &m);
	}
}

/* A refusal of MAIL is not told by words: EHLO settles it. */
Test(grow, mail_is_refused_behind_others)
{
	static const size_t ehlos[] = { 2, 2, 3, 3 };
	static struct script script = { "NONE", NULL };
	struct client c = { 0 };
	struct mail m = { 0 };

	client_open(&c, "PIPELINING", play, &script);
	carry_some(&c, &m, ehlos, COUNT(ehlos));
	script = (struct script){ "MAIL", "550 5.7.1 never" };
	mail_relay(&m, &c, NULL, "u@example.org");
	mail_wait(&m);
	cr_expect_eq(m.outcomes[0], OUTCOME_PERMANENT);
	cr_expect_eq(peer_saw(c.peer, "EHLO"), 4);
	end(&c, &m);
}

/* The end is not sent before the listener agrees. */
Test(grow, held_back)
{
	struct client c = { 0 };
	struct mail m = { 0 };

	begin(&c, &m, "PIPELINING", &taken);
	m.is_held_back = true;
	mail_content(&m, "x: y\r\n", false);
	mail_content(&m, "", true);
	client_run(&c, 20);
	cr_expect_eq(c.peer->message_count, 0);
	m.is_held_back = false;
	delivery_resume(c.delivery);
	mail_wait(&m);
	expect_message(c.peer, 0, "x: y\r\n");
	end(&c, &m);
}

/* ---- The server says no ---- */

static const char *second_unknown(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	return strncmp(line, "RCPT TO:<v@", 11) == 0 ? "550 5.1.1 no" : NULL;
}

Test(grow, each_recipient_has_an_answer)
{
	struct client c = { 0 };
	struct mail m = { 0 };

	client_open(&c, "PIPELINING\nLIMITS RCPTMAX=2", second_unknown, NULL);
	mail_relay(&m, &c, NULL, "u@example.org");
	mail_rcpt(&m, "v@example.org");
	mail_rcpt(&m, "w@example.org");
	mail_wait_rcpts(&m);
	cr_expect_eq(m.means[0], MEANS_YES);
	cr_expect_eq(m.means[1], MEANS_NEVER);
	cr_expect_str_eq(m.replies[1], "550 5.1.1 no");
	cr_expect_eq(m.means[2], MEANS_FULL);
	mail_content(&m, "x: y\r\n", true);
	mail_wait(&m);
	cr_expect_eq(m.outcomes[0], OUTCOME_DELIVERED);
	cr_expect_eq(m.outcomes[1], OUTCOME_PERMANENT);
	cr_expect_eq(m.outcomes[2], OUTCOME_UNTRIED);
	end(&c, &m);
}

/* Nobody was taken: there is nothing to send content to. */
Test(grow, nobody)
{
	struct script no = { "RCPT", "550 5.1.1 no" };
	struct client c = { 0 };
	struct mail m = { 0 };

	begin(&c, &m, "PIPELINING", &no);
	mail_wait_rcpts(&m);
	mail_content(&m, "x: y\r\n", true);
	mail_wait(&m);
	cr_expect_eq(m.outcomes[0], OUTCOME_PERMANENT);
	cr_expect_eq(peer_saw(c.peer, "DATA"), 0);
	end(&c, &m);
}

/* Of what is refused nothing is tried again: whoever waits has heard of it. */
Test(grow, refusals)
{
	static const struct {
		struct script script;
		enum outcome outcome;
	} cases[] = {
		{ { "MAIL", "451 4.3.0 later" }, OUTCOME_TRANSIENT },
		{ { "MAIL", "554 5.7.1 no" }, OUTCOME_PERMANENT },
		{ { "MAIL", "555 5.5.4 SIZE?" }, OUTCOME_UNTRIED },
		{ { "MAIL", "503 5.5.1 too early" }, OUTCOME_UNTRIED },
		{ { "DATA", "451 4.3.0 later" }, OUTCOME_TRANSIENT },
		{ { ".", "452 4.3.1 full" }, OUTCOME_TRANSIENT },
		{ { ".", "554 5.7.1 spam" }, OUTCOME_PERMANENT },
		{ { ".", "250 ok\r\n250 ok" }, OUTCOME_UNTRIED },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct envelope env = { .bytes = 6 };
		struct script s = cases[i].script;
		struct client c = { 0 };
		struct mail m = { 0 };

		client_open(&c, "PIPELINING\nSIZE 100000", play, &s);
		mail_relay(&m, &c, &env, "u@example.org");
		mail_content(&m, "x: y\r\n", true);
		mail_wait(&m);
		cr_expect_eq(m.outcomes[0], cases[i].outcome, "%s: %d", s.reply,
			     (int)m.outcomes[0]);
		cr_expect_eq(peer_saw(c.peer, "MAIL"), 1, "%s", s.reply);
		cr_expect_eq(m.is_mail_refused, s.at[0] == 'M');
		end(&c, &m);
		cr_expect_eq(c.end.why, DELIVERY_CLOSED);
	}
}

/* Where content has begun, and 354 said so, a refusal is one (but where it
 * ends is no longer agreed upon). */
Test(grow, refused_in_the_middle)
{
	static const struct {
		const char *reply;
		enum outcome outcome;
	} cases[] = {
		{ "554 5.7.1 spam", OUTCOME_PERMANENT },
		{ "452 4.3.1 full", OUTCOME_TRANSIENT },
		{ "421 4.3.2 bye", OUTCOME_UNTRIED },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct client c = { 0 };
		struct mail m = { 0 };

		begin(&c, &m, "PIPELINING", &taken);
		mail_content(&m, "x: y\r\n", false);
		client_run(&c, 20);
		peer_say(c.peer, cases[i].reply);
		mail_wait(&m);
		cr_expect_eq(m.outcomes[0], cases[i].outcome, "%s",
			     cases[i].reply);
		cr_expect(!m.in_doubt);
		client_wait(&c);
		cr_expect_eq(c.peer->message_count, 0);
		end(&c, &m);
	}
}

/* In lock-step no reply is certain before the last: "not now", at once. */
Test(grow, not_where_replies_do_not_match)
{
	struct client c = { .without = DELIVERY_TRUST };
	struct mail m = { 0 };

	begin(&c, &m, "PIPELINING", &taken);
	mail_wait(&m);
	cr_expect_eq(m.outcomes[0], OUTCOME_UNTRIED);
	cr_expect_eq(peer_saw(c.peer, "MAIL"), 0);
	end(&c, &m);
}

/* ---- The end in the middle ---- */

Test(grow, hung_up)
{
	struct client c = { 0 };
	struct mail m = { 0 };

	begin(&c, &m, "PIPELINING", &taken);
	mail_content(&m, "x: y\r\n", false);
	client_run(&c, 20);
	peer_say(c.peer, PEER_CLOSE);
	mail_wait(&m);
	cr_expect_eq(m.outcomes[0], OUTCOME_UNTRIED);
	cr_expect(!m.in_doubt);
	client_wait(&c);
	cr_expect_eq(c.end.why, DELIVERY_LOST);
	end(&c, &m);
}

Test(grow, hung_up_behind_the_end)
{
	struct script s = { ".", PEER_CLOSE };
	struct client c = { 0 };
	struct mail m = { 0 };

	begin(&c, &m, "PIPELINING", &s);
	mail_content(&m, "x: y\r\n", true);
	mail_wait(&m);
	cr_expect_eq(m.outcomes[0], OUTCOME_UNTRIED);
	cr_expect(m.in_doubt);
	end(&c, &m);
}

/* The server waits for us, not we for it: none of our time-outs counts. */
Test(grow, slow_sender)
{
	struct client c = { .reply_timeout_ms = 100 };
	struct mail m = { 0 };

	begin(&c, &m, "PIPELINING", &taken);
	mail_wait_rcpts(&m);
	client_run(&c, 250);
	mail_content(&m, "x: y\r\n", false);
	client_run(&c, 250);
	mail_content(&m, "\r\n", true);
	mail_wait(&m);
	cr_expect_eq(m.outcomes[0], OUTCOME_DELIVERED);
	end(&c, &m);
}

/* While it has something to answer, or does not read, it is the server's. */
Test(grow, whose_time_it_is)
{
	enum { MUCH = 16 << 20 };
	struct client c = { 0 };
	struct mail m = { 0 };
	char *much = mx_alloc(MUCH + 1);
	int64_t was;

	begin(&c, &m, "PIPELINING", &taken);
	mail_wait_rcpts(&m);
	client_run(&c, 100);
	was = delivery_dry_ms(c.delivery);
	cr_expect_geq(was, 90);
	mail_content(&m, "x", false);
	client_run(&c, 100);
	cr_expect_geq(delivery_dry_ms(c.delivery), was + 50, "a byte is none");
	peer_pause(c.peer, true);
	mail_content(&m, memset(much, 'x', MUCH), false);
	client_run(&c, 50);
	was = delivery_dry_ms(c.delivery);
	client_run(&c, 100);
	cr_expect_eq(delivery_dry_ms(c.delivery), was);
	peer_pause(c.peer, false);
	mail_content(&m, "\r\n", true);
	mail_wait(&m);
	cr_expect_eq(m.outcomes[0], OUTCOME_DELIVERED);
	end(&c, &m);
	free(much);
}

/* And when it tires of waiting, that says nothing of it: it is neither down
 * nor busy, nor are its replies askew. */
Test(grow, too_slow_a_sender)
{
	static const char *const ways[] = { PEER_CLOSE, "421 4.4.2 time-out",
					    "451 4.4.2 time-out" };
	struct client c[COUNT(ways)] = { 0 };
	struct mail m[COUNT(ways)] = { 0 };

	for (size_t i = 0; i < COUNT(ways); i++) {
		begin(&c[i], &m[i], "PIPELINING", &taken);
		mail_content(&m[i], "", false);
		while (delivery_dry_ms(c[i].delivery) < 5) /* it has 354 */
			client_run(&c[i], 20);
	}
	client_run(&c[0], 1050); /* a second for each of them */
	for (size_t i = 0; i < COUNT(ways); i++) {
		peer_say(c[i].peer, ways[i]);
		mail_wait(&m[i]);
		client_wait(&c[i]);
		cr_expect_eq(m[i].outcomes[0], OUTCOME_UNTRIED);
		cr_expect_eq(c[i].end.why, DELIVERY_CLOSED, "%s", ways[i]);
		cr_expect_eq(c[i].without, 0, "%s", ways[i]);
		end(&c[i], &m[i]);
	}
}

/* ---- The sender leaves ---- */

/* Between commands RSET takes back what was said (RFC 5321 section 4.1.1.5). */
Test(grow, cancelled_before_content)
{
	struct client c = { 0 };
	struct mail gone = { 0 }, early = { 0 }, m = { 0 };

	begin(&c, &gone, "PIPELINING", &taken);
	mail_wait_rcpts(&gone);
	delivery_job_cancel(c.delivery, &gone.job);
	cr_expect_eq(delivery_jobs(c.delivery), 0);
	mail_relay(&early, &c, NULL, "v@example.org");
	delivery_job_cancel(c.delivery, &early.job);
	mail_relay(&m, &c, NULL, "w@example.org");
	mail_content(&m, "x: y\r\n", true);
	mail_wait(&m);
	cr_expect(!gone.is_done && !early.is_done);
	cr_expect_eq(early.told, 0);
	cr_expect_eq(m.outcomes[0], OUTCOME_DELIVERED);
	cr_expect_geq(peer_saw(c.peer, "RSET"), 1);
	cr_expect_eq(c.peer->message_count, 1);
	end(&c, &m);
}

/* RFC 5321 section 4.1.1.4: without the final dot it must not be delivered. */
Test(grow, cancelled_in_the_middle)
{
	for (size_t i = 0; i < COUNT(manners); i++) {
		struct client c = { 0 };
		struct mail m = { 0 };

		begin(&c, &m, manners[i], &taken);
		mail_content(&m, "x: y\r\n", false);
		client_run(&c, 20);
		cr_expect_gt(c.peer->messages[0].n, 0);
		delivery_job_cancel(c.delivery, &m.job);
		client_wait(&c);
		client_run(&c, 20);
		cr_expect_eq(c.end.why, DELIVERY_CLOSED);
		cr_expect_eq(c.peer->message_count, 0);
		cr_expect_eq(peer_saw(c.peer, "QUIT"), 0);
		cr_expect(!m.is_done);
		end(&c, &m);
	}
}

/* 354 is on its way: a lone dot would be an empty message. */
Test(grow, cancelled_behind_data)
{
	struct script hang = { "DATA", PEER_HANG };
	struct client c = { 0 };
	struct mail m = { 0 };

	begin(&c, &m, "PIPELINING", &hang);
	mail_content(&m, "x: y\r\n", false);
	client_run(&c, 20);
	delivery_job_cancel(c.delivery, &m.job);
	client_wait(&c);
	cr_expect_eq(c.peer->message_count, 0);
	end(&c, &m);
}

/* When the end is out the server has it. */
Test(grow, cancelled_too_late)
{
	struct script hang = { ".", PEER_HANG };
	struct client c = { .reply_timeout_ms = 100 };
	struct mail m = { 0 };

	begin(&c, &m, "PIPELINING", &hang);
	mail_content(&m, "x: y\r\n", true);
	client_run(&c, 20);
	delivery_job_cancel(c.delivery, &m.job);
	client_wait(&c);
	cr_expect(!m.is_done);
	cr_expect_eq(c.peer->message_count, 1);
	end(&c, &m);
}

/* From inside the call that tells the answer, too. */
static struct mail *inside;

static const char *cancel_at_rcpt(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	return strncmp(line, "RCPT", 4) == 0 ? "550 5.1.1 no" : NULL;
}

static void cancel(struct delivery *d, struct delivery_job *job, size_t i,
		   enum meaning m, void *arg)
{
	(void)i;
	(void)m;
	(void)arg;
	delivery_job_cancel(d, &job);
	inside->job = NULL;
}

Test(grow, cancelled_by_the_listener)
{
	static const struct delivery_listener listener = { .on_rcpt = cancel };
	struct client c = { 0 };
	struct mail m = { 0 }, next = { 0 };

	inside = &m;
	client_open(&c, "PIPELINING", cancel_at_rcpt, NULL);
	mail_relay(&m, &c, NULL, "u@example.org");
	m.job->listener = &listener;
	mail_callout(&next, &c, "v@example.org");
	mail_wait(&next);
	cr_expect_null(m.job);
	cr_expect_eq(next.outcomes[0], OUTCOME_PERMANENT);
	cr_expect_eq(delivery_jobs(c.delivery), 0);
	end(&c, &m);
}

/* And where no reply is left that could come: whom the server has no SMTPUTF8
 * for is answered by us. */
Test(grow, cancelled_by_the_listener_without_a_reply)
{
	static const struct delivery_listener listener = { .on_rcpt = cancel };

	for (size_t i = 0; i < COUNT(manners); i++) {
		struct client c = { 0 };
		struct mail m = { 0 };

		inside = &m;
		begin(&c, &m, manners[i], &taken);
		mail_wait_rcpts(&m);
		m.job->listener = &listener;
		mail_rcpt(&m, "\xc3\xbc@example.org");
		cr_expect_null(m.job);
		client_run(&c, 20);
		cr_expect_eq(delivery_jobs(c.delivery), 0, "%s", manners[i]);
		end(&c, &m);
	}
}
