/* One connection against a scripted server: what is said, in which order and
 * how far ahead. */
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/daemon/delivery/world.h"

/* ---- Opening ---- */

Test(delivery, a_probe_reads_ehlo_and_quits)
{
	struct world w;

	begin(&w, "PIPELINING\nSIZE 1000\n8BITMIME", NULL);
	run(&w, 0);
	cr_assert(w.is_ready);
	cr_assert_eq(w.end.why, DELIVERY_CLOSED);
	cr_assert_eq(w.ehlo.size, 1000);
	cr_assert_str_eq(w.peer->commands[0].line, "EHLO mx2.example.net");
	cr_assert_str_eq(w.peer->commands[1].line, "QUIT");
	finish(&w);
}

static const char *refuse_ehlo(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	return strncmp(line, "EHLO", 4) == 0 ? "502 5.5.1 what?" : NULL;
}

/* RFC 5321 section 3.2: a server without EHLO gets HELO. */
Test(delivery, helo_when_ehlo_is_refused)
{
	struct world w;

	begin(&w, NULL, refuse_ehlo);
	run(&w, 1);
	cr_assert_str_eq(w.peer->commands[1].line, "HELO mx2.example.net");
	cr_assert_eq(w.outcomes[0][0], OUTCOME_DELIVERED);
	finish(&w);
}

struct opening {
	const char *at, *reply;
	int why;
	const char *stage;
};

static const struct opening *opening;

static const char *at_opening(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	if (strncmp(line, opening->at, strlen(opening->at)) == 0)
		return opening->reply;
	return NULL;
}

