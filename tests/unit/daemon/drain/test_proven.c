/*
 * Whatever happens, nobody hears of mail that he is not proven to have sent.
 *
 * A thousand messages through a real spool and a real drain: honest and forged
 * senders, refusals, lifetimes that end, mail that is handed on for who asked to
 * be told, name servers that fail, restarts, reloads of the mode, returns by
 * hand.  Senders live at domains that get nothing but reports, and each has a
 * number of his own, so the scripted host can judge every recipient it hears.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/base/alloc.h"
#include "common/base/random.h"
#include "tests/support/drain_world.h"

enum {
	MESSAGES = 1000,
	TO_DOMAINS = 10,    /* d0 .. d9 */
	FROM_DOMAINS = 100, /* d100 .. d199; the even ones have a record */
};

enum fate { TAKEN, REFUSED, PARTLY, AWAY, FATES };

/* ---- Who proves: the client's last octet is its domain's number ---- */

struct question {
	TAILQ_ENTRY(question) link;
	ev_timer timer;
	enum proof answer;
	give_up_proof_cb *cb;
	void *arg;
};

static TAILQ_HEAD(, question) questions = TAILQ_HEAD_INITIALIZER(questions);
static struct ev_loop *the_loop;
static uint64_t series = 7;

static unsigned dice(unsigned sides)
{
	return (unsigned)(random_next(&series) % sides);
}

static bool is_proven(unsigned domain, unsigned octet)
{
	return domain % 2 == 0 && octet == domain;
}

static void question_end(struct question *q)
{
	ev_timer_stop(the_loop, &q->timer);
	TAILQ_REMOVE(&questions, q, link);
	free(q);
}

static void on_answer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct question *q = w->data, gone = *q;

	(void)loop;
	(void)revents;
	question_end(q);
	gone.cb(gone.answer, gone.arg);
}

static void *ask(const struct envelope *env, give_up_proof_cb *cb, void *cb_arg,
		 void *arg)
{
	struct question *q = mx_alloc(sizeof(*q));
	unsigned domain = 0, octet = 0;
	char text[200];

	(void)arg;
	snprintf(text, sizeof(text), "%.*s %.*s", SPAN_ARG(env->from),
		 SPAN_ARG(env->client_addr));
	cr_assert_geq(sscanf(text, "s%*u@d%u.example 192.0.2.%u", &domain,
			     &octet),
		      1, "asked about %s", text);
	q->answer = is_proven(domain, octet) ? PROOF_PASS : PROOF_NONE;
	if (dice(20) == 0)
		q->answer = PROOF_LATER;
	q->cb = cb;
	q->arg = cb_arg;
	ev_timer_init(&q->timer, on_answer, dice(3) / 1000., 0.);
	q->timer.data = q;
	ev_timer_start(the_loop, &q->timer);
	TAILQ_INSERT_TAIL(&questions, q, link);
	return q;
}

static void cancel(void *question, void *arg)
{
	(void)arg;
	question_end(question);
}

static const struct give_up_proof hook = { ask, cancel, NULL };

/* ---- The host of everybody ---- */

static struct run {
	struct world w;
	bool is_strict;		  /* the mode has been "proven" for long */
	bool may_hear[MESSAGES];  /* proven, or by hand, or while it was not */
	unsigned heard[MESSAGES]; /* recipients that were offered */
	unsigned wrong;
	struct config *proven, *dsn;
} run;

/* It has room for so much only, and nobody looks at it. */
static void clear(struct peer *p)
{
	p->count = 0;
	if (p->message_count < 64)
		return;
	for (size_t i = 0; i <= p->message_count; i++)
		buf_reset(&p->messages[i]);
	p->message_count = 0;
}

static void judge(unsigned number)
{
	cr_assert_lt(number, MESSAGES);
	run.heard[number]++;
	if (!run.may_hear[number] && run.is_strict)
		run.wrong++;
	else
		run.may_hear[number] = true;
}

static const char *reply(struct peer *p, const char *line, void *arg)
{
	unsigned number, domain;

	(void)arg;
	clear(p);
	if (sscanf(line, "RCPT TO:<s%u@d%u.example>", &number, &domain) == 2)
		judge(number);
	if (strncmp(line, "RCPT TO:<no", 11) == 0)
		return "550 5.1.1 no such user";
	return NULL;
}

/* ---- What happens ---- */

/* What is sent; the spool borrows it until it is durable. */
static struct message {
	char from[50], client[50], to[2][50];
	struct spool_rcpt rcpts[2];
	bool is_stored;
	uint64_t id;
} sent[MESSAGES];

static void on_commit(enum mx_err err, uint64_t id, void *arg)
{
	struct message *m = arg;

	cr_assert_eq(err, MX_OK);
	m->id = id;
	m->is_stored = true;
}

/* Two recipients, or one. */
static size_t address(enum fate fate, char to[2][50], struct spool_rcpt *rcpts)
{
	size_t count = fate == PARTLY ? 2 : 1;

	for (size_t i = 0; i < count; i++) {
		const char *name = fate == REFUSED || i == 1 ? "no" : "yes";

		snprintf(to[i], 50, "%s@d%u.example", name, dice(TO_DOMAINS));
		if (fate == AWAY)
			snprintf(to[i], 50, "u@away.example");
		rcpts[i] = (struct spool_rcpt){
			.path = span_str(to[i]),
			.domain = span_str(strchr(to[i], '@') + 1),
			.notify = fate == TAKEN ? SMTP_NOTIFY_SUCCESS : 0,
			.expires_ms = clock_wall_ms() +
				      (fate == AWAY ? 100 : HOURS(1)),
		};
	}
	if (count == 2) { /* of one domain: they share a unit */
		memcpy(strchr(to[1], '@'), strchr(to[0], '@'),
		       strlen(strchr(to[0], '@')) + 1);
		rcpts[1].path = span_str(to[1]);
		rcpts[1].domain = rcpts[0].domain;
	}
	return count;
}

