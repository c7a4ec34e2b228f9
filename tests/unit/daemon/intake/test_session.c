/* The order of commands, lines, limits and the end of sessions. */
#include "common/base/metrics.h"
#include "tests/unit/daemon/intake/world.h"

#define BDAT "BDAT 8 LAST\r\nhello..\n"

TestSuite(session, .fini = world_close);

/* RFC 5321 section 4.1.4. */
Test(session, order_of_commands)
{
	static const struct {
		const char *lines, *codes;
	} cases[] = {
		{ HELLO FROM TO BDAT "QUIT\r\n", "250 250 250 250 221 ." },
		{ "HELO client.test\r\n" FROM TO BDAT, "250 250 250 250" },
		/* before EHLO */
		{ FROM HELLO FROM, "503 250 250" },
		{ TO "DATA\r\n", "503 503" },
		{ "STARTTLS\r\n", "503" },
		{ "NOOP\r\nRSET\r\nVRFY x\r\nHELP\r\nQUIT\r\n",
		  "250 250 252 214 221 ." },
		/* nested and out of place */
		{ HELLO FROM FROM, "250 250 503" },
		{ HELLO TO, "250 503" },
		{ HELLO "DATA\r\n", "250 503" },
		{ HELLO FROM "DATA\r\n", "250 250 554" },
		{ HELLO FROM TO FROM TO, "250 250 250 503 250" },
		{ HELLO FROM "STARTTLS\r\n", "250 250 503" },
		/* RSET, EHLO and HELO end a transaction */
		{ HELLO FROM TO "RSET\r\n" TO FROM, "250 250 250 250 503 250" },
		{ HELLO FROM TO HELLO TO FROM, "250 250 250 250 503 250" },
		{ HELLO FROM "HELO x\r\n" FROM, "250 250 250 250" },
		/* a bad EHLO leaves all as it was (section 4.1.4) */
		{ HELLO FROM TO "EHLO\r\n" BDAT, "250 250 250 501 250" },
		{ HELLO FROM "NOOP\r\nVRFY x\r\nHELP\r\n" TO,
		  "250 250 250 252 214 250" },
		/* one message, then another */
		{ HELLO FROM TO BDAT FROM TO BDAT,
		  "250 250 250 250 250 250 250" },
		{ HELLO FROM TO BDAT TO, "250 250 250 250 503" },
		/* a refused recipient harms no other */
		{ HELLO FROM "RCPT TO:<no@example.com>\r\n" TO BDAT,
		  "250 250 550 250 250" },
		{ HELLO FROM "RCPT TO:<no@example.com>\r\n" BDAT FROM,
		  "250 250 550 554 250" },
	};

	world_open("");
	for (size_t i = 0; i < COUNT(cases); i++) {
		static const size_t steps[] = { 0, 1, 7, 10000 };

		for (size_t j = 0; j < COUNT(steps); j++) {
			const char *got = dialogue(cases[i].lines, steps[j]);

			cr_expect_str_eq(got, cases[i].codes,
					 "by %zu:\n%s-> %s", steps[j],
					 cases[i].lines, got);
		}
	}
}

