/* One connection against a scripted server: what is said, in which order and
 * how far ahead, and what each reply settles. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <sys/socket.h>
#include <unistd.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/delivery/delivery.h"
#include "tests/support/peer.h"

/* ---- One content for everyone ---- */

static struct buf content;
static size_t content_most; /* memory watch: the most asked for at once */
static bool is_content_taken; /* others have it, when its end is asked for */

static enum mx_err read_content(void *arg, const struct delivery_job *job,
				uint64_t offset, size_t most, struct buf *out)
{
	struct span s = span_skip(buf_span(&content), (size_t)offset);

	(void)arg;
	(void)job;
	if (s.n > most)
		s.n = most;
	if (out->n + s.n > content_most)
		content_most = out->n + s.n;
	buf_add(out, s);
	if (is_content_taken && offset + s.n == content.n)
		return MX_EBUSY;
	return MX_OK;
}

/* ---- The world ---- */

struct world {
	struct ev_loop *loop;
	struct peer *peer;
	struct peer_options popt;
	struct route route;
	struct route_host host;
	struct net_addr addr;
	struct delivery *delivery;
	struct smtp_ehlo ehlo;
	int to_give, given;
	bool is_ready, is_done, is_ended;
	bool is_silent; /* the peer: nobody accepts */
	int done, done_wanted;
	struct delivery_end end;
	char end_reply[300];
	enum outcome outcomes[64][200];
	char replies[64][200];
	bool in_doubt[64], was_head[64];
	size_t rcpts; /* per job */
	struct envelope envelope;
	const char *path; /* instead of u%zu@example.org */
	unsigned without; /* as told, and as found out */
	bool is_proven;
};

static struct unit *make_unit(struct world *w)
{
	struct unit *u = mx_alloc(sizeof(*u));
	char path[100];

	u->envelope = w->envelope;
	u->envelope.id = 7;
	if (u->envelope.bytes == 0)
		u->envelope.bytes = content.n;
	if (u->envelope.from.p == NULL)
		u->envelope.from = SPAN_LIT("from@example.net");
	u->domain = SPAN_LIT("example.org");
	u->rcpt_count = w->rcpts;
	u->rcpts = arena_alloc_array(&u->arena, w->rcpts, sizeof(*u->rcpts));
	for (size_t i = 0; i < w->rcpts; i++) {
		snprintf(path, sizeof(path), "u%zu@example.org", i);
		u->rcpts[i].number = (uint32_t)i;
		u->rcpts[i].path = arena_span(
			&u->arena, span_str(w->path != NULL ? w->path : path));
		u->rcpts[i].domain = u->domain;
	}
	return u;
}

static void on_done(struct delivery *d, struct delivery_job *job, void *arg);

static const struct delivery_listener listener = { .on_done = on_done };

static void give_more(struct world *w, struct delivery *d)
{
	const struct delivery_source source = { read_content, NULL };

	while (w->given < w->to_give && delivery_room(d) > 0) {
		struct unit *u = make_unit(w);

		w->given++;
		delivery_give(d, delivery_job_new(&u, source, &listener,
						  (void *)(intptr_t)w->given));
	}
}

static void on_ready(struct delivery *d, const struct smtp_ehlo *ehlo,
		     int64_t latency_ms, void *arg)
{
	struct world *w = arg;

	cr_assert(!w->is_ready);
	cr_assert_geq(latency_ms, 0);
	w->is_ready = true;
	w->ehlo = *ehlo;
	give_more(w, d);
	w->without = delivery_without(d);
	if (w->to_give == 0)
		delivery_quit(d);
}