static void send_one(unsigned number, enum fate fate)
{
	unsigned domain = 100 + dice(FROM_DOMAINS);
	unsigned octet = dice(2) == 0 ? domain : 100 + dice(FROM_DOMAINS);
	struct message *m = &sent[number];
	size_t count = address(fate, m->to, m->rcpts);
	struct spool_draft *d;
	struct envelope env = { .arrived_ms = clock_wall_ms() };

	snprintf(m->from, sizeof(m->from), "s%u@d%u.example", number, domain);
	snprintf(m->client, sizeof(m->client), "192.0.2.%u", octet);
	env.from = span_str(dice(20) == 0 ? "" : m->from);
	env.client_addr = span_str(dice(30) == 0 ? "" : m->client);
	run.may_hear[number] = env.from.n > 0 && env.client_addr.n > 0 &&
			       is_proven(domain, octet);
	cr_assert_eq(spool_draft_new(run.w.spool, clock_wall_ms(), 0, &d),
		     MX_OK);
	spool_draft_write(d, SPAN_LIT("Subject: x\r\n\r\nhello\r\n"));
	spool_commit(&d, &env, m->rcpts, count, on_commit, m);
}

/* What was said before is heard before. */
static void restart(void)
{
	drain_free(&run.w.drain);
	WAIT_FOR(&run.w, run.w.peer->open == 0);
	world_start_drain(&run.w);
}

static void go_on(int64_t ms)
{
	bool never = false;

	peer_run(run.w.loop, &never, ms);
}

/* Reports of the other mode wait when it ends. */
static void change_mode(void)
{
	run.is_strict = false;
	run.w.config = run.dsn;
	drain_reload(run.w.drain, run.dsn);
	peer_stop(run.w.peer);
	for (unsigned i = 0; i < 3; i++)
		go_on(3);
	run.w.config = run.proven;
	if (dice(2) == 0)
		drain_reload(run.w.drain, run.proven);
	else
		restart();
	WAIT_FOR(&run.w, drain_busy(run.w.drain) == 0);
	run.is_strict = true;
	peer_start(run.w.peer);
}

static void on_given_up(enum mx_err err, void *arg)
{
	bool *is_done = arg;

	(void)err;
	*is_done = true;
}

static void give_up(unsigned number)
{
	const struct drain_order by = { 0, "1000" };

	bool is_done = false;

	WAIT_FOR(&run.w, sent[number].is_stored);
	if (drain_give_up(run.w.drain, sent[number].id,
			  SPAN_LIT("away.example"), &by, on_given_up,
			  &is_done) != MX_OK)
		return;
	run.may_hear[number] = true;
	cr_assert(peer_run(run.w.loop, &is_done, 30000));
}

static void one(unsigned number)
{
	enum fate fate = dice(FATES);

	send_one(number, fate);
	if (fate == AWAY && dice(4) == 0)
		give_up(number);
	if (dice(50) == 0)
		restart();
	if (dice(50) == 0)
		change_mode();
	if (dice(10) == 0)
		go_on(dice(10));
}

/* ---- The property ---- */

static struct config *load(const char *mode)
{
	struct config_errors errors = { 0 };
	struct buf text = { 0 };
	struct config *c;

	buf_addf(&text,
		 "hostname = \"mx2.example.net\"; domains = \"domains\";"
		 "dns = { servers = [ \"127.0.0.1@1\" ]; };"
		 "spool = { path = \"spool\"; size = \"256M\";"
		 " reserve = \"1M\"; };"
		 "drain = { connections = 2; probe_max = \"1s\";"
		 " brake_share = 1; };"
		 "bounce = { mode = \"%s\"; rate = 0; };", mode);
	folder_write(&run.w.folder, "other.conf", buf_cstr(&text));
	buf_fini(&text);
	c = config_load(folder_path(&run.w.folder, "other.conf"), &errors);
	cr_assert_not_null(c, "%s", buf_cstr(&errors.text));
	config_errors_fini(&errors);
	return c;
}

static void begin(void)
{
	world_begin(&run.w, "bounce = { mode = \"proven\"; };", reply);
	the_loop = run.w.loop;
	drain_free(&run.w.drain);
	config_unref(&run.w.config);
	run.proven = load("proven");
	run.dsn = load("dsn");
	run.w.config = run.proven;
	run.w.proof = &hook;
	world_start_drain(&run.w);
	run.is_strict = true;
}

static unsigned count_heard(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < MESSAGES; i++)
		n += run.heard[i] > 0;
	return n;
}

Test(proven, nobody_hears_of_what_he_did_not_send, .timeout = 120)
{
	begin();
	for (unsigned i = 0; i < MESSAGES; i++)
		one(i);
	WAIT_FOR(&run.w, sent[MESSAGES - 1].is_stored);
	/* what expires does so within a second, and the reports leave */
	WAIT_FOR(&run.w, world_row(&run.w, "away.example").ready == 0);
	go_on(1500);
	cr_expect_eq(run.wrong, 0, "%u reports to who did not send",
		     run.wrong);
	/* a fifth is proven, and most of that is to be told */
	cr_expect_gt(count_heard(), MESSAGES / 20, "%u were told",
		     count_heard());
	drain_free(&run.w.drain);
	cr_expect(TAILQ_EMPTY(&questions));
	config_unref(&run.dsn);
	world_end(&run.w);
}