Test(session, syntax)
{
	static const struct {
		const char *line, *reply;
	} cases[] = {
		{ "", "500 5.5.2 " },
		{ "FOO", "500 5.5.2 " },
		{ "EHLOx", "500 5.5.2 " },
		{ " NOOP", "500 5.5.2 " },
		{ "EHLO", "501 5.5.4 " },
		{ "EHLO  ", "501 5.5.4 " },
		{ "EHLO a b", "501 5.5.4 " },
		{ "helo [192.0.2.1]", "250 mx2.example.net\r\n" },
		{ "HELO under_score.test", "250 " },
		{ "hElO x.test", "250 " },
		{ "EXPN list", "502 5.5.1 " },
		{ "AUTH PLAIN", "502 5.5.1 " },
		{ "TURN", "502 5.5.1 " },
		{ "STARTTLS", "502 5.5.1 " }, /* no certificate */
		{ "ETRN example.com", "502 5.5.1 " },
		{ "VRFY", "501 5.5.4 " },
		{ "VRFY user", "252 2.5.0 " },
		{ "NOOP anything goes", "250 2.0.0 " },
		{ "HELP MAIL", "214 2.0.0 " },
		{ "RSET now", "501 5.5.4 " },
		{ "QUIT now", "501 5.5.4 " },
		{ "RSET  ", "250 2.0.0 " },
		{ "MAIL", "501 5.5.4 " },
		{ "MAIL TO:<a@b.test>", "501 5.5.4 " },
		{ "MAIL FROM:a@b.test>", "501 5.1.7 " },
		{ "MAIL FROM:<a@b@c>", "501 5.1.7 " },
		{ "MAIL FROM:<a>", "501 5.1.7 " },
		{ "MAIL FROM:<a@b.test> FOO=1", "555 5.5.4 " },
		{ "MAIL FROM:<a@b.test> SIZE=x", "501 5.5.4 " },
		{ "MAIL FROM:<a@b.test> SIZE=1 SIZE=1", "501 5.5.4 " },
		{ "MAIL FROM:<a@b.test> AUTH=<>", "555 5.5.4 " },
		{ "MAIL FROM:<a@b.test> REQUIRETLS", "555 5.5.4 " },
		{ "MAIL FROM:<\xc3\xbc@b.test>", "553 5.6.7 " },
		{ "MAIL FROM:<a@b.test> SIZE=60000000", "552 5.3.4 " },
		{ "MAIL FROM:<>", "250 2.1.0 " },
		{ "RCPT", "501 5.5.4 " },
		{ "RCPT TO:user@example.com>", "501 5.1.3 " },
		{ "RCPT TO:<>", "501 5.1.3 " },
		{ "RCPT TO:<user>", "501 5.1.3 " },
		{ "RCPT TO:<user@example.com> FOO", "555 5.5.4 " },
		{ "RCPT TO:<\xc3\xbc@example.com>", "553 5.6.7 " },
		{ "RCPT TO:<user@[127.0.0.1]>", "550 5.7.1 " },
		{ "RCPT TO:<user@elsewhere.test>", "550 5.7.1 " },
		{ "RCPT TO:<user@sub.example.com>", "550 5.7.1 " },
		{ "RCPT TO:<nobody@example.com>", "550 5.1.1 " },
		{ "RCPT TO:<user%elsewhere.test@example.com>", "550 5.1.1 " },
		{ "RCPT TO:<@elsewhere.test:user@example.com>", "250 2.1.5 " },
		{ "RCPT TO:<USER@Example.COM>", "250 2.1.5 " },
		{ "RCPT TO:<\"user\"@example.com>", "250 2.1.5 " },
		{ "RCPT TO:<Postmaster>", "250 2.1.5 " },
		{ "RCPT TO:<postmaster@example.com>", "250 2.1.5 " },
		{ "RCPT TO:<postmaster@mx2.example.net>", "250 2.1.5 " },
		{ "DATA now", "501 5.5.4 " },
		{ "BDAT", "501 5.5.4 " },
		{ "BDAT -1", "501 5.5.4 " },
		{ "BDAT 5 FIRST", "501 5.5.4 " },
	};
	int fd;

	world_open("limits = { errors = 1000; };");
	fd = client_open();
	cr_assert_str_eq(say(fd, HELLO), "250");
	for (size_t i = 0; i < COUNT(cases); i++) {
		char line[200];
		const char *got;

		snprintf(line, sizeof(line), "%s\r\n", cases[i].line);
		got = ask(fd, line);
		cr_expect_eq(
			strncmp(got, cases[i].reply, strlen(cases[i].reply)), 0,
			"%s -> %s", cases[i].line, got);
		if (strncmp(line, "helo", 4) == 0 || line[0] == 'H')
			say(fd, HELLO);
	}
	close(fd);
}

