/* A gate that answers when the test wants it to. */
#include "tests/unit/daemon/intake/world.h"

#define BDAT "BDAT 8 LAST\r\nhello..\n"
#define TEXT "Subject: x\r\n\r\nhello\r\n.\r\n"

enum mode { GO, REFUSE, LATER, INSIDE };

/* The link of the test's own, behind all others. */
static struct {
	enum mode mode[GATE_MOMENTS];
	unsigned asked[GATE_MOMENTS], cancelled;
	struct gate_question *out;
	struct verdict words;
	char facts[GATE_MOMENTS][200]; /* what it was told */
} slow;

static void note_facts(const struct gate_question *q)
{
	char *to = slow.facts[q->moment];
	struct buf b = { 0 };

	cr_expect_neq(q->sid, 0);
	net_addr_add(&b, q->client);
	buf_addf(&b, " <%.*s>", SPAN_ARG(q->helo));
	if (q->env != NULL)
		buf_addf(&b, " from=%.*s size=%d", SPAN_ARG(q->env->from),
			 (int)q->size);
	if (q->to != NULL)
		buf_addf(&b, " to=%.*s/%.*s", SPAN_ARG(q->to->mailbox),
			 SPAN_ARG(buf_span(&q->rcpt->domain)));
	if (q->rcpt_count > 0)
		buf_addf(&b, " rcpt=%.*s received=%u",
			 SPAN_ARG(q->rcpts[0].path), q->received);
	snprintf(to, sizeof(slow.facts[0]), "%s", buf_cstr(&b));
	buf_fini(&b);
}

static enum gate_reply slow_ask(struct gate_question *q, struct verdict *v)
{
	const enum mode mode = slow.mode[q->moment];

	slow.asked[q->moment]++;
	note_facts(q);
	if (mode == GO)
		return GATE_GO;
	if (mode == REFUSE) {
		*v = slow.words;
		return GATE_REFUSE;
	}
	cr_assert_null(slow.out);
	if (mode == INSIDE)
		gate_answer(q, &slow.words);
	else
		slow.out = q;
	return GATE_LATER;
}

/* All that the question is about is still in place. */
static void slow_cancel(struct gate_question *q)
{
	cr_expect_eq(q, slow.out);
	note_facts(q);
	cr_expect_not_null(CONTAINER_OF(q, struct asked, question)->session->conn,
			   "%d", (int)q->moment);
	slow.out = NULL;
	slow.cancelled++;
}

static const struct gate_link slow_link = {
	.name = "slow",
	.ask = { slow_ask, slow_ask, slow_ask, slow_ask, slow_ask },
	.cancel = slow_cancel,
};

static void say_words(int code, const char *enhanced, const char *text)
{
	verdict_say(&slow.words, code, span_str(enhanced), span_str(text),
		    "test", "");
}

static void answer(const struct verdict *v)
{
	struct gate_question *q = slow.out;

	cr_assert_not_null(q);
	slow.out = NULL;
	gate_answer(q, v);
	settle();
}

static void ask_open(void)
{
	memset(&slow, 0, sizeof(slow));
	say_words(550, "5.7.1", "Not today");
	world_open("limits = { errors = 100; };");
	gate_add(policy_gate(world.policy), &slow_link, NULL);
	gate_configure(policy_gate(world.policy), world.config);
}

static int knock(void)
{
	struct net_addr peer;

	cr_assert_eq(net_addr_parse(SPAN_LIT("192.0.2.7"), &peer), MX_OK);
	cr_assert_eq(policy_connect(world.policy, world.config, &peer, 0),
		     V_GO);
	return client_begin(&peer, false);
}

TestSuite(ask, .init = ask_open, .fini = world_close);