/* Before MAIL nothing is about mail: the host is busy, refuses, or is lost. */
Test(delivery, openings_that_fail)
{
	static const struct opening cases[] = {
		{ "CONNECT", "421 4.3.2 closing", DELIVERY_BUSY, "greeting" },
		{ "CONNECT", "450 no", DELIVERY_BUSY, "greeting" },
		{ "CONNECT", "554 5.7.1 go away", DELIVERY_REFUSED,
		  "greeting" },
		{ "CONNECT", "hello there", DELIVERY_LOST, "greeting" },
		{ "CONNECT", PEER_HANG, DELIVERY_LOST, "greeting" },
		{ "CONNECT", PEER_CLOSE, DELIVERY_LOST, "greeting" },
		{ "CONNECT", "220 mx2.example.net ESMTP", DELIVERY_SELF,
		  "greeting" },
		{ "EHLO", "250 MX2.example.net hi", DELIVERY_SELF, "ehlo" },
		{ "EHLO", "421 4.3.2 closing", DELIVERY_BUSY, "ehlo" },
		{ "EHLO", "451 later", DELIVERY_BUSY, "ehlo" },
		{ "EHLO", PEER_HANG, DELIVERY_LOST, "ehlo" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct world w;

		opening = &cases[i];
		begin(&w, NULL, at_opening);
		run(&w, 1);
		cr_expect_eq((int)w.end.why, cases[i].why, "%s %s: %d",
			     cases[i].at, cases[i].reply, (int)w.end.why);
		cr_expect_str_eq(w.end.stage, cases[i].stage);
		cr_expect_eq(w.given, 0);
		finish(&w);
	}
}

Test(delivery, nobody_listens)
{
	struct world w;

	begin(&w, NULL, NULL);
	peer_stop(w.peer);
	run(&w, 1);
	cr_assert_eq(w.end.why, DELIVERY_LOST);
	cr_assert_str_eq(w.end.stage, "connect");
	cr_assert_eq(strncmp(w.end_reply, "(connect) ", 10), 0, "%s",
		     w.end_reply);
	finish(&w);
}

/* The greeting may have a time-out of its own, shorter than the others. */
Test(delivery, nobody_greets)
{
	struct world w;
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	begin(&w, NULL, NULL);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	cr_assert_eq(bind(fd, (struct sockaddr *)&sin, len), 0);
	cr_assert_eq(listen(fd, 1), 0); /* connects, and nobody is there */
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	w.addr.port = ntohs(sin.sin_port);
	w.is_silent = true;
	run(&w, 1);
	cr_assert_eq(w.end.why, DELIVERY_LOST);
	cr_assert_str_eq(w.end.stage, "greeting");
	cr_assert(strstr(w.end_reply, "Time-out") != NULL, "%s", w.end_reply);
	close(fd);
	finish(&w);
}

/* ---- How far ahead ---- */

/* Without PIPELINING each command waits for the reply to the last. */
Test(delivery, lock_step)
{
	struct world w;

	begin(&w, "8BITMIME", NULL);
	w.rcpts = 2;
	run(&w, 2);
	for (size_t i = 0; i < w.peer->count; i++) {
		/* greeting, one reply per command, one per content; EHLO,
		 * MAIL RCPT RCPT DATA, EHLO, and the same again */
		size_t dots = i >= 10 ? 2 : i >= 5;

		cr_expect_eq(w.peer->commands[i].replies, i + 1 + dots, "%zu",
			     i);
	}
	cr_assert_eq(peer_saw(w.peer, "EHLO"), 2);
	cr_assert_eq(w.peer->message_count, 2);
	finish(&w);
}

/* RFC 2920: MAIL RCPT DATA at once, and, when the first is proven to have
 * gone well, behind the content of one message the same group of the next. */
Test(delivery, pipelining)
{
	struct world w;
	size_t mail2, rcpt2;

	begin(&w, "PIPELINING", NULL);
	w.rcpts = 3;
	run(&w, 4);
	cr_assert_eq(w.done, 4);
	cr_assert_eq(peer_command(w.peer, "MAIL", 0)->replies, 2);
	cr_assert_eq(peer_command(w.peer, "DATA", 0)->replies, 2 + 4);
	cr_assert_eq(peer_command(w.peer, "EHLO", 1)->replies, 2 + 6);
	cr_assert_eq(peer_command(w.peer, "MAIL", 1)->replies, 2 + 6 + 1);
	/* The peer answers as it reads; that all came in one piece shows in
	 * the dot's reply standing right before MAIL's line. */
	mail2 = peer_command(w.peer, "MAIL", 2)->replies;
	rcpt2 = peer_command(w.peer, "RCPT", 6)->replies;
	cr_assert_eq(mail2, 2 + 6 + 1 + 6);
	cr_assert_eq(rcpt2, mail2 + 1);
	cr_assert_eq(w.peer->message_count, 4);
	cr_assert(w.is_proven);
	cr_assert_eq(peer_saw(w.peer, "RSET"), 0);
	finish(&w);
}

static int dots_seen;

static const char *hold_dot(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	return strcmp(line, ".") == 0 && ++dots_seen == 2 ? PEER_HANG : NULL;
}

/* The next MAIL does not wait for the reply to the final dot. */
Test(delivery, the_next_group_follows_the_dot)
{
	struct world w;

	dots_seen = 0;
	begin(&w, "PIPELINING", hold_dot);
	run(&w, 3);
	cr_assert_eq(peer_saw(w.peer, "MAIL"), 3);
	cr_assert_eq(peer_saw(w.peer, "DATA"), 3);
	finish(&w);
}

static const char *hold_mail(struct peer *p, const char *line, void *arg)
{
	(void)arg;
	return strncmp(line, "MAIL", 4) == 0 && peer_saw(p, "MAIL") == 2
		       ? PEER_HANG
		       : NULL;
}

/* RFC 3030 section 4.2: whole transactions back to back; RSET keeps them
 * apart should one of them fail. */
Test(delivery, chunking_runs_ahead)
{
	struct world w;

	begin(&w, "PIPELINING\nCHUNKING", hold_mail);
	run(&w, 3);
	cr_assert_eq(peer_saw(w.peer, "MAIL"), 3);
	cr_assert_eq(peer_saw(w.peer, "BDAT"), 3);
	cr_assert_eq(peer_saw(w.peer, "RSET"), 2); /* one is for the proof */
	cr_assert_eq(w.peer->message_count, 3);
	cr_assert(span_eq(buf_span(&w.peer->messages[0]), buf_span(&content)));
	cr_assert_eq(w.outcomes[0][0], OUTCOME_DELIVERED);
	cr_assert_eq(w.outcomes[1][0], OUTCOME_UNTRIED);
	finish(&w);
}

Test(delivery, chunking_delivers_many)
{
	struct world w;

	begin(&w, "PIPELINING\nCHUNKING\nSIZE 100000", NULL);
	run(&w, 50);
	cr_assert_eq(w.done, 50);
	for (int i = 0; i < 50; i++)
		cr_assert_eq(w.outcomes[i][0], OUTCOME_DELIVERED);
	cr_assert_eq(w.peer->message_count, 50);
	finish(&w);
}

/* ---- Whose replies ---- */

static const char *content_reply; /* to the fifth, or to each */
static bool is_each;

static const char *at_content(struct peer *p, const char *line, void *arg)
{
	bool is_content = strncmp(line, "BDAT", 4) == 0 ||
			  strcmp(line, ".") == 0;

	(void)arg;
	if (is_content && (is_each || p->message_count == 5))
		return content_reply;
	return NULL;
}

/* One reply too many in the middle of a run that was proven: what it is behind
 * stands, nothing after it does, whatever was said. */
Test(delivery, one_reply_too_many)
{
	static const char *const manners[] = { "PIPELINING",
					       "PIPELINING\nCHUNKING",
					       "8BITMIME" };
	static const char *const replies[] = {
		"250 2.0.0 ok\r\n250 2.0.0 ok",
		"250 2.0.0 ok\r\n550 5.7.1 spam",
		"250 2.0.0 ok\r\n550 5.7.1 spam\r\n550 5.7.1 spam",
		"250 2.0.0 ok\r\n250 2.1.0 ok\r\n250 2.1.5 ok\r\n250 ok",
	};

	is_each = false;
	for (size_t m = 0; m < COUNT(manners); m++)
		for (size_t i = 0; i < COUNT(replies); i++) {
			struct world w;

			content_reply = replies[i];
			begin(&w, manners[m], at_content);
			run(&w, 20);
			cr_expect_eq(w.end.why, DELIVERY_CLOSED);
			cr_expect((w.without & DELIVERY_TRUST) != 0, "%s: %s",
				  manners[m], replies[i]);
			for (int j = 0; j < w.done; j++)
				cr_expect_eq(w.outcomes[j][0],
					     j < 5 ? OUTCOME_DELIVERED
						   : OUTCOME_UNTRIED,
					     "%s: %s: %d", manners[m],
					     replies[i], j);
			finish(&w);
		}
}

/* Where that is known of a server, the first reply counts; but not for a
 * report. */
Test(delivery, with_care)
{
	static const struct {
		const char *reply;
		enum outcome outcome;
	} cases[] = {
		{ "250 2.0.0 ok\r\n250 2.0.0 ok", OUTCOME_DELIVERED },
		{ "250 2.0.0 ok\r\n550 5.7.1 spam", OUTCOME_DELIVERED },
		{ "550 5.7.1 spam\r\n250 2.0.0 ok", OUTCOME_TRANSIENT },
		{ "550 5.7.1 spam", OUTCOME_PERMANENT },
	};

	is_each = true;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct world w;

		content_reply = cases[i].reply;
		begin(&w, "PIPELINING\nCHUNKING", at_content);
		w.without = SMTP_EXT_PIPELINING | SMTP_EXT_CHUNKING |
			    DELIVERY_TRUST;
		w.rcpts = 2;
		run(&w, 1);
		cr_expect_eq(w.outcomes[0][0], cases[i].outcome, "%s",
			     cases[i].reply);
		cr_expect_eq(w.outcomes[0][1], OUTCOME_UNTRIED);
		cr_expect_eq(peer_saw(w.peer, "BDAT"), 0);
		finish(&w);
	}
}