Test(session, ehlo_says_what_is_there)
{
	int fd;
	const char *got;

	world_open("limits = { recipients = 77; message_size = \"3M\"; };");
	fd = client_open();
	got = ask(fd, HELLO);
	cr_expect_eq(strncmp(got, "250-mx2.example.net\r\n", 21), 0);
	cr_expect_not_null(strstr(got, "\r\n250-PIPELINING\r\n"));
	cr_expect_not_null(strstr(got, "\r\n250-SIZE 3145728\r\n"));
	cr_expect_not_null(strstr(got, "8BITMIME\r\n"));
	cr_expect_not_null(strstr(got, "SMTPUTF8\r\n"));
	cr_expect_not_null(strstr(got, "CHUNKING\r\n"));
	cr_expect_not_null(strstr(got, "DSN\r\n"));
	cr_expect_not_null(strstr(got, "ENHANCEDSTATUSCODES\r\n"));
	cr_expect_not_null(strstr(got, "LIMITS RCPTMAX=77\r\n"));
	cr_expect_null(strstr(got, "STARTTLS"));
	cr_expect_null(strstr(got, "REQUIRETLS"));
	cr_expect_null(strstr(got, "ETRN"));
	cr_expect_null(strstr(got, "AUTH"));
	/* RFC 5321 section 2.2.1: without EHLO no parameters */
	cr_expect_str_eq(say(fd, "HELO x\r\n"
				 "MAIL FROM:<a@b.test> SIZE=1\r\n"),
			 "250 555");
	close(fd);
}

/* RFC 5321 section 2.3.8: only CR LF ends a line. */
Test(session, bare_lf_is_no_line_end)
{
	world_open("");
	cr_expect_str_eq(dialogue(HELLO "NOOP\nNOOP\r\nNO\rOP\r\n", 0),
			 "250 500 250 500");
}

Test(session, long_lines)
{
	char line[5000];
	int fd;

	world_open("");
	fd = client_open();
	memset(line, 'x', sizeof(line));
	memcpy(line, "NOOP ", 5);
	strcpy(line + 2046, "\r\n");
	cr_expect_str_eq(say(fd, line), "250");
	memset(line, 'x', sizeof(line));
	strcpy(line + 2047, "\r\nNOOP\r\n");
	cr_expect_str_eq(say(fd, line), "500 250");
	memset(line, 'x', sizeof(line));
	client_send(fd, span_of(line, sizeof(line)));
	client_send(fd, span_of(line, sizeof(line)));
	cr_expect_str_eq(codes(client_read(fd)), "500");
	cr_expect_str_eq(say(fd, "\r\nNOOP\r\n"), "250");
	close(fd);
}

Test(session, too_many_errors_end_it)
{
	int fd;

	world_open("limits = { errors = 3; };");
	fd = client_open();
	cr_expect_str_eq(say(fd, HELLO "FOO\r\nFOO\r\n"), "250 500 500");
	cr_expect_str_eq(say(fd, "FOO\r\nNOOP\r\n"), "500 421 .");
	close(fd);
	/* unknown recipients count: nobody may try them all */
	fd = client_open();
	cr_expect_str_eq(say(fd, HELLO FROM "RCPT TO:<1@example.com>\r\n"
					    "RCPT TO:<2@example.com>\r\n"
					    "RCPT TO:<3@example.com>\r\n"),
			 "250 250 550 550 550 421 .");
	close(fd);
	/* among good ones they do not: that is a mailing list */
	fd = client_open();
	cr_expect_str_eq(say(fd, HELLO FROM "RCPT TO:<1@example.org>\r\n"
					    "RCPT TO:<1@example.com>\r\n"
					    "RCPT TO:<2@example.org>\r\n"
					    "RCPT TO:<2@example.com>\r\n"
					    "RCPT TO:<3@example.org>\r\n"
					    "RCPT TO:<3@example.com>\r\n"
					    "RCPT TO:<4@example.com>\r\n"
					    "RCPT TO:<5@example.com>\r\n"
					    "RCPT TO:<6@example.com>\r\n"),
			 "250 250 250 550 250 550 250 550 550 550 550 421 .");
	close(fd);
	/* a message that was taken makes good for them */
	fd = client_open();
	cr_expect_str_eq(say(fd, HELLO "FOO\r\nFOO\r\n" FROM TO BDAT
				       "FOO\r\nFOO\r\nNOOP\r\n"),
			 "250 500 500 250 250 250 500 500 250");
	close(fd);
}

/* RFC 2920 section 3.1: a group goes out before the reply to its MAIL comes, and
 * that is the one error in it. */
