/*
 * A hostile primary: what a delivery connection believes.
 *
 * The first bytes choose how far the server goes and what it offers, then each
 * byte is a step: mail is given, a reply chosen for what will be asked, some of
 * what the server said arrives, or the connection is hurt.
 *
 *  exact  one reply to each command, whatever it says
 *  loose  and one too many, or too few
 *  raw    bytes at any time
 *
 * - Each job ends once, a connection ends once, and nothing follows.
 * - What the server has of a content is a beginning of it; DELIVERED is said
 *   where it had all of it, and, if exact, said 2yz to the recipient and to it.
 * - A reply that is exact goes to the recipient it was for, or to all of the
 *   transaction it was for.
 * - Nobody is mailed in clear text where TLS is a must.
 */
#include "daemon/delivery/delivery.h"

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/log.h"
#include "tests/fuzz/fakeconn.h"
#include "tests/fuzz/fuzz.h"

enum { JOBS = 24, RCPTS = 8, SERIALS = 8192, CONNECTIONS = 12 };

enum mode { EXACT, LOOSE, RAW };
enum kind { WHOLE, CALLOUT, RELAY };

struct job {
	enum kind kind;
	struct delivery_job *at; /* NULL behind its end */
	bool is_given, is_done, is_cancelled, is_all;
	size_t rcpts;
	struct buf content;
	bool told[RCPTS];
	/* as the server knows */
	bool reached[RCPTS];   /* it had all of the content for him */
	bool delivered[RCPTS]; /* and said so */
	bool is_taken[RCPTS];  /* 2yz to RCPT, in any transaction */
};

/* What a reply was for; job < 0: for none. */
struct serial {
	int job, rcpt; /* rcpt < 0: all of the transaction */
};

static struct {
	enum mode mode;
	struct ev_loop *loop;
	struct delivery *delivery;
	struct delivery_options opt;
	struct route route;
	struct route_host host;
	struct net_addr target;
	const char *ehlo;
	bool is_ready, is_ended, is_holding;
	struct job jobs[JOBS];
	size_t given, done;
	struct buf wire;  /* said, and not there yet */
	struct buf heard; /* less than a command */
	struct buf answers;
	size_t answered, serial_count;
	struct serial serials[SERIALS];
	/* the transaction that the server is in */
	struct {
		int job;
		bool has_mail, is_data;
		uint64_t chunk; /* of BDAT, to come */
		bool is_last;
		bool accepted[RCPTS];
		struct buf content;
	} tx;
} w;

/* ---- What the server says ---- */

static const char *const replies[] = {
	NULL, /* as it should be */
	"450 4.2.1 Busy",
	"550 5.1.1 Unknown",
	"421 4.3.2 Leaving",
	"452 4.5.3 Too many",
	"554 5.7.1 Not from you",
	"250 2.1.5 Ok",
	"354 Go on",
	"500 5.5.2 What?",
	"503 5.5.1 Order",
	"555 5.5.4 Option",
	"250-2.0.0 Two\r\n250 2.0.0 Lines",
	"250 Ok",
	"221 2.0.0 Bye",
	"552 5.3.4 Large",
	"451 4.7.1 Greylisted",
	"220 2.0.0 Go on",
	"251 2.1.5 Elsewhere",
	"550 5.7.1 Blocked",
	"502 5.5.1 Unknown command",
};
enum { ODD = 29, EXTRA = 30, MISSING = 31 }; /* loose */

static void add_reply(const char *text, int job, int rcpt)
{
	if (w.serial_count == SERIALS)
		return; /* it takes content for commands */
	w.serials[w.serial_count] = (struct serial){ job, rcpt };
	buf_addf(&w.wire, "%s #%zu\r\n", text, w.serial_count++);
}

/* Answer a command; returns the code. */
static int answer(const char *usual, int job, int rcpt)
{
	unsigned how = 0;
	const char *text;

	if (w.answered < w.answers.n)
		how = (unsigned char)w.answers.p[w.answered++];
	if (w.mode == LOOSE && how == EXTRA)
		add_reply("250 2.1.5 Ok", -1, -1);
	if (w.mode == LOOSE && how == ODD)
		add_reply("Hello there", -1, -1);
	if (w.mode == RAW || (w.mode == LOOSE && how == MISSING))
		return 0;
	text = how < COUNT(replies) && replies[how] != NULL ? replies[how]
							    : usual;
	add_reply(text, job, rcpt);
	return (int)strtol(text, NULL, 10);
}