static void on_done(struct delivery *d, struct delivery_job *job, void *arg)
{
	struct world *w = arg;
	int at;

	w->done++;
	if (delivery_without(d) == 0)
		cr_assert_eq((intptr_t)job->arg, w->done, "in order");
	at = (int)(intptr_t)job->arg - 1;
	for (size_t i = 0; i < job->unit->rcpt_count && i < 200; i++)
		w->outcomes[at][i] = job->set[i].outcome;
	snprintf(w->replies[at], sizeof(w->replies[at]), "%.*s",
		 SPAN_ARG(job->set[0].reply));
	w->in_doubt[at] = job->in_doubt;
	w->was_head[at] = job->was_head;
	delivery_job_free(&job);
	if (w->done == w->to_give && !w->is_ended)
		delivery_quit(d);
}

static void on_room(struct delivery *d, void *arg)
{
	give_more(arg, d);
}

static void on_end(struct delivery *d, const struct delivery_end *end,
		   void *arg)
{
	struct world *w = arg;
	struct buf line = { 0 };

	w->end = *end;
	smtp_reply_print(&line, &end->reply);
	snprintf(w->end_reply, sizeof(w->end_reply), "%.*s",
		 SPAN_ARG(buf_span(&line)));
	buf_fini(&line);
	w->delivery = NULL;
	w->is_ended = w->is_done = true;
	w->without = delivery_without(d);
	w->is_proven = delivery_is_proven(d);
}

static const struct delivery_events events = {
	.on_ready = on_ready,
	.on_room = on_room,
	.on_end = on_end,
};

static void begin(struct world *w, const char *ehlo, peer_reply *reply)
{
	memset(w, 0, sizeof(*w));
	w->loop = ev_loop_new(0);
	w->popt.ehlo = ehlo;
	w->popt.reply = reply;
	w->popt.arg = w;
	w->peer = peer_new(w->loop, &w->popt);
	w->addr = w->peer->addr;
	w->host.tls.level = TLS_LEVEL_NONE;
	w->rcpts = 1;
	buf_reset(&content);
	buf_adds(&content, "Subject: x\r\n\r\n.dot\r\nlast\r\n");
}

static void run(struct world *w, int jobs)
{
	struct delivery_options opt = {
		.loop = w->loop,
		.helo = SPAN_LIT("mx2.example.net"),
		.local_name = SPAN_LIT("mx2.example.net"),
		.host = &w->host,
		.route = &w->route,
		.target = &w->addr,
		.connect_timeout_ms = 2000,
		.reply_timeout_ms = w->is_silent ? MINUTES(5) : 300,
		.greeting_timeout_ms = w->is_silent ? 200 : 0,
		.without = w->without,
	};

	w->route.refs = 100; /* never freed here */
	w->to_give = jobs;
	w->delivery = delivery_new(&opt, &events, w);
	cr_assert(peer_run(w->loop, &w->is_done, 5000), "no end");
	cr_assert_eq(w->done, w->given);
}

static void finish(struct world *w)
{
	bool never = false;

	peer_run(w->loop, &never, 20); /* lingering sockets */
	peer_free(&w->peer);
	ev_loop_destroy(w->loop);
}

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

/* ---- What replies settle ---- */

struct refusal {
	const char *ehlo, *at, *reply;
	enum outcome outcome;
};

static const struct refusal *refusal;

/* Behind a refusal of MAIL, or of RCPT, nothing goes on. */
static bool is_behind(const char *line)
{
	if (strcmp(refusal->at, "MAIL") == 0)
		return strncmp(line, "RCPT", 4) == 0 ||
		       strncmp(line, "DATA", 4) == 0 ||
		       strncmp(line, "BDAT", 4) == 0;
	return strcmp(refusal->at, "RCPT") == 0 &&
	       strncmp(line, "BDAT", 4) == 0;
}

static const char *at_refusal(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	if (strncmp(line, refusal->at, strlen(refusal->at)) == 0)
		return refusal->reply;
	return is_behind(line) ? "503 5.5.1 not now" : NULL;
}

