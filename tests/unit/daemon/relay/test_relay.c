/* A relayed transaction behind a door of the test's own. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/relay/relay.h"

TestSuite(relay, .timeout = 60);

#define ENVELOPE                                                               \
	{ .from = SPAN_LIT("a@b.test"), .envid = SPAN_LIT("xy"),               \
	  .smtputf8 = true }

/* ---- The door ---- */

struct lane {
	struct lane_ask ask;
	char domain[100];
	size_t rcpts;
	char paths[400]; /* one a line */
	uint64_t bytes;
	unsigned pieces; /* in which it was handed on */
	bool is_all, is_over;
	struct buf got; /* what was read of the content */
};

static struct {
	bool may_answer, is_shut, is_same;
	unsigned asked, closed;
	struct lane *lane; /* the last one that carries */
	struct lane_peer peer;
} door;

static void add_path(struct lane *l, struct span path)
{
	size_t n = strlen(l->paths);

	snprintf(l->paths + n, sizeof(l->paths) - n, "%.*s\n", SPAN_ARG(path));
	l->rcpts++;
}

static bool may_answer(struct span domain, void *arg)
{
	cr_expect_eq(arg, (void *)&door);
	cr_expect_gt(domain.n, 0);
	return door.may_answer;
}

static struct lane *ask(const struct lane_ask *what, void *arg)
{
	struct lane *l;

	cr_expect_eq(arg, (void *)&door);
	door.asked++;
	if (door.is_shut) {
		struct unit *u = what->unit;

		unit_free(&u);
		return NULL;
	}
	l = mx_alloc(sizeof(*l));
	l->ask = *what;
	snprintf(l->domain, sizeof(l->domain), "%.*s", SPAN_ARG(what->domain));
	if (what->unit == NULL) {
		what->listener->on_none(door.is_same ? LANE_SAME : LANE_OTHER,
					SPAN_LIT(""), what->arg);
		return l;
	}
	cr_expect(span_eq(what->unit->envelope.from, SPAN_LIT("a@b.test")));
	cr_expect(span_eq(what->unit->envelope.envid, SPAN_LIT("xy")));
	cr_expect(what->unit->envelope.smtputf8);
	add_path(l, what->unit->rcpts[0].path);
	door.lane = l;
	return l;
}

static void more_rcpt(struct lane *l, const struct recipient *r)
{
	cr_expect_eq(r->number, l->rcpts);
	add_path(l, r->path);
}

static void more_content(struct lane *l, uint64_t bytes, bool is_all)
{
	cr_expect_geq(bytes, l->bytes);
	l->bytes = bytes;
	l->is_all = is_all;
	l->pieces++;
}

static void close_lane(struct lane **lp)
{
	struct lane *l = *lp;

	if (l == NULL)
		return;
	*lp = NULL;
	door.closed += !l->is_over && l->ask.unit != NULL;
	if (door.lane == l)
		door.lane = NULL;
	unit_free(&l->ask.unit);
	buf_fini(&l->got);
	free(l);
}

static const struct relay_door the_door = {
	may_answer, ask, more_rcpt, more_content, close_lane, close_lane, &door,
};

/* ---- What the primary does ---- */

static void begun(void)
{
	door.lane->ask.listener->on_begun(&door.peer, door.lane->ask.arg);
}

static void replies(size_t i, enum meaning m, const char *reply)
{
	door.lane->ask.listener->on_rcpt(i, m, span_str(reply),
					 door.lane->ask.arg);
}

/* As much of the content as it reads now. */
static void reads(size_t most)
{
	struct lane *l = door.lane;
	size_t left = l->bytes - l->got.n;

	if (left < most)
		most = left;
	if (most > 0)
		cr_assert_eq(l->ask.source.read(l->ask.source.arg, NULL,
						l->got.n, most, &l->got),
			     MX_OK);
}

/* The job is over, with one outcome for all. */
static void done_with(enum outcome o, const char *reply,
		      enum refused_at at, const struct delivery_end *end,
		      bool in_doubt)
{
	struct lane *l = door.lane;
	struct settlement set[8] = { 0 };
	struct delivery_job job = {
		.unit = l->ask.unit,
		.set = set,
		.count = l->rcpts,
		.refused_at = at,
		.failed_at = at,
		.in_doubt = in_doubt,
	};

	for (size_t i = 0; i < l->rcpts; i++) {
		set[i].outcome = o;
		set[i].reply = span_str(reply);
	}
	l->is_over = true;
	l->ask.listener->on_done(&job, end, l->ask.arg);
}