static bool starts(struct span line, const char *verb)
{
	return span_starts(line, span_str(verb));
}

/* The number behind this letter in the address. */
static int number_in(struct span line, char letter)
{
	size_t at = span_find(line, '<') + 1;
	int n = 0;

	while (at < line.n && line.p[at] != letter && line.p[at] != '>')
		at++;
	FUZZ_CHECK(at < line.n && line.p[at] == letter);
	for (at++; at < line.n && line.p[at] >= '0' && line.p[at] <= '9'; at++)
		n = n * 10 + line.p[at] - '0';
	return n;
}

static void forget_transaction(void)
{
	w.tx.job = -1;
	w.tx.has_mail = w.tx.is_data = false;
	memset(w.tx.accepted, 0, sizeof(w.tx.accepted));
	buf_reset(&w.tx.content);
}

static void on_mail(struct span line, bool is_tls)
{
	FUZZ_CHECK(is_tls || w.host.tls.level != TLS_LEVEL_MUST);
	FUZZ_CHECK(!w.tx.has_mail || w.mode != EXACT);
	forget_transaction();
	w.tx.job = number_in(line, 'j');
	FUZZ_CHECK(w.tx.job < (int)w.given);
	w.tx.has_mail = answer("250 2.1.0 Sender", w.tx.job, -1) / 100 == 2;
}

static void on_rcpt(struct span line)
{
	int job = number_in(line, 'j'), rcpt = number_in(line, 'r');
	struct job *j = &w.jobs[job];
	bool ok;

	FUZZ_CHECK(job == w.tx.job && rcpt < (int)j->rcpts);
	ok = answer(w.tx.has_mail ? "250 2.1.5 Recipient" : "503 5.5.1 Order",
		    job, rcpt) /
		     100 ==
	     2;
	w.tx.accepted[rcpt] = true;
	j->is_taken[rcpt] |= ok && w.tx.has_mail;
	if (w.mode == EXACT)
		w.tx.accepted[rcpt] = ok && w.tx.has_mail;
}

static bool anybody(void)
{
	for (size_t i = 0; i < RCPTS; i++)
		if (w.tx.accepted[i])
			return true;
	return false;
}

/* All of the content is there. */
static void on_content(void)
{
	struct job *j = &w.jobs[w.tx.job];
	struct span got = buf_span(&w.tx.content);
	bool is_whole = span_eq(got, buf_span(&j->content)) && j->is_all;
	bool yes;

	/* nobody is to have it: an end without content takes it back */
	FUZZ_CHECK(is_whole || !anybody() || w.mode != EXACT ||
		   (got.n == 0 && !w.tx.has_mail));
	yes = answer(anybody() ? "250 2.6.0 Taken" : "554 5.5.1 Nobody",
		     w.tx.job, -1) /
		      100 ==
	      2;
	for (size_t i = 0; i < j->rcpts; i++) {
		if (!w.tx.accepted[i] || !is_whole)
			continue;
		j->reached[i] = true;
		FUZZ_CHECK(!yes || !j->delivered[i] || w.mode != EXACT);
		j->delivered[i] |= yes;
	}
	forget_transaction();
}

static void on_data(void)
{
	w.tx.is_data = answer(anybody() ? "354 Go on" : "503 5.5.1 Order",
			      w.tx.job, -1) == 354;
}

static void on_bdat(struct span line)
{
	w.tx.chunk = strtoul(line.p + 4, NULL, 10);
	w.tx.is_last = line.n > 5 && line.p[line.n - 1] == 'T';
	FUZZ_CHECK(w.tx.chunk > 0 || w.tx.is_last);
}