/* Every stage, in every manner of sending; the connection goes on. */
Test(delivery, refusals_settle_the_job)
{
	static const char *const manners[] = { "8BITMIME", "PIPELINING",
					       "PIPELINING\nCHUNKING",
					       "CHUNKING" };
	static const struct refusal cases[] = {
		{ NULL, "MAIL", "450 4.3.0 later", OUTCOME_TRANSIENT },
		{ NULL, "MAIL", "550 5.7.1 never", OUTCOME_PERMANENT },
		{ NULL, "MAIL", "530 5.7.0 STARTTLS first", OUTCOME_TRANSIENT },
		{ NULL, "RCPT", "450 4.2.1 busy", OUTCOME_TRANSIENT },
		{ NULL, "RCPT", "550 5.1.1 unknown", OUTCOME_PERMANENT },
		{ NULL, "DATA", "451 4.3.0 later", OUTCOME_TRANSIENT },
		{ NULL, "DATA", "554 5.5.1 never", OUTCOME_PERMANENT },
		{ NULL, ".", "452 4.3.1 full", OUTCOME_TRANSIENT },
		{ NULL, ".", "554 5.6.0 spam", OUTCOME_PERMANENT },
		{ NULL, "BDAT", "452 4.3.1 full", OUTCOME_TRANSIENT },
		{ NULL, "BDAT", "554 5.6.0 spam", OUTCOME_PERMANENT },
	};

	for (size_t m = 0; m < COUNT(manners); m++)
		for (size_t i = 0; i < COUNT(cases); i++) {
			bool chunking = strstr(manners[m], "CHUNK") != NULL;
			struct world w;

			refusal = &cases[i];
			if (strcmp(refusal->at, chunking ? "DATA" : "BDAT") ==
				    0 ||
			    (chunking && strcmp(refusal->at, ".") == 0))
				continue;
			begin(&w, manners[m], at_refusal);
			run(&w, 3);
			cr_expect_eq(w.done, 3);
			cr_expect_eq(w.end.why, DELIVERY_CLOSED, "%s: %s (%s)",
				     manners[m], cases[i].reply, w.end_reply);
			for (int j = 0; j < 3; j++) {
				cr_expect_eq(w.outcomes[j][0], cases[i].outcome,
					     "%s: %s", manners[m],
					     cases[i].reply);
				cr_expect_str_eq(w.replies[j], cases[i].reply);
			}
			finish(&w);
		}
}

static const char *mixed_rcpts(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	if (strstr(line, "u0@") != NULL)
		return "550 5.1.1 unknown";
	if (strstr(line, "u1@") != NULL)
		return "450 4.2.1 busy";
	if (strstr(line, "u3@") != NULL)
		return "452 4.5.3 too many recipients";
	if (strstr(line, "u4@") != NULL)
		return "452 4.2.2 mailbox full";
	return NULL;
}

/* A RCPT reply settles one recipient; 452 behind an accepted one is only
 * "not in this transaction" (RFC 5321 section 4.5.3.1.10). */
Test(delivery, each_recipient_has_its_own_outcome)
{
	static const enum outcome expected[] = {
		OUTCOME_PERMANENT, OUTCOME_TRANSIENT, OUTCOME_DELIVERED,
		OUTCOME_UNTRIED,   OUTCOME_TRANSIENT, OUTCOME_DELIVERED,
	};
	static const char *const manners[] = { "8BITMIME", "PIPELINING",
					       "PIPELINING\nCHUNKING" };

	for (size_t m = 0; m < COUNT(manners); m++) {
		struct world w;

		begin(&w, manners[m], mixed_rcpts);
		w.rcpts = COUNT(expected);
		run(&w, 1);
		for (size_t i = 0; i < COUNT(expected); i++)
			cr_expect_eq(w.outcomes[0][i], expected[i], "%s: %zu",
				     manners[m], i);
		finish(&w);
	}
}

/* What is refused for having come too early goes again in lock-step; where it
 * did not, no refusal like it is about mail either. */