/* However much it has to say: whoever did not believe it would send the mail
 * again, and again. */
Test(delivery, a_long_yes_is_a_yes)
{
	static char reply[20000];
	struct world w;

	memset(reply, 'x', sizeof(reply) - 1);
	memcpy(reply, "250 2.0.0 ", 10);
	content_reply = reply;
	is_each = true;
	begin(&w, "PIPELINING", at_content);
	run(&w, 3);
	cr_expect_eq(w.outcomes[0][0], OUTCOME_DELIVERED);
	cr_expect_eq(w.outcomes[2][0], OUTCOME_DELIVERED);
	cr_expect_eq(w.peer->message_count, 3);
	cr_expect_eq(w.without, 0);
	finish(&w);
}

static const char *second_name;

static const char *at_second_ehlo(struct peer *p, const char *line, void *arg)
{
	(void)arg;
	return strncmp(line, "EHLO", 4) == 0 && peer_saw(p, "EHLO") > 1
		       ? second_name
		       : NULL;
}

/* Some proxies say EHLO themselves and pass on what comes behind RCPT.  What is
 * a list of extensions is the answer to EHLO, whoever gives it. */
Test(delivery, a_server_of_another_name)
{
	static const struct {
		const char *reply;
		enum outcome outcome;
	} cases[] = {
		{ "250-inner.example\r\n250-PIPELINING\r\n250 SIZE 1000",
		  OUTCOME_DELIVERED },
		{ "250-inner.example Hello\r\n250 8bitmime",
		  OUTCOME_DELIVERED },
		{ "250 inner.example", OUTCOME_UNTRIED },
		{ "250-ok\r\n250 SIZEABLE", OUTCOME_UNTRIED },
		{ "550-inner.example\r\n550 SIZE", OUTCOME_UNTRIED },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct world w;

		second_name = cases[i].reply;
		begin(&w, "PIPELINING", at_second_ehlo);
		run(&w, 1);
		cr_expect_eq(w.outcomes[0][0], cases[i].outcome, "%s",
			     cases[i].reply);
		cr_expect_eq((w.without & DELIVERY_TRUST) == 0,
			     cases[i].outcome == OUTCOME_DELIVERED);
		finish(&w);
	}
}