static void on_command(struct span line, bool is_tls)
{
	char text[200];

	if (starts(line, "EHLO")) {
		snprintf(text, sizeof(text), "250-far.test\r\n%s", w.ehlo);
		answer(text, -1, -1);
		forget_transaction();
	} else if (starts(line, "MAIL FROM:")) {
		on_mail(line, is_tls);
	} else if (starts(line, "RCPT TO:")) {
		on_rcpt(line);
	} else if (starts(line, "DATA")) {
		on_data();
	} else if (starts(line, "BDAT")) {
		on_bdat(line);
	} else if (starts(line, "STARTTLS")) {
		FUZZ_CHECK(!is_tls);
		answer("220 2.0.0 Go on", -1, -1);
	} else if (starts(line, "RSET") || starts(line, "HELO")) {
		answer("250 2.0.0 Reset", -1, -1);
		forget_transaction();
	} else if (starts(line, "QUIT")) {
		answer("221 2.0.0 Bye", -1, -1);
	} else {
		FUZZ_CHECK(w.mode != EXACT); /* content for a command */
	}
}

/* ---- What it hears ---- */

/* A line of DATA without its dot; false: the end. */
static bool take_line(struct span line)
{
	if (span_eq(line, SPAN_LIT(".\r\n")))
		return false;
	buf_add(&w.tx.content, line.p[0] == '.' ? span_skip(line, 1) : line);
	return true;
}

static void on_line(struct span line, bool is_tls)
{
	if (w.tx.is_data) {
		w.tx.is_data = take_line(line);
		if (!w.tx.is_data)
			on_content();
		return;
	}
	FUZZ_CHECK(line.n <= 1000 || w.mode != EXACT);
	on_command((struct span){ line.p, line.n - 2 }, is_tls);
}

static size_t take_chunk(struct span in)
{
	size_t n = in.n < w.tx.chunk ? in.n : w.tx.chunk;

	if (w.tx.job >= 0)
		buf_add(&w.tx.content, (struct span){ in.p, n });
	w.tx.chunk -= n;
	return n;
}

static void end_chunk(void)
{
	bool is_last = w.tx.is_last;

	w.tx.is_last = false;
	if (is_last && w.tx.job >= 0)
		on_content();
	else
		answer("250 2.0.0 Chunk", w.tx.job, -1);
}

/* A line, or some of a chunk; 0: more has to come. */
static size_t hear(struct span in, bool is_tls)
{
	size_t end = span_find(in, '\n');
	size_t n;

	if (w.tx.chunk > 0) {
		n = take_chunk(in);
		if (w.tx.chunk == 0)
			end_chunk();
		return n;
	}
	if (end >= in.n)
		return 0;
	FUZZ_CHECK(end > 0 && in.p[end - 1] == '\r');
	on_line((struct span){ in.p, end + 1 }, is_tls);
	if (w.tx.is_last && w.tx.chunk == 0)
		end_chunk(); /* BDAT 0 LAST */
	return end + 1;
}

static void on_output(struct span bytes, bool is_tls)
{
	struct span in;
	size_t n;

	buf_add(&w.heard, bytes);
	in = buf_span(&w.heard);
	while (in.n > 0 && (n = hear(in, is_tls)) > 0)
		in = span_skip(in, n);
	buf_consume(&w.heard, w.heard.n - in.n);
}

/* ---- Jobs ---- */

static int index_of(const struct delivery_job *job)
{
	int i = (int)(intptr_t)job->arg;

	FUZZ_CHECK(i >= 0 && i < (int)w.given);
	FUZZ_CHECK(!w.jobs[i].is_done && !w.jobs[i].is_cancelled);
	return i;
}

static enum mx_err read_content(void *arg, const struct delivery_job *job,
				uint64_t offset, size_t most, struct buf *out)
{
	struct job *j = &w.jobs[index_of(job)];
	struct span s = span_skip(buf_span(&j->content), (size_t)offset);

	(void)arg;
	FUZZ_CHECK(most > 0 && s.n > 0);
	buf_add(out, (struct span){ s.p, s.n < most ? s.n : most });
	return MX_OK;
}

/* The number that a reply ends with; -1: none. */
static long serial_of(struct span reply)
{
	size_t at = reply.n;

	while (at > 0 && reply.p[at - 1] >= '0' && reply.p[at - 1] <= '9')
		at--;
	if (at == 0 || at == reply.n || reply.p[at - 1] != '#')
		return -1;
	return strtol(reply.p + at, NULL, 10);
}

/* Is this reply about him? */
static void check_reply(int job, size_t i, struct span reply)
{
	long n = serial_of(reply);

	if (w.mode != EXACT || n < 0)
		return;
	FUZZ_CHECK((size_t)n < w.serial_count);
	FUZZ_CHECK(w.serials[n].job == job);
	FUZZ_CHECK(w.serials[n].rcpt < 0 || w.serials[n].rcpt == (int)i);
}