/* What is known at each moment. */
Test(ask, five_moments)
{
	static const char *const facts[GATE_MOMENTS] = {
		[GATE_CONNECTION] = "192.0.2.7 <>",
		[GATE_MAIL] = "192.0.2.7 <client.test> from=a@b.test size=99",
		[GATE_RCPT] = "192.0.2.7 <client.test> from=a@b.test size=99 "
			      "to=user@Example.com/example.com",
		[GATE_CONTENT] = "192.0.2.7 <client.test> from=a@b.test "
				 "size=99 rcpt=user@Example.com received=0",
		[GATE_END] = "192.0.2.7 <client.test> from=a@b.test size=13 "
			     "rcpt=user@Example.com received=1",
	};
	int fd = client_open();

	cr_expect_str_eq(say(fd,
			     HELLO "MAIL FROM:<a@b.test> SIZE=99\r\n"
				   "RCPT TO:<user@Example.com>\r\nDATA\r\n"),
			 "250 250 250 354");
	cr_expect_str_eq(say(fd, "Received: x\r\n.\r\n"), "250");
	for (int m = 0; m < GATE_MOMENTS; m++) {
		cr_expect_eq(slow.asked[m], 1);
		cr_expect_str_eq(slow.facts[m], facts[m], "%d: %s", m,
				 slow.facts[m]);
	}
	/* BDAT has the same moments, once each */
	cr_expect_str_eq(say(fd, FROM TO "BDAT 3\r\nabcBDAT 0 LAST\r\n"),
			 "250 250 250 250");
	cr_expect_eq(slow.asked[GATE_CONTENT], 2);
	cr_expect_eq(slow.asked[GATE_END], 2);
	/* what fails before is not asked about */
	cr_expect_str_eq(say(fd, FROM "RCPT TO:<x@x.test>\r\nDATA\r\n"),
			 "250 550 554");
	cr_expect_eq(slow.asked[GATE_RCPT], 2);
	cr_expect_eq(slow.asked[GATE_CONTENT], 2);
	close(fd);
}

/* How a whole dialogue ends when one moment refuses. */
static const struct {
	enum gate_moment moment;
	const char *hello, *lines,
		*text;	   /* sent one behind the other's reply */
	const char *codes; /* after which the session goes on */
} refusals[] = {
	{ GATE_MAIL, HELLO, FROM TO, "", "250 550 503 " },
	{ GATE_RCPT, HELLO, FROM TO, "DATA\r\n", "250 250 550 554 " },
	{ GATE_CONTENT, HELLO, FROM TO, "DATA\r\n", "250 250 250 550 " },
	{ GATE_CONTENT, HELLO, FROM TO, BDAT, "250 250 250 550 " },
	{ GATE_CONTENT, HELLO, FROM TO, "BDAT 3\r\nabcBDAT 0 LAST\r\n",
	  "250 250 250 550 503 " },
	{ GATE_END, HELLO, FROM TO, BDAT, "250 250 250 550 " },
};

/* Each answer as the mode has it; the codes of all replies. */
static const char *run(int fd, size_t i)
{
	static char out[1000];
	const char *const parts[] = { refusals[i].hello, refusals[i].lines,
				      refusals[i].text, "NOOP\r\n" };

	out[0] = '\0';
	for (size_t k = 0; k < COUNT(parts); k++) {
		client_send(fd, span_str(parts[k]));
		if (slow.out != NULL)
			answer(&slow.words);
		strcat(out, codes(client_read(fd)));
		strcat(out, *parts[k] != '\0' && k < 3 ? " " : "");
	}
	return out;
}

/* At once, inside the question and later: the same words in the same place. */
Test(ask, refused)
{
	static const enum mode modes[] = { REFUSE, INSIDE, LATER };

	for (size_t i = 0; i < COUNT(refusals); i++)
		for (size_t k = 0; k < COUNT(modes); k++) {
			char expect[100];
			const char *got;
			int fd = client_open();

			slow.mode[refusals[i].moment] = modes[k];
			snprintf(expect, sizeof(expect), "%s250",
				 refusals[i].codes);
			got = run(fd, i);
			cr_expect_str_eq(got, expect, "%zu, %zu: %s", i, k,
					 got);
			slow.mode[refusals[i].moment] = GO;
			cr_expect_str_eq(say(fd, "RSET\r\n" FROM TO BDAT),
					 "250 250 250 250");
			close(fd);
			settle();
		}
	cr_expect_eq(slow.cancelled, 0);
	cr_expect_eq(fake.drafts, 0);
}