static void answers(enum outcome o, const char *reply, enum refused_at at)
{
	done_with(o, reply, at, NULL, false);
}

static void ends(const char *stage, int code, const char *text,
		 const char *made, bool in_doubt)
{
	struct delivery_end end = {
		.why = made != NULL ? DELIVERY_LOST : DELIVERY_BUSY,
		.stage = stage,
	};

	smtp_reply_set(&end.reply, code, "", span_str(text));
	end.reply.made = made;
	done_with(OUTCOME_UNTRIED, "", REFUSED_NOT, &end, in_doubt);
	smtp_reply_fini(&end.reply);
}

/* ---- The client ---- */

struct client {
	struct ev_loop *loop;
	struct envelope env;
	struct relay *relay;
	unsigned rcpts, rooms, ended;
	struct relay_said rcpt, end;
};

static void on_rcpt(const struct relay_said *said, void *arg)
{
	struct client *c = arg;

	c->rcpt = *said;
	c->rcpts++;
}

static void on_room(void *arg)
{
	((struct client *)arg)->rooms++;
}

static void on_end(const struct relay_said *said, void *arg)
{
	struct client *c = arg;

	c->end = *said;
	c->ended++;
	relay_free(&c->relay); /* as a session may */
}

static const struct relay_listener listener = { on_rcpt, on_room, on_end };

static void client_begin(struct client *c, struct envelope env)
{
	*c = (struct client){ .loop = ev_loop_new(0), .env = env };
	memset(&door, 0, sizeof(door));
	door.may_answer = door.peer.is_only = true;
	door.peer.host = SPAN_LIT("mx.test");
	c->relay = relay_new(&(struct relay_options){
		.loop = c->loop,
		.door = &the_door,
		.env = &c->env,
		.size = 1234,
		.listener = &listener,
		.arg = c,
	});
}

static void client_end(struct client *c)
{
	relay_free(&c->relay);
	ev_loop_destroy(c->loop);
}

static void turn(struct client *c)
{
	for (int i = 0; i < 4; i++)
		ev_run(c->loop, EVRUN_NOWAIT);
}

static void rcpt(struct client *c, const char *path)
{
	relay_rcpt(c->relay,
		   &(struct recipient){
			   .path = span_str(path),
			   .domain = span_str(strchr(path, '@') + 1),
		   });
}

/* One that is taken, and content. */
static void to_content(struct client *c, const char *text)
{
	rcpt(c, "u@example.com");
	begun();
	replies(0, MEANS_YES, "250 2.1.5 ok");
	turn(c);
	cr_assert_eq(c->rcpt.words.code, 250);
	relay_data(c->relay);
	relay_feed(c->relay, span_str(text));
	turn(c);
	reads(SIZE_MAX);
}

/* Our field, the octets and the end: what comes at once goes at once. */
Test(relay, content_goes_in_one_piece)
{
	struct client c;

	client_begin(&c, (struct envelope)ENVELOPE);
	to_content(&c, "Received: here\r\n");
	door.lane->pieces = 0;
	relay_feed(c.relay, SPAN_LIT("Subject: x\r\n"));
	relay_feed(c.relay, SPAN_LIT("\r\nbody\r\n"));
	cr_expect_eq(door.lane->pieces, 0);
	turn(&c);
	cr_expect_eq(door.lane->pieces, 1);
	cr_expect_eq(door.lane->bytes, 36);
	relay_feed(c.relay, SPAN_LIT("more\r\n"));
	relay_end(c.relay);
	cr_expect_eq(door.lane->pieces, 2);
	turn(&c);
	cr_expect_eq(door.lane->pieces, 2, "nothing behind the end");
	client_end(&c);
}