static void check_delivered(const struct job *j, size_t i)
{
	if (w.mode == EXACT)
		FUZZ_CHECK(j->kind == CALLOUT ? j->is_taken[i]
					      : j->delivered[i]);
	else if (w.mode == LOOSE && j->kind != CALLOUT)
		FUZZ_CHECK(j->reached[i]);
}

static void on_done(struct delivery *d, struct delivery_job *job, void *arg)
{
	int n = index_of(job);
	struct job *j = &w.jobs[n];

	FUZZ_CHECK(d == w.delivery && arg == &w && job == j->at);
	FUZZ_CHECK(!w.is_ended && job->unit->rcpt_count == j->rcpts);
	j->is_done = true;
	j->at = NULL;
	w.done++;
	for (size_t i = 0; i < j->rcpts; i++) {
		if (job->set[i].outcome == OUTCOME_DELIVERED)
			check_delivered(j, i);
		if (job->set[i].outcome != OUTCOME_UNTRIED)
			check_reply(n, i, job->set[i].reply);
	}
	delivery_job_free(&job);
}

static void on_told(struct delivery *d, struct delivery_job *job, size_t i,
		    enum meaning m, void *arg)
{
	int n = index_of(job);
	struct job *j = &w.jobs[n];

	FUZZ_CHECK(d == w.delivery && arg == &w && i < j->rcpts);
	FUZZ_CHECK(!j->told[i]);
	j->told[i] = true;
	check_reply(n, i, job->set[i].reply);
	if (w.mode == EXACT && m == MEANS_YES)
		FUZZ_CHECK(j->is_taken[i]);
}

static bool may_finish(struct delivery *d, struct delivery_job *job, void *arg)
{
	(void)d;
	(void)arg;
	index_of(job);
	return !w.is_holding;
}

static const struct delivery_listener listeners[] = {
	[WHOLE] = { on_done, NULL, may_finish },
	[CALLOUT] = { on_done, NULL, NULL },
	[RELAY] = { on_done, on_told, NULL },
};

static struct span address(struct arena *a, char kind, size_t job, size_t rcpt)
{
	char text[64];

	snprintf(text, sizeof(text), "%c-j%zu-r%zu@example.org", kind, job,
		 rcpt);
	return arena_span(a, span_str(text));
}

static struct recipient recipient(struct arena *a, size_t job, size_t rcpt)
{
	return (struct recipient){
		.number = (uint32_t)rcpt,
		.path = address(a, 't', job, rcpt),
		.domain = SPAN_LIT("example.org"),
	};
}

static struct unit *make_unit(size_t n, const struct job *j)
{
	struct unit *u = mx_alloc(sizeof(*u));

	u->envelope.id = n + 1;
	u->envelope.bytes = j->kind == WHOLE ? j->content.n : 0;
	u->envelope.from = address(&u->arena, 'f', n, 0);
	u->domain = SPAN_LIT("example.org");
	u->rcpt_count = j->rcpts;
	u->rcpts = arena_alloc_array(&u->arena, j->rcpts, sizeof(*u->rcpts));
	for (size_t i = 0; i < j->rcpts; i++)
		u->rcpts[i] = recipient(&u->arena, n, i);
	return u;
}

static void add_content(struct job *j, size_t lines)
{
	for (size_t i = 0; i < lines; i++)
		buf_adds(&j->content, i % 3 == 1 ? ".\r\n" : "QUIT\r\n");
}

static void give(unsigned how)
{
	struct delivery_source source = { read_content, NULL };
	size_t n = w.given;
	struct job *j = &w.jobs[n];
	struct unit *u;

	if (n == JOBS || !w.is_ready || w.delivery == NULL ||
	    delivery_room(w.delivery) == 0)
		return;
	j->kind = (enum kind)(how % 4 % 3);
	j->rcpts = 1 + (how >> 2) % RCPTS;
	if (j->kind == RELAY)
		j->rcpts = 1;
	if (j->kind == CALLOUT)
		source.read = NULL;
	if (j->kind == WHOLE)
		add_content(j, how % 4 == 3 ? 30000 : 1 + how);
	j->is_all = j->kind != RELAY;
	u = make_unit(n, j);
	j->at = delivery_job_new(&u, source, &listeners[j->kind],
				 (void *)(intptr_t)n);
	j->at->more = j->kind == RELAY ? MORE_RCPTS : MORE_NOTHING;
	j->at->bytes = j->kind == WHOLE ? j->content.n : 0;
	j->is_given = true;
	w.given++;
	delivery_give(w.delivery, j->at);
}