/* ---- Content ---- */

Test(delivery, dots_are_doubled_for_data)
{
	struct world w;

	begin(&w, "PIPELINING", NULL);
	run(&w, 1);
	cr_assert(span_eq(buf_span(&w.peer->messages[0]),
			  SPAN_LIT("Subject: x\r\n\r\n..dot\r\nlast\r\n")));
	finish(&w);
}

/* A large message is never in memory as a whole. */
static void large(const char *ehlo)
{
	struct world w;

	begin(&w, ehlo, NULL);
	for (int i = 0; i < 200000; i++)
		buf_addf(&content, "line %d of a large message\r\n", i);
	content_most = 0;
	run(&w, 2);
	cr_assert_eq(w.done, 2);
	cr_assert_eq(w.outcomes[1][0], OUTCOME_DELIVERED);
	cr_assert_eq(w.peer->message_count, 2);
	cr_assert_leq(content_most, 256 * 1024, "%zu", content_most);
	if (strstr(ehlo, "CHUNKING") != NULL) {
		cr_assert(span_eq(buf_span(&w.peer->messages[1]),
				  buf_span(&content)));
		/* it asked the recipients first */
		cr_assert_gt(peer_command(w.peer, "BDAT", 0)->replies,
			     peer_command(w.peer, "RCPT", 0)->replies);
	}
	finish(&w);
}

Test(delivery, large_content_is_streamed_as_data)
{
	large("PIPELINING");
}

Test(delivery, large_content_is_streamed_as_bdat)
{
	large("PIPELINING\nCHUNKING");
}