Test(session, behind_a_refused_mail_nothing_counts)
{
	static const char bad[] = "MAIL FROM:<a b@c.test>\r\n";
	struct buf lines = { 0 };
	int fd;

	world_open("limits = { errors = 3; };");
	fd = client_open();
	buf_addf(&lines, HELLO "%s" TO TO TO "DATA\r\n", bad);
	cr_expect_str_eq(say(fd, buf_cstr(&lines)),
			 "250 501 503 503 503 503");
	cr_expect_str_eq(say(fd, "MAIL FROM:<a@b.test> SIZE=99999999999\r\n" TO
				 BDAT FROM TO BDAT),
			 "552 503 503 250 250 250");
	/* what follows the group, or is sent later, is an error as ever */
	buf_reset(&lines);
	buf_addf(&lines, "%sDATA\r\n", bad);
	cr_expect_str_eq(say(fd, buf_cstr(&lines)), "501 503");
	cr_expect_str_eq(say(fd, TO TO), "503 503 421 .");
	close(fd);
	fd = client_open();
	buf_reset(&lines);
	buf_addf(&lines, HELLO "%sRSET\r\n" TO TO, bad);
	cr_expect_str_eq(say(fd, buf_cstr(&lines)),
			 "250 501 250 503 503 421 .");
	close(fd);
	buf_fini(&lines);
}

/* As many as a message may have, and DATA. */
Test(session, a_group_behind_a_refused_mail_has_an_end)
{
	int fd;

	world_open("limits = { errors = 3; recipients = 2; };");
	fd = client_open();
	cr_expect_str_eq(say(fd, HELLO "MAIL FROM:<a b@c.test>\r\n" TO TO TO),
			 "250 501 503 503 503");
	cr_expect_str_eq(say(fd, TO TO), "503 503 421 .");
	close(fd);
}

Test(session, http_is_not_spoken)
{
	int fd;

	world_open("");
	fd = client_open();
	cr_expect_str_eq(
		say(fd,
		    "POST / HTTP/1.1\r\nHost: x\r\n\r\n" HELLO FROM TO BDAT),
		"500 .");
	cr_expect_eq(fake.kept_count, 0);
	close(fd);
}

/* RFC 5321 section 3.1: the server speaks first. */
Test(session, early_talkers)
{
	int fd;

	world_open("");
	fd = client_knock();
	client_send(fd, span_str(HELLO));
	ev_sleep(.1); /* nothing tells when it has arrived */
	client_await(fd);
	cr_expect_eq(strncmp(client_read(fd), "554 5.5.1 ", 10), 0);
	close(fd);
}

/* The bytes behind DATA were sent before the 354. */
Test(session, improper_pipelining)
{
	int fd;

	world_open("");
	fd = client_open();
	cr_expect_str_eq(say(fd, HELLO FROM TO "DATA\r\nx\r\n.\r\n" FROM),
			 "250 250 250 503 .");
	cr_expect_eq(fake.kept_count, 0);
	close(fd);
	/* EHLO, NOOP, VRFY and HELP need not be last: no harm comes of it */
	fd = client_open();
	cr_expect_str_eq(
		say(fd, HELLO "NOOP\r\nVRFY x\r\nHELP\r\n" FROM TO "DATA\r\n"),
		"250 250 252 214 250 250 354");
	close(fd);
}

static uint64_t rejected(const char *reason)
{
	struct metrics m;
	size_t label = 0;

	cr_assert(metric_label(METRIC_RECIPIENTS_REJECTED, "reason",
			       span_str(reason), &label));
	metrics_read(&m);
	return m.numbers[METRIC_RECIPIENTS_REJECTED][label];
}

Test(session, too_many_recipients)
{
	int fd;

	world_open("limits = { recipients = 2; errors = 2; };");
	fd = client_open();
	cr_expect_str_eq(say(fd, HELLO FROM "RCPT TO:<a@example.org>\r\n"
					    "RCPT TO:<b@example.org>\r\n"
					    "RCPT TO:<c@example.org>\r\n"
					    "RCPT TO:<d@example.org>\r\n"
					    "RCPT TO:<e@example.org>\r\n" BDAT),
			 "250 250 250 250 452 452 452 250");
	cr_expect_eq(fake.kept[0].rcpt_count, 2);
	cr_expect_eq(rejected("recipients"), 3, "logged once, said each time");
	close(fd);
}