/* The words are the answer's. */
Test(ask, words)
{
	char text[5000];
	const char *got;
	int fd = client_open();

	slow.mode[GATE_RCPT] = REFUSE;
	say(fd, HELLO FROM);
	say_words(450, "4.7.1", "Come\r\nback \xff later");
	cr_expect_str_eq(ask(fd, TO), "450 4.7.1 Come back ? later\r\n");
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	say_words(550, "5.7.1", text);
	got = ask(fd, TO);
	cr_expect_leq(strlen(got), 512);
	cr_expect_eq(strncmp(got, "550 5.7.1 xxx", 13), 0);
	cr_expect_str_eq(say(fd, "NOOP\r\n"), "250");
	close(fd);
}

/* 421 ends the session, whenever it is said; before the greeting all do. */
Test(ask, last_words)
{
	static const struct {
		enum gate_moment moment;
		const char *codes;
	} cases[] = {
		{ GATE_MAIL, "250 421 ." },
		{ GATE_RCPT, "250 250 421 ." },
		{ GATE_END, "250 250 250 421 ." },
	};
	int fd;

	say_words(421, "4.7.0", "Bye");
	for (size_t i = 0; i < COUNT(cases); i++) {
		fd = client_open();
		slow.mode[cases[i].moment] = i % 2 == 0 ? LATER : REFUSE;
		client_send(fd, SPAN_LIT(HELLO FROM TO BDAT FROM));
		if (slow.out != NULL)
			answer(&slow.words);
		cr_expect_str_eq(codes(client_read(fd)), cases[i].codes);
		slow.mode[cases[i].moment] = GO;
		close(fd);
	}
	say_words(554, "5.7.1", "No");
	for (int i = 0; i < 2; i++) {
		slow.mode[GATE_CONNECTION] = i == 0 ? REFUSE : LATER;
		fd = knock();
		if (slow.out != NULL)
			answer(&slow.words);
		cr_expect_str_eq(codes(client_read(fd)), "554 .");
		close(fd);
	}
	cr_expect_eq(intake_sessions(world.intake), 0);
}

/* While the answer is out nothing that came behind is looked at, however much
 * it is; then all of it is, in order. */
Test(ask, pipelined_input_waits)
{
	int fd;

	slow.mode[GATE_CONNECTION] = LATER;
	fd = knock();
	cr_expect_str_eq(say(fd, HELLO), "");
	answer(NULL);
	cr_expect_str_eq(codes(client_read(fd)), "220 250");
	slow.mode[GATE_MAIL] = slow.mode[GATE_RCPT] = slow.mode[GATE_CONTENT] =
		slow.mode[GATE_END] = LATER;
	cr_expect_str_eq(say(fd, FROM TO TO BDAT "NOOP\r\n"), "");
	answer(NULL);
	cr_expect_str_eq(codes(client_read(fd)), "250");
	cr_expect_str_eq(slow.facts[GATE_RCPT],
			 "192.0.2.7 <client.test> from=a@b.test size=0 "
			 "to=user@example.com/example.com");
	answer(NULL);
	answer(&slow.words);
	cr_expect_str_eq(codes(client_read(fd)), "250 550");
	answer(NULL);
	cr_expect_str_eq(codes(client_read(fd)), "");
	answer(NULL);
	cr_expect_str_eq(codes(client_read(fd)), "250 250");
	cr_expect_eq(fake.kept_count, 1);
	cr_expect_eq(fake.kept[0].rcpt_count, 1);
	close(fd);
}