Test(relay, all_goes_well)
{
	struct client c;
	struct relay_facts facts;

	client_begin(&c, (struct envelope)ENVELOPE);
	rcpt(&c, "u@example.com");
	begun();
	cr_expect_eq(door.lane->ask.unit->envelope.bytes, 1234);
	replies(0, MEANS_YES, "251 2.1.5 forwarded");
	cr_expect_eq(c.rcpts, 0, "never from within");
	turn(&c);
	cr_expect_eq(c.rcpts, 1);
	cr_expect_eq(c.rcpt.words.code, 251);
	cr_expect_str_eq(c.rcpt.words.text, "forwarded");
	rcpt(&c, "v@example.com");
	replies(1, MEANS_NEVER, "550 5.1.1 no");
	turn(&c);
	cr_expect_eq(c.rcpt.words.code, 550);
	cr_expect(c.rcpt.words.is_guess);
	/* it may be the sender that is refused */
	rcpt(&c, "w@example.com");
	replies(2, MEANS_NEVER, "550 no");
	turn(&c);
	cr_expect(!c.rcpt.words.is_guess);
	relay_data(c.relay);
	relay_feed(c.relay, SPAN_LIT("on"));
	turn(&c);
	relay_feed(c.relay, SPAN_LIT("e "));
	turn(&c);
	reads(2);
	cr_expect(!door.lane->is_all);
	relay_feed(c.relay, SPAN_LIT("two"));
	relay_end(c.relay);
	cr_expect(door.lane->is_all);
	reads(SIZE_MAX);
	cr_expect_eq(door.lane->bytes, 7);
	cr_expect(span_eq(buf_span(&door.lane->got), SPAN_LIT("one two")));
	answers(OUTCOME_DELIVERED, "250 2.0.0 queued as X", REFUSED_NOT);
	relay_facts(c.relay, &facts);
	cr_expect_str_eq(facts.host, "mx.test");
	turn(&c);
	cr_expect_eq(c.ended, 1);
	cr_expect_eq(c.end.fate, FATE_WORDS);
	cr_expect_eq(c.end.words.code, 250);
	cr_expect_str_eq(c.end.words.text, "queued as X");
	cr_expect_eq(door.closed, 0);
	client_end(&c);
}