Test(delivery, out_of_order)
{
	static const struct refusal cases[] = {
		{ "PIPELINING", "MAIL", "500 what?", OUTCOME_UNTRIED },
		{ "PIPELINING", "RCPT", "503 5.5.1 no", OUTCOME_UNTRIED },
		{ "PIPELINING", "RCPT", "501 5.5.2 no", OUTCOME_UNTRIED },
		{ "PIPELINING", "RCPT", "501 5.1.3 no", OUTCOME_PERMANENT },
		{ "PIPELINING", "DATA", "503 5.5.1 no", OUTCOME_UNTRIED },
		{ "8BITMIME", "RCPT", "503 5.5.1 no", OUTCOME_TRANSIENT },
		{ "8BITMIME", "RCPT", "500 5.5.1 no", OUTCOME_PERMANENT },
		{ "PIPELINING\nCHUNKING", "RCPT", "500 no", OUTCOME_UNTRIED },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		bool again = cases[i].outcome == OUTCOME_UNTRIED;
		struct world w;

		refusal = &cases[i];
		begin(&w, cases[i].ehlo, at_refusal);
		run(&w, 3);
		cr_expect_eq(w.end.why, DELIVERY_CLOSED);
		cr_expect_eq((w.without & SMTP_EXT_PIPELINING) != 0, again);
		for (int j = 0; j < w.done; j++)
			cr_expect_eq(w.outcomes[j][0], cases[i].outcome,
				     "%s: %s", cases[i].ehlo, cases[i].reply);
		cr_expect_leq(peer_saw(w.peer, "MAIL"), again ? 1 : 3);
		finish(&w);
	}
}

static const char *no_rcpt(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	return strncmp(line, "RCPT", 4) == 0 ? "550 5.1.1 unknown" : NULL;
}

/* RFC 2920 section 3.1: 354 although nobody was accepted: a lone dot.  And
 * after a refusal DATA waits for what RCPT comes to. */
Test(delivery, a_lone_dot_when_354_comes_for_nobody)
{
	struct world w;

	begin(&w, "PIPELINING", no_rcpt);
	run(&w, 2);
	cr_assert_eq(w.peer->message_count, 1);
	cr_assert_eq(w.peer->messages[0].n, 0);
	cr_assert_eq(peer_saw(w.peer, "DATA"), 1);
	cr_assert_eq(w.outcomes[1][0], OUTCOME_PERMANENT);
	cr_assert_eq(w.end.why, DELIVERY_CLOSED);
	finish(&w);
}

/* Servers punish errors: after a few of them a new connection is cheaper. */
Test(delivery, a_connection_ends_after_eight_refusals)
{
	struct world w;

	begin(&w, "PIPELINING", no_rcpt);
	run(&w, 20);
	cr_assert_lt(w.given, 12);
	cr_assert_eq(peer_saw(w.peer, "QUIT"), 1);
	cr_assert_eq(w.end.why, DELIVERY_CLOSED);
	finish(&w);
}

static const char *second_ehlo;

static const char *at_second_ehlo(struct peer *p, const char *line, void *arg)
{
	(void)arg;
	return strncmp(line, "EHLO", 4) == 0 && peer_saw(p, "EHLO") > 1
		       ? second_ehlo
		       : NULL;
}

/* EHLO behind the first message proves that its replies were its own: by the
 * server's name, or by what only a command out of order is answered with. */
Test(delivery, what_proves_the_replies)
{
	static const struct {
		const char *reply;
		bool proves;
	} cases[] = {
		{ "250 peer.example", true },	{ "503 5.5.1 once", true },
		{ "500 what?", true },		{ "504 5.5.4 no", true },
		{ "250 2.0.0 taken", false },	{ "250 other.example", false },
		{ "450 4.3.0 later", false },	{ "505 no", false },
		{ "550 5.7.1 no", false },	{ "354 go on", false },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct world w;

		second_ehlo = cases[i].reply;
		begin(&w, "PIPELINING", at_second_ehlo);
		run(&w, 1);
		cr_expect_eq(w.is_proven, cases[i].proves, "%s",
			     cases[i].reply);
		cr_expect_eq((w.without & DELIVERY_TRUST) == 0,
			     cases[i].proves, "%s", cases[i].reply);
		finish(&w);
	}
}