/* What is too much stays in the kernel meanwhile. */
Test(ask, input_is_bounded)
{
	static char lines[40 * 1024];
	int fd = client_open();
	const char *got;

	for (size_t i = 0; i < sizeof(lines) - 1; i++)
		lines[i] = "\nN\r"[i % 2000 == 1999 ? 0 : 1 + i % 2000 / 1998];
	slow.mode[GATE_MAIL] = LATER;
	client_send(fd, SPAN_LIT(HELLO FROM));
	client_send(fd, span_str(lines));
	cr_expect(TAILQ_FIRST(&world.intake->sessions)->is_paused);
	answer(NULL);
	got = codes(client_read(fd)); /* and one for each whole line */
	cr_expect_eq(strlen(got), 4 * (2 + sizeof(lines) / 2000) - 1, "%s",
		     got);
	cr_expect_eq(strncmp(got, "250 250 500 ", 12), 0);
	close(fd);
}

/* The answer may come from inside of anything: what it leads to is said, and
 * the next command is run from the loop. */
Test(ask, goes_on_from_the_loop)
{
	int fd = client_open();

	slow.mode[GATE_MAIL] = LATER;
	cr_expect_str_eq(say(fd, HELLO FROM TO), "250");
	gate_answer(slow.out, NULL);
	cr_expect_eq(slow.asked[GATE_RCPT], 0);
	cr_expect_str_eq(codes(client_read(fd)), "250 250");
	close(fd);
}

/* Content that comes before 354 was sent without knowing our answer: it is
 * neither taken nor run as commands, whatever the answer is. */
Test(ask, content_ahead_of_354)
{
	for (int i = 0; i < 2; i++) {
		int fd = client_open();

		slow.mode[GATE_CONTENT] = LATER;
		cr_expect_str_eq(say(fd, HELLO FROM TO "DATA\r\n"),
				 "250 250 250");
		cr_expect_str_eq(say(fd, "RSET\r\n" FROM TO), "");
		answer(i == 0 ? NULL : &slow.words);
		cr_expect_str_eq(codes(client_read(fd)), "503 .");
		close(fd);
	}
	cr_expect_eq(fake.drafts, 0);
}

/* Others are served meanwhile, with questions of their own. */
Test(ask, others_go_on)
{
	int fd = client_open(), other = client_open();

	slow.mode[GATE_RCPT] = LATER;
	cr_expect_str_eq(say(fd, HELLO FROM TO), "250 250");
	slow.mode[GATE_RCPT] = GO;
	cr_expect_str_eq(say(other, "EHLO o.test\r\nMAIL FROM:<o@o.test>\r\n"
				    "RCPT TO:<other@example.com>\r\n" BDAT),
			 "250 250 250 250");
	answer(NULL);
	cr_expect_str_eq(codes(client_read(fd)), "250");
	cr_expect_str_eq(say(fd, BDAT), "250");
	cr_expect_str_eq(fake.kept[0].rcpts,
			 "other@example.com example.com 0 \n");
	cr_expect_str_eq(fake.kept[1].rcpts,
			 "user@example.com example.com 0 \n");
	close(fd);
	close(other);
}

/* The answer comes while the session waits for another turn. */
Test(ask, answer_before_its_turn)
{
	/* the question is the last of the 32 steps of a turn */
	enum { TOS = 27 };
	struct buf lines = { 0 };
	int fd = client_open();
	const char *got;

	slow.mode[GATE_END] = LATER;
	buf_adds(&lines, HELLO FROM);
	for (int i = 0; i < TOS; i++)
		buf_adds(&lines, TO);
	buf_adds(&lines, BDAT "NOOP\r\n");
	cr_assert_eq(send(fd, lines.p, lines.n, 0), (ssize_t)lines.n);
	while (slow.out == NULL)
		ev_run(world.loop, EVRUN_ONCE);
	answer(NULL);
	got = codes(client_read(fd));
	cr_expect_eq(strlen(got), 4 * (TOS + 4) - 1, "%s", got);
	cr_expect_eq(fake.kept_count, 1);
	buf_fini(&lines);
	close(fd);
}

/* ---- The session leaves first ---- */

static int leave_out(enum gate_moment moment)
{
	int fd;

	slow.mode[moment] = LATER;
	fd = knock();
	client_send(fd, SPAN_LIT(HELLO FROM TO BDAT));
	cr_assert_not_null(slow.out, "%d", (int)moment);
	return fd;
}

