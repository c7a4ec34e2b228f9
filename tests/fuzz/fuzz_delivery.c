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
#include "tests/fuzz/far.h"
#include "tests/fuzz/fuzz.h"

enum { JOBS = FAR_MAILS, RCPTS = FAR_RCPTS, CONNECTIONS = 12 };

enum kind { WHOLE, CALLOUT, RELAY };

struct job {
	enum kind kind;
	struct delivery_job *at; /* NULL behind its end */
	bool is_given, is_done, is_cancelled;
	bool told[RCPTS];
	struct far_mail *far; /* what the server knows of it */
};

static struct {
	enum far_mode mode;
	struct ev_loop *loop;
	struct delivery *delivery;
	struct delivery_options opt;
	struct route route;
	struct route_host host;
	struct net_addr target;
	bool is_ready, is_ended, is_holding;
	struct job jobs[JOBS];
	size_t given, done;
} w;

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
	struct span s = span_skip(buf_span(&j->far->content), (size_t)offset);

	(void)arg;
	FUZZ_CHECK(most > 0 && s.n > 0);
	buf_add(out, (struct span){ s.p, s.n < most ? s.n : most });
	return MX_OK;
}

/* Is this reply about him? */
static void check_reply(int job, size_t i, struct span reply)
{
	struct far_serial was;

	if (!far_knows(reply, &was))
		return;
	FUZZ_CHECK(was.mail == job);
	FUZZ_CHECK(was.rcpt < 0 || was.rcpt == (int)i);
}

static void check_delivered(const struct job *j, size_t i)
{
	if (w.mode == FAR_EXACT)
		FUZZ_CHECK(j->kind == CALLOUT ? j->far->is_taken[i]
					      : j->far->has_it[i]);
	else if (w.mode == FAR_LOOSE && j->kind != CALLOUT)
		FUZZ_CHECK(j->far->reached[i]);
}

static void on_done(struct delivery *d, struct delivery_job *job, void *arg)
{
	int n = index_of(job);
	struct job *j = &w.jobs[n];

	FUZZ_CHECK(d == w.delivery && arg == &w && job == j->at);
	FUZZ_CHECK(!w.is_ended && job->unit->rcpt_count == j->far->rcpts);
	j->is_done = true;
	j->at = NULL;
	w.done++;
	for (size_t i = 0; i < j->far->rcpts; i++) {
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

	FUZZ_CHECK(d == w.delivery && arg == &w && i < j->far->rcpts);
	FUZZ_CHECK(!j->told[i]);
	j->told[i] = true;
	check_reply(n, i, job->set[i].reply);
	if (w.mode == FAR_EXACT && m == MEANS_YES)
		FUZZ_CHECK(j->far->is_taken[i]);
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

static struct span sender(struct arena *a, size_t job)
{
	char text[64];

	snprintf(text, sizeof(text), "f%zu@example.org", job);
	return arena_span(a, span_str(text));
}

static struct recipient recipient(struct arena *a, size_t job, size_t rcpt)
{
	char text[64];

	snprintf(text, sizeof(text), "t%zu-%zu@example.org", rcpt, job);
	return (struct recipient){
		.number = (uint32_t)rcpt,
		.path = arena_span(a, span_str(text)),
		.domain = SPAN_LIT("example.org"),
	};
}

static struct unit *make_unit(size_t n, const struct job *j)
{
	struct unit *u = mx_alloc(sizeof(*u));

	u->envelope.id = n + 1;
	u->envelope.bytes = j->kind == WHOLE ? j->far->content.n : 0;
	u->envelope.from = sender(&u->arena, n);
	u->domain = SPAN_LIT("example.org");
	u->rcpt_count = j->far->rcpts;
	u->rcpts = arena_alloc_array(&u->arena, u->rcpt_count,
				     sizeof(*u->rcpts));
	for (size_t i = 0; i < u->rcpt_count; i++)
		u->rcpts[i] = recipient(&u->arena, n, i);
	return u;
}

static void add_content(struct job *j, size_t lines)
{
	for (size_t i = 0; i < lines; i++)
		buf_adds(&j->far->content, i % 3 == 1 ? ".\r\n" : "QUIT\r\n");
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
	j->far = &far_mails[n];
	j->far->rcpts = 1 + (how >> 2) % RCPTS;
	if (j->kind == RELAY)
		j->far->rcpts = 1;
	if (j->kind == CALLOUT)
		source.read = NULL;
	if (j->kind == WHOLE)
		add_content(j, how % 4 == 3 ? 30000 : 1 + how);
	j->far->is_all = j->kind != RELAY;
	u = make_unit(n, j);
	j->at = delivery_job_new(&u, source, &listeners[j->kind],
				 (void *)(intptr_t)n);
	j->at->more = j->kind == RELAY ? MORE_RCPTS : MORE_NOTHING;
	j->at->bytes = j->kind == WHOLE ? j->far->content.n : 0;
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
	} else if (j->kind != RELAY || j->far->is_all) {
		return;
	} else if (how % 4 == 0 && j->far->content.n == 0 &&
		   j->far->rcpts < RCPTS) {
		struct recipient r =
			recipient(&j->at->unit->arena, n, j->far->rcpts++);

		delivery_more_rcpt(w.delivery, j->at, &r);
	} else {
		add_content(j, 3);
		j->far->is_all = how % 4 == 2;
		delivery_more_content(w.delivery, j->at, j->far->content.n,
				      j->far->is_all);
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
		far_connect();
	else if (how == 6 && w.delivery != NULL)
		delivery_quit(w.delivery);
	else if (w.delivery != NULL) {
		w.is_holding = !w.is_holding;
		delivery_resume(w.delivery);
	}
	if (fake_live() == NULL || fake_count() != was)
		far_lost();
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
		far_arrive(how == 31 ? SIZE_MAX : how + 1);
		break;
	case 2:
		far_choose(how);
		break;
	case 3:
		far_connect();
		far_arrive(SIZE_MAX);
		break;
	case 4:
		grow(how);
		break;
	case 5:
		hurt(how & 7);
		break;
	default:
		if (w.mode != FAR_RAW)
			break;
		*in = span_skip(*in, raw.n);
		far_say(raw);
		far_arrive(SIZE_MAX);
	}
	turn();
	if (fake_count() != was)
		far_lost();
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

	w.mode = (enum far_mode)(how % 4 % 3);
	w.host.tls.level = levels[how >> 2 & 3];
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
	far_begin(&(struct far_options){
		.mode = w.mode,
		.ehlo = offers[how >> 4 & 7],
		.is_tls_must = w.host.tls.level == TLS_LEVEL_MUST,
		.replies = replies,
		.reply_count = COUNT(replies),
	});
	w.delivery = delivery_new(&w.opt, &events, &w);
	if (more & 16) { /* as far as mail */
		turn();
		for (int i = 0; i < 6; i++) {
			far_connect();
			far_arrive(SIZE_MAX);
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
			far_connect();
		else if (fake_live() != NULL)
			fake_block(false);
		far_arrive(SIZE_MAX);
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

	far_clean();
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