/* Far away, and from the 25th message on it knows nobody. */
static struct strict {
	int mails, errors, most; /* on end */
	bool is_known;
} strict;

static const char *count_errors(struct peer *p, const char *line, void *arg)
{
	bool is_rcpt = strncmp(line, "RCPT", 4) == 0;

	(void)p;
	(void)arg;
	if (strncmp(line, "EHLO", 4) == 0)
		usleep(50000); /* the round trip that is measured */
	if (strncmp(line, "MAIL", 4) == 0)
		strict.is_known = strict.mails++ < 24;
	if (strncmp(line, "BDAT", 4) == 0 && strict.is_known)
		strict.errors = 0;
	if (strict.is_known || (!is_rcpt && strncmp(line, "BDAT", 4) != 0))
		return NULL;
	if (++strict.errors > strict.most)
		strict.most = strict.errors;
	return is_rcpt ? "550 5.1.1 unknown" : "503 5.5.1 RCPT first";
}

/* Postfix waits a second at each from the tenth on. */
Test(delivery, what_runs_ahead_is_not_refused_ten_times)
{
	for (size_t rcpts = 1; rcpts <= 3; rcpts++) {
		struct world w;

		memset(&strict, 0, sizeof(strict));
		begin(&w, "PIPELINING\nCHUNKING", count_errors);
		w.rcpts = rcpts;
		run(&w, 60);
		cr_expect_geq(strict.most, 8);
		/* at seven errors one may begin, alone */
		cr_expect_leq((size_t)strict.most, 7 + rcpts);
		cr_expect_eq(w.end.why, DELIVERY_CLOSED, "%s", w.end_reply);
		finish(&w);
	}
}

/* A transaction that ended early must not be taken for the next one. */
Test(delivery, rset_after_a_refusal_without_content)
{
	struct world w;

	begin(&w, "8BITMIME", no_rcpt);
	run(&w, 2);
	cr_assert_eq(peer_saw(w.peer, "DATA"), 0);
	cr_assert_eq(peer_saw(w.peer, "RSET"), 1);
	finish(&w);
}

/* ---- Limits ---- */

Test(delivery, a_hundred_recipients_at_most)
{
	struct world w;

	begin(&w, "PIPELINING", NULL);
	w.rcpts = 130;
	run(&w, 1);
	cr_assert_eq(peer_saw(w.peer, "RCPT"), 100);
	cr_assert_eq(w.outcomes[0][99], OUTCOME_DELIVERED);
	cr_assert_eq(w.outcomes[0][100], OUTCOME_UNTRIED);
	finish(&w);
}

/* RFC 9422. */
Test(delivery, limits_are_kept)
{
	struct world w;

	begin(&w, "PIPELINING\nLIMITS RCPTMAX=2 MAILMAX=3", NULL);
	w.rcpts = 3;
	run(&w, 5);
	cr_assert_eq(w.given, 3);
	cr_assert_eq(peer_saw(w.peer, "MAIL"), 3);
	cr_assert_eq(peer_saw(w.peer, "RCPT"), 6);
	cr_assert_eq(w.end.why, DELIVERY_CLOSED);
	finish(&w);
}

Test(delivery, a_message_over_the_announced_size_is_not_sent)
{
	struct world w;

	begin(&w, "SIZE 65536", NULL);
	w.envelope.bytes = 65537;
	run(&w, 1);
	cr_assert_eq(w.outcomes[0][0], OUTCOME_PERMANENT);
	cr_assert(strstr(w.replies[0], "5.3.4") != NULL);
	cr_assert_eq(peer_saw(w.peer, "MAIL"), 0);
	finish(&w);
}

Test(delivery, a_size_that_nobody_can_mean_is_not_believed)
{
	struct world w;

	begin(&w, "SIZE 10", NULL);
	run(&w, 1);
	cr_assert_eq(w.outcomes[0][0], OUTCOME_DELIVERED);
	finish(&w);
}