static void expect_cancelled(enum gate_moment moment)
{
	cr_expect_eq(slow.cancelled, 1, "%d", (int)moment);
	cr_expect_null(slow.out);
	cr_expect_eq(fake.drafts, 0);
	cr_expect_eq(shares_networks(policy_shares(world.policy)), 0);
	slow.cancelled = 0;
	slow.mode[moment] = GO;
}

/* A reset: what was said to it stays unread. */
Test(ask, client_hangs_up)
{
	for (enum gate_moment m = GATE_MAIL; m < GATE_MOMENTS; m++) {
		int fd = leave_out(m);

		close(fd);
		settle();
		expect_cancelled(m);
		cr_expect_eq(intake_sessions(world.intake), 0);
	}
}

/* Who has closed his side only may still be listening. */
Test(ask, client_closes_its_side)
{
	for (enum gate_moment m = 0; m < GATE_MOMENTS; m++) {
		int fd = leave_out(m);

		shutdown(fd, SHUT_WR);
		settle();
		cr_assert_not_null(slow.out);
		answer(NULL);
		cr_expect_str_eq(codes(client_read(fd)),
				 "220 250 250 250 250 .");
		slow.mode[m] = GO;
		close(fd);
	}
	cr_expect_eq(slow.cancelled, 0);
	cr_expect_eq(fake.kept_count, GATE_MOMENTS);
}

Test(ask, shutdown)
{
	static const char *const heard[] = { "421 .", "220 250 421 .",
					     "220 250 250 421 .",
					     "220 250 250 250 421 .",
					     "220 250 250 250 421 ." };

	for (enum gate_moment m = 0; m < GATE_MOMENTS; m++) {
		int fd = leave_out(m);

		intake_stop(world.intake);
		settle();
		expect_cancelled(m);
		cr_expect_str_eq(codes(client_read(fd)), heard[m]);
		close(fd);
		world.intake->is_stopping = false;
	}
}

/* Nobody comes to hear the answer: the house is closed around the question. */
Test(ask, never)
{
	int fd = leave_out(GATE_END);

	intake_free(&world.intake);
	expect_cancelled(GATE_END);
	close(fd);
}

/* A link that forgets to answer does not hold a session for ever. */
Test(ask, last_resort)
{
	int fd = leave_out(GATE_RCPT);

	conn_deadline(TAILQ_FIRST(&world.intake->sessions)->conn, 1);
	client_read(fd);
	client_await(fd);
	cr_expect_str_eq(client_read(fd), "421 4.3.0 No decision in time, try "
					  "again later\r\n<closed>");
	expect_cancelled(GATE_RCPT);
	close(fd);
}

/* Sent away to make room. */
Test(ask, crowded)
{
	int fd[POLICY_FEW];

	fd[0] = leave_out(GATE_RCPT);
	for (size_t i = 1; i < COUNT(fd); i++)
		fd[i] = client_open();
	cr_expect(session_make_room(world.intake));
	expect_cancelled(GATE_RCPT);
	cr_expect_str_eq(codes(client_read(fd[0])), "220 250 250 421 .");
	for (size_t i = 0; i < COUNT(fd); i++)
		close(fd[i]);
}

/* The time that the answer took is not the client's: who has just heard it is
 * not idle. */
Test(ask, not_idle_when_answered)
{
	int fd = leave_out(GATE_CONNECTION);
	struct gate_question *q = slow.out;

	TAILQ_FIRST(&world.intake->sessions)->active_ms -= 60 * 1000;
	slow.out = NULL;
	gate_answer(q, NULL);
	cr_expect(!session_make_room(world.intake));
	cr_expect_str_eq(codes(client_read(fd)), "220 250 250 250 250");
	close(fd);
}

/* ---- Reload ---- */

/* The question keeps the settings it was asked by; the next has new ones. */
Test(ask, reload)
{
	for (enum gate_moment m = 0; m < GATE_MOMENTS; m++) {
		struct config *old = world.config;
		int fd = leave_out(m);

		world.config = world_config("limits = { errors = 100; };",
					    "example.com recipients=users\n");
		policy_reload(world.policy, world.config);
		intake_reload(world.intake, world.config);
		config_unref(&old);
		/* asan watches: it is still there */
		cr_expect_eq(slow.out->config->limits.errors, 100);
		answer(NULL);
		cr_expect_str_eq(codes(client_read(fd)), "220 250 250 250 250");
		slow.mode[m] = GO;
		close(fd);
		settle();
	}
}