/* Something more of a job that grows; or nobody waits for it any more. */
static void grow(unsigned how)
{
	size_t n = how >> 2;
	struct job *j = &w.jobs[n % JOBS];

	if (j->at == NULL || w.delivery == NULL)
		return;
	if (how % 4 == 3) {
		j->is_cancelled = true;
		w.done++;
		delivery_job_cancel(w.delivery, &j->at);
	} else if (j->kind != RELAY || j->is_all) {
		return;
	} else if (how % 4 == 0 && j->content.n == 0 && j->rcpts < RCPTS) {
		struct recipient r =
			recipient(&j->at->unit->arena, n, j->rcpts++);

		delivery_more_rcpt(w.delivery, j->at, &r);
	} else {
		add_content(j, 3);
		j->is_all = how % 4 == 2;
		delivery_more_content(w.delivery, j->at, j->content.n,
				      j->is_all);
	}
}

/* ---- The connection ---- */

static void on_ready(struct delivery *d, const struct smtp_ehlo *ehlo,
		     int64_t latency_ms, void *arg)
{
	FUZZ_CHECK(d == w.delivery && arg == &w && ehlo != NULL);
	FUZZ_CHECK(!w.is_ready && latency_ms >= 0);
	w.is_ready = true;
}

static void on_room(struct delivery *d, void *arg)
{
	FUZZ_CHECK(d == w.delivery && arg == &w && !w.is_ended);
}

static void on_end(struct delivery *d, const struct delivery_end *end,
		   void *arg)
{
	FUZZ_CHECK(d == w.delivery && arg == &w && !w.is_ended);
	FUZZ_CHECK(end->stage != NULL && w.done == w.given);
	w.is_ended = true;
	w.delivery = NULL;
}

static const struct delivery_events events = { on_ready, on_room, on_end };

static void turn(void)
{
	for (int i = 0; i < 3; i++)
		ev_run(w.loop, EVRUN_NOWAIT);
}

static void arrive(size_t n)
{
	struct buf piece = { 0 };

	n = n < w.wire.n ? n : w.wire.n;
	buf_add(&piece, (struct span){ w.wire.p, n });
	buf_consume(&w.wire, n);
	fake_arrive(buf_span(&piece));
	buf_fini(&piece);
}

/* It is over, or there is another one. */
static void renew(void)
{
	buf_reset(&w.wire);
	buf_reset(&w.heard);
	w.tx.chunk = 0;
	w.tx.is_last = false;
	forget_transaction();
}

/* A new connection is made, is secured, or fails. */
static void connected(void)
{
	size_t was = fake_count();

	if (!fake_is_waiting())
		return;
	if (w.wire.n > 0)
		buf_reset(&w.wire); /* in clear text behind STARTTLS */
	fake_ready();
	if (fake_live() != NULL && conn_tls(fake_live()) == NULL &&
	    fake_count() == was)
		answer("220 far.test ESMTP", -1, -1);
}

static void hurt(unsigned how)
{
	static const enum conn_end ends[] = { CONN_EOF, CONN_ERROR,
					      CONN_DEADLINE };
	size_t was = fake_count();

	if (fake_live() == NULL)
		return;
	if (how < 2)
		fake_block(how == 0);
	else if (how < 5)
		fake_end(fake_is_waiting() && how == 2 ? CONN_TLS
						       : ends[how - 2]);
	else if (how == 5)
		connected();
	else if (how == 6 && w.delivery != NULL)
		delivery_quit(w.delivery);
	else if (w.delivery != NULL) {
		w.is_holding = !w.is_holding;
		delivery_resume(w.delivery);
	}
	if (fake_live() == NULL || fake_count() != was)
		renew();
}