Test(delivery, smtputf8_is_not_downgraded)
{
	struct world w;

	begin(&w, "8BITMIME", NULL);
	w.path = "gr\xc3\xbc\xc3\x9f@example.org";
	w.envelope.smtputf8 = true;
	run(&w, 1);
	cr_assert_eq(w.outcomes[0][0], OUTCOME_PERMANENT);
	cr_assert(strstr(w.replies[0], "5.6.7") != NULL);
	finish(&w);
}

/* ---- The end in the middle ---- */

struct accident {
	const char *ehlo, *at, *reply;
	int why;
	bool in_doubt;
};

static const struct accident *accident;

static const char *at_accident(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	if (strncmp(line, accident->at, strlen(accident->at)) == 0)
		return accident->reply;
	return NULL;
}

/* Nobody is settled by a connection that ends; only content whose reply is
 * missing leaves a doubt. */
Test(delivery, accidents)
{
	static const struct accident cases[] = {
		{ "PIPELINING", "MAIL", "421 4.3.2 bye", DELIVERY_BUSY, false },
		{ "PIPELINING", "RCPT", "421 4.3.2 bye", DELIVERY_BUSY, false },
		{ "PIPELINING", "DATA", "421 4.3.2 bye", DELIVERY_BUSY, false },
		{ "PIPELINING", ".", "421 4.3.2 bye", DELIVERY_BUSY, false },
		{ "PIPELINING", "MAIL", PEER_CLOSE, DELIVERY_LOST, false },
		{ "PIPELINING", "DATA", PEER_CLOSE, DELIVERY_LOST, false },
		{ "PIPELINING", ".", PEER_CLOSE, DELIVERY_LOST, true },
		{ "PIPELINING", ".", PEER_HANG, DELIVERY_LOST, true },
		{ "8BITMIME", "RCPT", PEER_HANG, DELIVERY_LOST, false },
		{ "PIPELINING\nCHUNKING", "BDAT", PEER_CLOSE, DELIVERY_LOST,
		  true },
		{ "PIPELINING\nCHUNKING", "BDAT", "421 4.3.2 bye",
		  DELIVERY_BUSY, false },
		{ "8BITMIME", "DATA", "250 what?", DELIVERY_CLOSED, false },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct world w;

		accident = &cases[i];
		begin(&w, cases[i].ehlo, at_accident);
		run(&w, 1);
		cr_expect_eq((int)w.end.why, cases[i].why, "%s %s: %d (%s)",
			     cases[i].at, cases[i].reply, (int)w.end.why,
			     w.end_reply);
		cr_expect_eq(w.outcomes[0][0], OUTCOME_UNTRIED);
		cr_expect_eq(w.in_doubt[0], cases[i].in_doubt, "%s %s",
			     cases[i].at, cases[i].reply);
		cr_expect(w.was_head[0], "%s %s", cases[i].at, cases[i].reply);
		finish(&w);
	}
}

/* Nor is anybody settled, or to blame, where others have the mail by now; and
 * the server never gets its end. */
Test(delivery, the_end_of_what_others_have_is_not_sent)
{
	static const char *const offers[] = { "8BITMIME", "PIPELINING",
					      "PIPELINING\nCHUNKING" };

	is_content_taken = true;
	for (size_t i = 0; i < COUNT(offers); i++) {
		struct world w;

		begin(&w, offers[i], NULL);
		run(&w, 2);
		cr_expect_eq((int)w.end.why, DELIVERY_CLOSED, "%s", offers[i]);
		cr_expect_str_eq(w.end_reply, "(content) 4.3.0 Other nodes "
					      "may have it by now");
		cr_expect_eq(w.peer->message_count, 0, "%s", offers[i]);
		for (int job = 0; job < 2; job++) {
			cr_expect_eq(w.outcomes[job][0], OUTCOME_UNTRIED);
			cr_expect_not(w.in_doubt[job]);
			cr_expect_not(w.was_head[job]);
		}
		finish(&w);
	}
	is_content_taken = false;
}