/* ---- Who talks first ---- */

/* Run the loop until the client has heard something. */
static const char *hear(int fd)
{
	client_await(fd);
	return codes(client_read(fd));
}

static void open_pregreet(const char *wait)
{
	char conf[100];

	snprintf(conf, sizeof(conf), "policy = { pregreet = \"%s\"; };", wait);
	world_open(conf);
}

Test(pregreet, who_waits_is_greeted)
{
	int fd;

	open_pregreet("300ms");
	fd = knock();
	cr_expect_str_eq(client_read(fd), "");
	cr_expect_str_eq(hear(fd), "220");
	cr_expect_str_eq(say(fd, HELLO FROM TO BDAT), "250 250 250 250");
	close(fd);
	world_close();
}

Test(pregreet, who_does_not_wait_is_sent_away)
{
	int fd;

	open_pregreet("1m");
	fd = knock();
	cr_expect_str_eq(ask(fd, "EHLO x\r\n"),
			 "554 5.5.1 You spoke before the greeting\r\n"
			 "<closed>");
	cr_expect_eq(intake_sessions(world.intake), 0);
	close(fd);
	/* whom it leaves while it waits costs nothing (asan watches) */
	fd = knock();
	cr_expect_eq(intake_sessions(world.intake), 1);
	close(fd);
	settle();
	world_close();
}

/* Behind a proxy's header as well. */
Test(pregreet, behind_a_proxy)
{
	struct net_addr peer;
	int fd;

	open_pregreet("1m");
	cr_assert_eq(net_addr_parse(SPAN_LIT("127.0.0.1"), &peer), MX_OK);
	fd = client_begin(&peer, true);
	cr_expect_str_eq(ask(fd, "PROXY TCP4 192.0.2.9 192.0.2.1 1 25\r\n"
				 "EHLO x\r\n"),
			 "554 5.5.1 You spoke before the greeting\r\n"
			 "<closed>");
	close(fd);
	fd = client_begin(&peer, true);
	client_send(fd, SPAN_LIT("PROXY TCP4 192.0.2.9 192.0.2.1 1 25\r\n"));
	cr_expect_str_eq(client_read(fd), "");
	close(fd);
	world_close();
}

Test(pregreet, not_for_who_is_trusted)
{
	int fd;

	world_open("policy = { pregreet = \"1m\";"
		   " trusted = [ \"192.0.2.0/24\" ]; };");
	fd = client_open();
	close(fd);
	world_close();
}

/* A client may send ahead what it likes: it waits in the kernel. */
Test(ask, what_is_sent_ahead_is_not_held)
{
	static char ahead[1800 * 31 + 1];
	const struct asked *a;
	int fd = client_open();
	size_t n = 0;

	for (int i = 0; i < 1800; i++)
		n += (size_t)snprintf(ahead + n, sizeof(ahead) - n, TO);
	cr_expect_str_eq(say(fd, HELLO FROM), "250 250");
	slow.mode[GATE_RCPT] = LATER;
	client_send(fd, span_of(ahead, n));
	cr_assert_not_null(slow.out);
	a = CONTAINER_OF(slow.out, struct asked, question);
	cr_expect_leq(conn_input(a->session->conn).n, 8 * 1024, "%zu",
		      conn_input(a->session->conn).n);
	slow.mode[GATE_RCPT] = GO;
	answer(NULL);
	/* and is all answered in the end */
	for (n = 0; n < 1800;) {
		const char *text = client_read(fd);

		cr_assert_neq(*text, '\0', "%zu", n);
		for (; (text = strchr(text, '\n')) != NULL; text++)
			n++;
	}
	cr_expect_eq(slow.asked[GATE_RCPT], 1800);
	close(fd);
}