Test(session, connections_are_limited)
{
	int a, b, c;

	world_open("limits = { connections_per_client = 2; };");
	a = client_knock();
	client_await(a);
	cr_expect_str_eq(codes(client_read(a)), "220");
	b = client_knock();
	client_await(b);
	cr_expect_str_eq(codes(client_read(b)), "220");
	c = client_knock();
	client_await(c);
	cr_expect_eq(strncmp(client_read(c), "421 4.7.0 ", 10), 0);
	close(c);
	/* one leaves, and one may come */
	client_send(a, SPAN_LIT("QUIT\r\n"));
	client_await(a);
	cr_expect_eq(strncmp(client_read(a), "221", 3), 0);
	c = client_knock();
	client_await(c);
	cr_expect_str_eq(codes(client_read(c)), "220");
	close(a);
	close(b);
	close(c);
}

/* As if nobody had said anything for so long. */
static void let_pass_all(int64_t ms)
{
	struct session *s;

	TAILQ_FOREACH (s, &world.intake->sessions, link) {
		s->active_ms -= ms;
		s->paced_ms -= ms;
	}
}

/* Places are not held by transactions that do not go on, or hardly. */
Test(session, who_stalls_makes_room)
{
	static const struct {
		const char *says; /* and nothing for a while, and then */
		const char *goes_on;
		int64_t ms;
		const char *newcomer;
	} cases[] = {
		{ HELLO, "NOOP\r\n", 3000, "421 ." },
		{ HELLO, "NO", 3000, "220" },
		{ HELLO FROM, "", 10000, "421 ." },
		{ HELLO FROM, "", 31000, "220" },
		{ HELLO FROM TO, TO, 31000, "421 ." },
		{ HELLO FROM TO "DATA\r\n", "", 31000, "220" },
		{ HELLO FROM TO "DATA\r\n", "x\r\n", 31000, "220" },
		{ HELLO FROM TO "BDAT 1\r\nx", "BDAT 1\r\nx", 31000, "220" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		int fd, late;

		if (i > 0)
			world_close();
		world_open("limits = { connections = 1; };");
		fd = client_open();
		say(fd, cases[i].says);
		let_pass_all(cases[i].ms);
		say(fd, cases[i].goes_on);
		late = client_knock();
		client_await(late);
		cr_expect_str_eq(codes(client_read(late)), cases[i].newcomer,
				 "%s, %s", cases[i].says, cases[i].goes_on);
		close(fd);
		close(late);
	}
}

Test(session, idle_timeout)
{
	int fd;

	world_open("limits = { command_timeout = \"1s\"; };");
	fd = client_open();
	/* a trickle is no command */
	for (int i = 0; i < 30; i++) {
		ev_sleep(0.05);
		client_send(fd, SPAN_LIT("x"));
	}
	cr_expect_str_eq(codes(client_read(fd)), "421 .");
	cr_expect_eq(intake_sessions(world.intake), 0);
	close(fd);
}

Test(session, stop)
{
	int idle, busy, data;

	world_open("");
	idle = client_open();
	busy = client_open();
	data = client_open();
	say(idle, HELLO);
	say(busy, HELLO FROM);
	say(data, HELLO FROM TO);
	cr_expect_str_eq(say(data, "DATA\r\n"), "354");
	intake_stop(world.intake);
	cr_expect_str_eq(codes(client_read(idle)), "421 .");
	cr_expect_str_eq(codes(client_read(busy)), "");
	cr_expect_str_eq(say(busy, TO), "421 .");
	/* what is arriving may arrive */
	cr_expect_str_eq(say(data, "x\r\n.\r\n"), "250 421 .");
	cr_expect_eq(fake.kept_count, 1);
	cr_expect_eq(intake_sessions(world.intake), 0);
	close(idle);
	close(busy);
	close(data);
}

/* Who closes its side still hears the answers. */
Test(session, half_close)
{
	int fd;

	world_open("");
	fake.slow = true;
	fd = client_open();
	client_send(fd, span_str(HELLO FROM TO BDAT FROM TO BDAT));
	shutdown(fd, SHUT_WR);
	cr_expect_str_eq(codes(client_read(fd)), "250 250 250");
	fake_committed();
	cr_expect_str_eq(codes(client_read(fd)), "250 250 250");
	fake_committed();
	cr_expect_str_eq(codes(client_read(fd)), "250 .");
	cr_expect_eq(fake.kept_count, 2);
	close(fd);
}

/* A client that never reads: what waits for it is bounded. */
Test(session, replies_nobody_reads)
{
	struct buf many = { 0 };
	size_t sent = 0;
	ssize_t n;
	int fd, small = 4096;

	world_open("");
	fd = client_open();
	ask(fd, HELLO FROM);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	for (int i = 0; i < 10000; i++)
		buf_adds(&many, "RCPT TO:<user@example.org>\r\n");
	/* until nobody takes any more */
	for (int i = 0; i < 2000; i++) {
		n = send(fd, many.p, many.n, MSG_DONTWAIT | MSG_NOSIGNAL);
		sent += n > 0 ? (size_t)n : 0;
		settle();
	}
	cr_expect_lt(sent, 128u << 20, "%zu", sent);
	/* and it goes on as soon as it reads */
	for (int i = 0; i < 3000 && sent > 0; i++)
		client_read(fd);
	buf_fini(&many);
	close(fd);
}

/* Commands that lead to no message are no use to an honest client: 50, and
 * the count begins anew with each message. */
Test(session, chatter_ends_it)
{
	static const char *const words[] = { "NOOP\r\n", "RSET\r\n",
					     "VRFY x\r\n", "HELP\r\n",
					     HELLO };
	int fd;

	world_open("");
	fd = client_open();
	for (int i = 0; i < 50; i++)
		cr_assert_eq(say(fd, words[(i + 4) % 5])[0], '2', "%d", i);
	cr_expect_str_eq(ask(fd, "NOOP\r\n"),
			 "421 4.7.0 Too many commands without a message\r\n"
			 "<closed>");
	close(fd);
	fd = client_open();
	cr_expect_str_eq(say(fd, HELLO), "250");
	for (int i = 1; i < 150; i++) {
		cr_assert_str_eq(say(fd, "NOOP\r\n"), "250");
		if (i % 40 == 0)
			cr_assert_str_eq(say(fd, FROM TO BDAT), "250 250 250");
	}
	close(fd);
}

/* Guesses are counted whatever the transaction does. */
Test(session, guesses_are_counted_across_transactions)
{
	int fd, rounds = 0;

	world_open("limits = { errors = 10; };");
	fd = client_open();
	cr_expect_str_eq(say(fd, HELLO), "250");
	while (rounds < 40 &&
	       strchr(say(fd, FROM TO "RCPT TO:<guess@example.com>\r\n"
				      "RSET\r\n"),
		      '.') == NULL)
		rounds++;
	cr_expect_lt(rounds, 12);
	close(fd);
}

/* Also those that have no line in the log any more. */
Test(session, refused_recipients_are_counted)
{
	enum { GUESSES = 300 };
	struct metrics m;
	int fd;

	world_open("limits = { errors = 1000; };"
		   " policy = { rate = { unknown = 0; }; };");
	fd = client_open();
	cr_expect_str_eq(say(fd, HELLO FROM), "250 250");
	for (int i = 0; i < GUESSES; i++)
		cr_assert_str_eq(say(fd, "RCPT TO:<guess@example.com>\r\n"),
				 "550");
	cr_expect_eq(rejected("unknown_recipient"), GUESSES);
	metrics_read(&m);
	cr_expect_eq(m.numbers[METRIC_SESSIONS][0], 1);
	close(fd);
}

/* Commands without end in one packet after another: the others have their
 * turn between, and not only at the end. */
Test(session, one_turn_is_bounded)
{
	enum { COMMANDS = 1500, A_TURN = 32 };
	struct buf many = { 0 };
	size_t turns = 0, idle = 0;
	int fd;

	world_open("");
	fd = client_open();
	cr_expect_str_eq(say(fd, HELLO FROM), "250 250");
	for (int i = 0; i < COMMANDS; i++)
		buf_adds(&many, "RCPT TO:<user@example.org>\r\n");
	cr_assert_eq(write(fd, many.p, many.n), (ssize_t)many.n);
	while (idle < 50) { /* between two pieces of input there is no turn */
		bool is_busy = !TAILQ_EMPTY(&world.intake->turns);

		ev_run(world.loop, EVRUN_NOWAIT);
		is_busy |= !TAILQ_EMPTY(&world.intake->turns);
		turns += is_busy;
		idle = is_busy ? 0 : idle + 1;
		cr_assert_lt(turns, 10000);
	}
	cr_expect_geq(turns, COMMANDS / A_TURN);
	buf_fini(&many);
	close(fd);
}

Test(session, reload_shows_in_the_next_transaction)
{
	struct config *fresh;
	int fd;

	world_open("");
	fd = client_open();
	say(fd, HELLO FROM);
	fresh = world_config("", "example.com recipients=*\n");
	intake_reload(world.intake, fresh);
	config_unref(&fresh);
	/* the running one keeps what it began with */
	cr_expect_str_eq(say(fd, "RCPT TO:<nobody@example.com>\r\n"), "550");
	cr_expect_str_eq(
		say(fd, "RSET\r\n" FROM "RCPT TO:<nobody@example.com>\r\n"),
		"250 250 250");
	close(fd);
}

/* It is kept alive, and with it a configuration that may be large. */
Test(session, an_old_transaction_ends_some_minutes_after_a_reload)
{
	struct config *fresh;
	struct mail *m;
	int fd;

	world_open("");
	fd = client_open();
	say(fd, HELLO FROM);
	m = TAILQ_FIRST(&world.intake->sessions)->mail;
	m->began_ms -= MINUTES(11);
	cr_expect_str_eq(say(fd, "NOOP\r\n"), "250");
	fresh = world_config("", "example.com recipients=*\n");
	intake_reload(world.intake, fresh);
	config_unref(&fresh);
	m->began_ms += MINUTES(2);
	cr_expect_str_eq(say(fd, "NOOP\r\n"), "250");
	m->began_ms -= MINUTES(2);
	cr_expect_str_eq(say(fd, "NOOP\r\n"), "421 .");
	close(fd);
}

static unsigned heard;

static void note_heard(const struct net_addr *peer, void *arg)
{
	(void)arg;
	cr_expect_eq(peer->family, AF_INET);
	heard++;
}

static int some_etrn(struct span domain, bool subdomains,
		     const struct net_addr *peer, const struct tls_facts *tls,
		     uint64_t *count, void *arg)
{
	(void)peer;
	(void)tls;
	(void)arg;
	*count = 42;
	if (span_eq(domain, SPAN_LIT("none.test")))
		return 251;
	if (span_eq(domain, SPAN_LIT("some.test")))
		return subdomains ? 250 : 253;
	return span_eq(domain, SPAN_LIT("odd.test")) ? 458 : 459;
}

Test(session, hooks)
{
	int fd;

	world.hooks = (struct intake_hooks){ .heard_from = note_heard,
					     .etrn = some_etrn };
	world_open("");
	fd = client_open();
	cr_expect_eq(heard, 1);
	cr_expect_not_null(strstr(ask(fd, HELLO), "250-ETRN\r\n"));
	cr_expect_str_eq(ask(fd, "ETRN some.test\r\n"),
			 "253 2.0.0 42 pending messages for the node "
			 "started\r\n");
	cr_expect_str_eq(say(fd, "ETRN @some.test\r\nETRN NONE.test\r\n"
				 "ETRN odd.test\r\nETRN x.test\r\n"
				 "ETRN #queue\r\nETRN\r\nETRN a..b\r\n"),
			 "250 251 458 459 458 501 501");
	cr_expect_str_eq(say(fd, FROM "RCPT TO:<a@left.test>\r\n"
				      "RCPT TO:<a@x.test>\r\n" TO),
			 "250 451 550 250");
	cr_expect_str_eq(say(fd, "ETRN some.test\r\n"), "503");
	close(fd);
}

/* A session that idles is small; see also the benchmark of idle sessions. */
Test(session, is_small)
{
	cr_expect_leq(sizeof(struct session), 256, "%zu",
		      sizeof(struct session));
	world_open("");
}

Test(session, proxy_protocol)
{
	struct net_addr proxy;
	int fd;

	world_open("");
	cr_assert_eq(net_addr_parse(SPAN_LIT("10.0.0.1"), &proxy), MX_OK);
	fd = client_begin(&proxy, true);
	cr_expect_str_eq(codes(client_read(fd)), "");
	cr_expect_str_eq(say(fd, "PROXY TCP4 192.0.2.9 192.0.2.1 1234 25\r\n"),
			 "220");
	cr_expect_str_eq(say(fd, HELLO FROM TO BDAT), "250 250 250 250");
	cr_expect_str_eq(fake.kept[0].client, "192.0.2.9");
	close(fd);
	/* no header, no service */
	fd = client_begin(&proxy, true);
	cr_expect_str_eq(say(fd, HELLO), ".");
	close(fd);
}