/* What the primary says of one recipient. */
Test(relay, rcpt)
{
	static const struct {
		enum meaning m;
		const char *reply;
		bool has_others; /* targets */
		enum relay_fate fate;
		int code;
	} cases[] = {
		{ MEANS_YES, "250 2.1.5 ok", false, FATE_WORDS, 250 },
		{ MEANS_NEVER, "550 5.1.1 no", false, FATE_WORDS, 550 },
		{ MEANS_LATER, "450 4.2.1 later", false, FATE_KEPT, 450 },
		{ MEANS_FULL, "452 4.5.3 enough", false, FATE_KEPT, 452 },
		{ MEANS_FULL, "(rcpt) 4.5.3 Too many recipients", false,
		  FATE_KEPT, 452 },
		{ MEANS_LATER, "503 5.5.1 out of step", false, FATE_KEPT, 0 },
		{ MEANS_LATER, "(size) 5.3.4 too large", false, FATE_WORDS,
		  552 },
		{ MEANS_LATER, "(smtputf8) 5.6.7 not offered", false,
		  FATE_WORDS, 550 },
		{ MEANS_LATER, "(smtputf8) 5.6.7 not offered", true, FATE_KEPT,
		  0 },
		{ MEANS_LATER, "(requiretls) 5.7.10 not authenticated", false,
		  FATE_KEPT, 0 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct client c;

		client_begin(&c, (struct envelope)ENVELOPE);
		door.peer.is_only = !cases[i].has_others;
		rcpt(&c, "u@example.com");
		begun();
		replies(0, cases[i].m, cases[i].reply);
		turn(&c);
		cr_expect_eq(c.rcpt.fate, cases[i].fate, "%s", cases[i].reply);
		cr_expect_eq(c.rcpt.words.code, cases[i].code, "%s: %d",
			     cases[i].reply, c.rcpt.words.code);
		cr_expect_eq(relay_has_rcpts(c.relay),
			     cases[i].m == MEANS_YES);
		client_end(&c);
	}
}

/* No answer to the first RCPT: by whatever the job ends. */
Test(relay, it_ends_at_rcpt)
{
	static const struct {
		const char *stage;
		int code;
		const char *text, *made;
		enum relay_stage at;
		enum relay_event event;
	} cases[] = {
		{ "mail", 421, "bye", NULL, RELAY_MAIL, PRIMARY_LEAVES },
		{ "rcpt", 421, "bye", NULL, RELAY_RCPT, PRIMARY_LEAVES },
		{ "rcpt", 451, "Time-out", "rcpt", RELAY_RCPT,
		  PRIMARY_SILENT },
		{ "mail", 451, "Connection closed by the server", "mail",
		  RELAY_MAIL, PRIMARY_CLOSED },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct client c;

		client_begin(&c, (struct envelope)ENVELOPE);
		rcpt(&c, "u@example.com");
		begun();
		ends(cases[i].stage, cases[i].code, cases[i].text,
		     cases[i].made, false);
		turn(&c);
		cr_expect_eq(c.rcpts, 1);
		cr_expect_eq(c.rcpt.fate, FATE_JUDGED);
		cr_expect_eq(c.rcpt.stage, cases[i].at);
		cr_expect_eq(c.rcpt.event, cases[i].event);
		cr_expect_eq(c.rcpt.words.code, 0);
		cr_expect(!relay_may(&the_door, c.relay,
				     SPAN_LIT("example.com")));
		client_end(&c);
	}
}

/* MAIL refused for good is the answer to every recipient there. */
Test(relay, mail_is_refused)
{
	struct client c;

	client_begin(&c, (struct envelope)ENVELOPE);
	rcpt(&c, "u@example.com");
	begun();
	answers(OUTCOME_PERMANENT, "550 5.7.1 not you", REFUSED_AT_MAIL);
	turn(&c);
	cr_expect_eq(c.rcpt.fate, FATE_WORDS);
	cr_expect_eq(c.rcpt.stage, RELAY_MAIL);
	cr_expect_eq(c.rcpt.words.code, 550);
	cr_expect(relay_may(&the_door, c.relay, SPAN_LIT("example.com")));
	cr_expect(relay_may(&the_door, c.relay, SPAN_LIT("other.test")));
	rcpt(&c, "v@example.com");
	turn(&c);
	cr_expect_eq(c.rcpts, 2);
	cr_expect_eq(c.rcpt.words.code, 550);
	cr_expect_eq(door.asked, 1);
	/* and another domain's primary has words of its own */
	rcpt(&c, "u@other.test");
	begun();
	replies(0, MEANS_YES, "250 2.1.5 ok");
	turn(&c);
	cr_expect_eq(door.asked, 2);
	cr_expect_eq(c.rcpts, 3);
	cr_expect_eq(c.rcpt.words.code, 250);
	/* the first one's words are as good as before */
	cr_expect(relay_may(&the_door, c.relay, SPAN_LIT("example.com")));
	rcpt(&c, "w@example.com");
	turn(&c);
	cr_expect_eq(door.asked, 2);
	cr_expect_eq(c.rcpt.fate, FATE_WORDS);
	cr_expect_eq(c.rcpt.words.code, 550);
	relay_data(c.relay);
	relay_end(c.relay);
	answers(OUTCOME_DELIVERED, "250 2.0.0 taken", REFUSED_NOT);
	turn(&c);
	cr_expect_eq(c.ended, 1);
	cr_expect_eq(c.end.words.code, 250);
	client_end(&c);
}

Test(relay, mail_is_refused_for_now)
{
	struct client c;

	client_begin(&c, (struct envelope)ENVELOPE);
	rcpt(&c, "u@example.com");
	begun();
	answers(OUTCOME_TRANSIENT, "450 4.7.1 later", REFUSED_AT_MAIL);
	turn(&c);
	cr_expect_eq(c.rcpt.fate, FATE_KEPT);
	cr_expect_eq(c.rcpt.words.code, 450);
	client_end(&c);
}

/* From DATA on it is about all of them, and whoever was taken is vouched for.
 * The client goes on as if nothing had happened. */
Test(relay, it_ends_behind_data)
{
	static const struct {
		const char *stage; /* NULL: it answers */
		enum outcome outcome;
		enum refused_at at;
		const char *reply, *made;
		bool in_doubt;
		enum relay_stage stands;
		enum relay_fate fate;
		int code;
	} cases[] = {
		{ NULL, OUTCOME_PERMANENT, REFUSED_AT_DATA, "554 5.6.0 no",
		  NULL, false, RELAY_DATA, FATE_WORDS, 554 },
		{ NULL, OUTCOME_TRANSIENT, REFUSED_AT_DATA, "451 4.3.0 later",
		  NULL, false, RELAY_DATA, FATE_KEPT, 451 },
		{ NULL, OUTCOME_PERMANENT, REFUSED_AT_CONTENT, "554 5.7.1 spam",
		  NULL, false, RELAY_DOT, FATE_WORDS, 554 },
		{ NULL, OUTCOME_TRANSIENT, REFUSED_AT_CONTENT, "451 later",
		  NULL, false, RELAY_DOT, FATE_KEPT, 451 },
		{ "data", OUTCOME_UNTRIED, REFUSED_NOT, "bye", NULL, false,
		  RELAY_DATA, FATE_KEPT, 0 },
		{ "content", OUTCOME_UNTRIED, REFUSED_NOT, "Time-out",
		  "content", false, RELAY_CONTENT, FATE_KEPT, 451 },
		{ "dot", OUTCOME_UNTRIED, REFUSED_NOT, "bye", NULL, false,
		  RELAY_DOT, FATE_KEPT, 0 },
		{ "dot", OUTCOME_UNTRIED, REFUSED_NOT, "Time-out", "dot", true,
		  RELAY_DOT, FATE_DOUBT, 0 },
		{ "dot", OUTCOME_UNTRIED, REFUSED_NOT, "Connection closed by "
		  "the server", "dot", true, RELAY_DOT, FATE_DOUBT, 0 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		for (int is_early = 0; is_early < 2; is_early++) {
			struct client c;

			if (is_early && cases[i].in_doubt)
				continue;
			client_begin(&c, (struct envelope)ENVELOPE);
			to_content(&c, "hello");
			if (!is_early)
				relay_end(c.relay);
			if (cases[i].stage == NULL)
				answers(cases[i].outcome, cases[i].reply,
					cases[i].at);
			else
				ends(cases[i].stage,
				     cases[i].made == NULL ? 421 : 451,
				     cases[i].reply, cases[i].made,
				     cases[i].in_doubt);
			turn(&c);
			if (is_early) {
				cr_expect_eq(c.ended, 0);
				relay_feed(c.relay, SPAN_LIT("more"));
				cr_expect(!relay_is_full(c.relay));
				relay_end(c.relay);
				turn(&c);
			}
			cr_expect_eq(c.ended, 1);
			cr_expect_eq(c.end.fate, cases[i].fate, "case %zu", i);
			cr_expect_eq(c.end.stage, cases[i].stands, "case %zu",
				     i);
			cr_expect_eq(c.end.words.code, cases[i].code,
				     "case %zu", i);
			client_end(&c);
		}
	}
}

/* A connection that was closed between two transactions is no answer. */
Test(relay, once_more_over_another_connection)
{
	struct client c;

	client_begin(&c, (struct envelope)ENVELOPE);
	door.peer.is_reused = true;
	for (int i = 0; i < 2; i++) {
		if (i == 0)
			rcpt(&c, "u@example.com");
		cr_expect_eq(door.asked, i + 1);
		begun();
		ends("mail", 451, "Connection closed by the server", "mail",
		     false);
		turn(&c);
	}
	cr_expect_eq(c.rcpts, 1);
	cr_expect_eq(c.rcpt.fate, FATE_JUDGED);
	client_end(&c);
}

Test(relay, nobody_answers)
{
	struct client c;

	client_begin(&c, (struct envelope)ENVELOPE);
	door.is_shut = true;
	rcpt(&c, "u@example.com");
	turn(&c);
	cr_expect_eq(c.rcpt.fate, FATE_JUDGED);
	client_end(&c);
	client_begin(&c, (struct envelope)ENVELOPE);
	door.may_answer = false;
	cr_expect(!relay_may(&the_door, NULL, SPAN_LIT("example.com")));
	rcpt(&c, "u@example.com");
	door.lane->ask.listener->on_none(LANE_BUSY, SPAN_LIT(""),
					 door.lane->ask.arg);
	turn(&c);
	cr_expect_eq(c.rcpt.fate, FATE_JUDGED);
	cr_expect_eq(c.rcpt.stage, RELAY_CONNECT);
	client_end(&c);
}

/* Another domain goes along if it goes the same way. */
Test(relay, domains)
{
	struct client c;

	client_begin(&c, (struct envelope)ENVELOPE);
	rcpt(&c, "u@example.com");
	begun();
	replies(0, MEANS_YES, "250 ok");
	turn(&c);
	door.is_same = false;
	rcpt(&c, "u@other.test");
	turn(&c);
	cr_expect_eq(c.rcpts, 2);
	cr_expect_eq(c.rcpt.fate, FATE_JUDGED);
	door.is_same = true;
	rcpt(&c, "u@example.org");
	turn(&c);
	cr_expect_eq(c.rcpts, 2, "it is asked");
	replies(1, MEANS_YES, "250 ok");
	turn(&c);
	cr_expect_eq(c.rcpts, 3);
	rcpt(&c, "v@example.org");
	replies(2, MEANS_YES, "250 ok");
	turn(&c);
	cr_expect_str_eq(door.lane->paths,
			 "u@example.com\nu@example.org\nv@example.org\n");
	cr_expect_eq(door.asked, 3);
	client_end(&c);
	cr_expect_eq(door.closed, 1);
}

/* One whom this server cannot be given is turned away, and so is nobody's way
 * that of the next one, who may go elsewhere. */
Test(relay, another_server_is_not_his)
{
	struct client c;

	client_begin(&c, (struct envelope)ENVELOPE);
	rcpt(&c, "u@example.com");
	door.lane->ask.listener->on_none(LANE_OTHER, SPAN_LIT("(ehlo) lacks"),
					 door.lane->ask.arg);
	turn(&c);
	cr_expect_eq(c.rcpt.fate, FATE_JUDGED);
	rcpt(&c, "u@other.test");
	begun();
	replies(0, MEANS_YES, "250 ok");
	turn(&c);
	door.is_same = false;
	rcpt(&c, "v@example.com");
	turn(&c);
	cr_expect_eq(c.rcpts, 3);
	cr_expect_eq(c.rcpt.fate, FATE_JUDGED);
	cr_expect_str_eq(door.lane->paths, "u@other.test\n");
	client_end(&c);
}

/* A slow primary: so much waits for it, and no more. */
Test(relay, content_is_bounded)
{
	static char piece[16 * 1024];
	struct client c;
	size_t fed = 0;

	client_begin(&c, (struct envelope)ENVELOPE);
	to_content(&c, "");
	while (!relay_is_full(c.relay)) {
		relay_feed(c.relay, span_of(piece, sizeof(piece)));
		fed += sizeof(piece);
	}
	cr_expect_eq(fed, RELAY_PENDING_MAX);
	reads(sizeof(piece));
	turn(&c);
	cr_expect_eq(c.rooms, 0, "not for a little");
	reads(2 * sizeof(piece));
	turn(&c);
	cr_expect_eq(c.rooms, 1);
	cr_expect(!relay_is_full(c.relay));
	/* it goes away: nobody waits for it any more */
	while (!relay_is_full(c.relay))
		relay_feed(c.relay, span_of(piece, sizeof(piece)));
	ends("content", 451, "Time-out", "content", false);
	turn(&c);
	cr_expect_eq(c.rooms, 2);
	client_end(&c);
}

static void send_too_much(struct client *c, bool is_only)
{
	static char piece[60 * 1024];

	client_begin(c, (struct envelope)ENVELOPE);
	door.peer.size_most = 100 * 1024;
	door.peer.is_only = is_only;
	to_content(c, "");
	relay_feed(c->relay, span_of(piece, sizeof(piece)));
	reads(SIZE_MAX);
	cr_expect_eq(door.closed, 0);
	relay_feed(c->relay, span_of(piece, sizeof(piece)));
	cr_expect_eq(door.closed, 1);
	relay_end(c->relay);
	turn(c);
}

/* More than it announced to take: its end is not sent. */
Test(relay, larger_than_it_takes)
{
	struct client c;

	send_too_much(&c, true);
	cr_expect_eq(c.end.fate, FATE_WORDS);
	cr_expect_eq(c.end.words.code, 552);
	cr_expect_str_eq(c.end.words.enhanced, "5.3.4");
	client_end(&c);
}

/* Another host of the domain may take it. */
Test(relay, larger_than_one_of_them_takes)
{
	struct client c;

	send_too_much(&c, false);
	cr_expect_eq(c.end.fate, FATE_KEPT);
	client_end(&c);
}

/* In every state: what the primary has is taken back. */
Test(relay, the_client_leaves)
{
	for (int at = 0; at < 5; at++) {
		struct client c;

		client_begin(&c, (struct envelope)ENVELOPE);
		if (at == 1)
			rcpt(&c, "u@example.com");
		if (at >= 2)
			to_content(&c, "hello");
		if (at >= 3)
			relay_end(c.relay);
		if (at == 4)
			answers(OUTCOME_DELIVERED, "250 ok", REFUSED_NOT);
		client_end(&c);
		cr_expect_eq(door.closed, at >= 1 && at <= 3);
		cr_expect_eq(c.ended, 0);
	}
}