static void step(struct span *in)
{
	unsigned byte = fuzz_byte(in), how = byte >> 3;
	struct span raw = { in->p, in->n < how + 1 ? in->n : how + 1 };
	size_t was = fake_count();

	switch (byte & 7) {
	case 0:
		give(how);
		break;
	case 1:
		arrive(how == 31 ? SIZE_MAX : how + 1);
		break;
	case 2:
		buf_addc(&w.answers, (char)how);
		break;
	case 3:
		connected();
		arrive(SIZE_MAX);
		break;
	case 4:
		grow(how);
		break;
	case 5:
		hurt(how & 7);
		break;
	default:
		if (w.mode != RAW)
			break;
		*in = span_skip(*in, raw.n);
		buf_add(&w.wire, raw);
		arrive(SIZE_MAX);
	}
	turn();
	if (fake_count() != was)
		renew();
}

/* ---- All of it ---- */

static const char *const offers[] = {
	"250 8BITMIME",
	"250-PIPELINING\r\n250 8BITMIME",
	"250-PIPELINING\r\n250-CHUNKING\r\n250 SIZE 9999999",
	"250-PIPELINING\r\n250-STARTTLS\r\n250 CHUNKING",
	"250 STARTTLS",
	"250-PIPELINING\r\n250 LIMITS MAILMAX=3 RCPTMAX=2",
	"250-CHUNKING\r\n250 SIZE 100000",
	"250 PIPELINING",
};

static void begin(struct span *in)
{
	static const enum tls_level levels[] = { TLS_LEVEL_NONE, TLS_LEVEL_MAY,
						 TLS_LEVEL_MUST,
						 TLS_LEVEL_MAY };
	unsigned how = fuzz_byte(in), more = fuzz_byte(in);

	w.mode = (enum mode)(how % 4 % 3);
	w.host.tls.level = levels[how >> 2 & 3];
	w.ehlo = offers[how >> 4 & 7];
	w.route.refs = 100; /* never freed here */
	w.opt = (struct delivery_options){
		.loop = w.loop,
		.helo = SPAN_LIT("mx2.example.net"),
		.local_name = SPAN_LIT("mx2.example.net"),
		.host = &w.host,
		.route = &w.route,
		.target = &w.target,
		.connect_timeout_ms = 1000,
		.without = (more & 1 ? SMTP_EXT_PIPELINING : 0) |
			   (more & 2 ? DELIVERY_TRUST : 0) |
			   (more & 4 ? SMTP_EXT_CHUNKING : 0),
		.is_proven = (more & 8) != 0,
	};
	forget_transaction();
	fake_on_output = on_output;
	fake_reset();
	w.delivery = delivery_new(&w.opt, &events, &w);
	if (more & 16) { /* as far as mail */
		turn();
		for (int i = 0; i < 6; i++) {
			connected();
			arrive(SIZE_MAX);
			turn();
		}
	}
}

/* The server has become a good one, and then is gone; so have the clients. */
static void finish(void)
{
	w.is_holding = false;
	for (unsigned i = 0; i < w.given; i++)
		grow(i << 2 | 2);
	for (int i = 0; i < 400 && w.delivery != NULL; i++) {
		if (fake_live() != NULL && fake_is_waiting())
			connected();
		else if (fake_live() != NULL)
			fake_block(false);
		arrive(SIZE_MAX);
		turn();
		if (w.delivery != NULL && i == 100)
			delivery_resume(w.delivery);
		if (w.delivery != NULL && i == 200)
			delivery_quit(w.delivery);
	}
	for (int i = 0; i < CONNECTIONS && w.delivery != NULL; i++) {
		FUZZ_CHECK(fake_live() == NULL || fake_has_deadline());
		hurt(4);
		turn();
	}
	FUZZ_CHECK(w.is_ended && w.delivery == NULL);
	FUZZ_CHECK(fake_live() == NULL && w.done == w.given);
}

static void clean(void)
{
	struct ev_loop *loop = w.loop;

	for (size_t i = 0; i < JOBS; i++)
		buf_fini(&w.jobs[i].content);
	buf_fini(&w.wire);
	buf_fini(&w.heard);
	buf_fini(&w.answers);
	buf_fini(&w.tx.content);
	memset(&w, 0, sizeof(w));
	w.loop = loop;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);

	if (w.loop == NULL)
		w.loop = ev_loop_new(0);
	log_set_level(LOG_LEVEL_ERROR);
	begin(&in);
	for (int i = 0; i < 500 && in.n > 0; i++)
		step(&in);
	finish();
	clean();
	return 0;
}
