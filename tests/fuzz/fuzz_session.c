/*
 * A client of the SMTP server, and all that answers it: the gate and the disk.
 *
 * Each byte is a step: so many bytes of a client, an answer of the disk or of
 * the gate, a change of what they will say next, or the connection is hurt.
 *
 * - What is said is whole lines of printable ASCII that begin with a code.
 * - Content is taken in the order it was committed in, by one 250 each and not
 *   before the disk said so; with a recipient, and by no means behind a no.
 * - The gate is asked one question at a time, never without a need (a recipient
 *   before a sender), and hears when nobody waits any more.
 * - Nothing is left when the connection is gone.
 */
#include <stdio.h>
#include <sys/socket.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/log.h"
#include "daemon/intake/intake_priv.h"
#include "tests/fuzz/fakeconn.h"
#include "tests/fuzz/files.h"
#include "tests/fuzz/fuzz.h"

enum { ROOM = 1 << 20, CHUNK = 4096 };

struct spool_draft {
	uint64_t id;
	struct buf content;
};

static struct {
	struct ev_loop *loop;
	struct config *config;
	struct policy *policy;
	struct intake *intake;
	struct buf said; /* less than a line */
	struct buf answers;
	size_t answered;
	/* the disk */
	size_t drafts;
	uint64_t next_id;
	enum mx_err room, begin, write, commit, share;
	bool is_busy, is_tight;
	TAILQ_HEAD(waiters, spool_waiter) waiters;
	spool_commit_cb *committing;
	void *commit_arg;
	uint64_t commit_id;
	/* the gate */
	struct gate_question *question;
	/* what the client was told */
	size_t commits, taken;
} w;

/* ---- The disk ---- */

static enum mx_err room(struct spool *sp, uint64_t expect)
{
	(void)sp;
	(void)expect;
	return w.room;
}

static uint64_t left(const struct spool *sp)
{
	(void)sp;
	return ROOM;
}

static bool is_tight(const struct spool *sp, uint64_t bytes)
{
	(void)sp;
	(void)bytes;
	return w.is_tight;
}

static enum mx_err domain_room(struct spool *sp, struct span domain,
			       uint64_t bytes, enum spool_claim claim)
{
	(void)sp;
	(void)bytes;
	(void)claim;
	FUZZ_CHECK(domain.n > 0);
	return w.share;
}

static bool is_busy(const struct spool *sp)
{
	(void)sp;
	return w.is_busy;
}

static void wait_for(struct spool *sp, struct spool_waiter *waiter)
{
	(void)sp;
	FUZZ_CHECK(!waiter->is_waiting);
	waiter->is_waiting = true;
	TAILQ_INSERT_TAIL(&w.waiters, waiter, link);
}

static void wait_cancel(struct spool *sp, struct spool_waiter *waiter)
{
	(void)sp;
	FUZZ_CHECK(waiter->is_waiting);
	waiter->is_waiting = false;
	TAILQ_REMOVE(&w.waiters, waiter, link);
}

static enum mx_err draft_new(struct spool *sp, int64_t now_ms, uint64_t expect,
			     struct spool_draft **out)
{
	(void)sp;
	(void)now_ms;
	(void)expect;
	if (w.begin != MX_OK)
		return w.begin;
	*out = mx_alloc(sizeof(**out));
	(*out)->id = ++w.next_id;
	w.drafts++;
	return MX_OK;
}

static uint64_t draft_id(const struct spool_draft *d)
{
	return d->id;
}

static char *draft_buffer(struct spool_draft *d, size_t *n)
{
	*n = d->content.n % 3 == 0 ? 64 : CHUNK;
	return buf_reserve(&d->content, *n);
}

static void draft_used(struct spool_draft *d, size_t n)
{
	d->content.n += n;
	FUZZ_CHECK(d->content.n <= d->content.cap);
}

static void draft_write(struct spool_draft *d, struct span s)
{
	buf_add(&d->content, s);
}

static enum mx_err draft_prefix(struct spool_draft *d, struct span lines)
{
	(void)d;
	FUZZ_CHECK(lines.n > 2 && lines.p[lines.n - 1] == '\n');
	return MX_OK;
}

static enum mx_err draft_error(const struct spool_draft *d)
{
	(void)d;
	return w.write;
}

static void draft_discard(struct spool_draft **d)
{
	buf_fini(&(*d)->content);
	free(*d);
	*d = NULL;
	w.drafts--;
}

static void commit(struct spool_draft **d, const struct envelope *env,
		   const struct spool_rcpt *rcpts, size_t count,
		   spool_commit_cb *cb, void *arg)
{
	FUZZ_CHECK(w.committing == NULL && count > 0);
	FUZZ_CHECK(w.question == NULL);
	(void)env;
	for (size_t i = 0; i < count; i++)
		FUZZ_CHECK(rcpts[i].path.n > 0 && rcpts[i].domain.n > 0);
	w.committing = cb;
	w.commit_arg = arg;
	w.commit_id = (*d)->id;
	draft_discard(d);
}

static void committed(void)
{
	spool_commit_cb *cb = w.committing;

	if (cb == NULL)
		return;
	w.committing = NULL;
	w.commits += w.commit == MX_OK;
	cb(w.commit, w.commit_id, w.commit_arg);
}

static void not_busy(void)
{
	struct spool_waiter *waiter, *last = TAILQ_LAST(&w.waiters, waiters);

	w.is_busy = false;
	while ((waiter = TAILQ_FIRST(&w.waiters)) != NULL) {
		wait_cancel(NULL, waiter);
		waiter->cb(waiter);
		if (waiter == last)
			break;
	}
}

static const struct store store = {
	.room = room,
	.left = left,
	.is_tight = is_tight,
	.domain_room = domain_room,
	.is_busy = is_busy,
	.wait = wait_for,
	.wait_cancel = wait_cancel,
	.draft_new = draft_new,
	.draft_id = draft_id,
	.draft_buffer = draft_buffer,
	.draft_used = draft_used,
	.draft_write = draft_write,
	.draft_prefix = draft_prefix,
	.draft_error = draft_error,
	.draft_discard = draft_discard,
	.commit = commit,
};

/* ---- The gate ---- */

static enum gate_reply refuse(struct verdict *v, unsigned how)
{
	verdict_say(v, how % 2 ? 450 : 550, SPAN_LIT("5.7.1"),
		    SPAN_LIT("no\r\n250 yes"), "test", "");
	return GATE_REFUSE;
}

static enum gate_reply judge(struct gate_question *q, struct verdict *v)
{
	unsigned how = 0;

	FUZZ_CHECK(w.question == NULL && q->client != NULL);
	FUZZ_CHECK(q->moment < GATE_MAIL || q->env != NULL);
	FUZZ_CHECK(q->moment != GATE_RCPT ||
		   (q->to != NULL && q->rcpt != NULL));
	FUZZ_CHECK(q->moment < GATE_CONTENT || q->rcpt_count > 0);
	if (w.answered < w.answers.n)
		how = (unsigned char)w.answers.p[w.answered++];
	if (how % 4 == 1)
		return refuse(v, how >> 2);
	if (how % 4 != 2)
		return GATE_GO;
	w.question = q;
	return GATE_LATER;
}

static void cancel(struct gate_question *q)
{
	FUZZ_CHECK(w.question == q);
	w.question = NULL;
}

static void answer(unsigned how)
{
	struct gate_question *q = w.question;
	struct verdict v = { 0 };

	if (q == NULL)
		return;
	w.question = NULL;
	if (how % 3 == 0)
		refuse(&v, how);
	gate_answer(q, how % 3 == 0 ? &v : NULL);
}

static const struct gate_link link_of_test = {
	.name = "test",
	.ask = { judge, judge, judge, judge, judge },
	.cancel = cancel,
};

/* ---- What is said ---- */

static void on_line(struct span line)
{
	FUZZ_CHECK(line.n >= 6 && line.n <= 512);
	FUZZ_CHECK(line.p[0] >= '2' && line.p[0] <= '5' && line.p[0] != '0');
	FUZZ_CHECK(line.p[3] == ' ' || line.p[3] == '-');
	FUZZ_CHECK(line.p[line.n - 2] == '\r');
	for (size_t i = 0; i < line.n - 2; i++)
		FUZZ_CHECK(line.p[i] >= ' ' && line.p[i] <= '~');
	if (span_starts(line, SPAN_LIT("250 2.6.0 ")))
		FUZZ_CHECK(++w.taken <= w.commits);
}

static void on_output(struct span bytes, bool is_tls)
{
	struct span in;
	size_t end;

	FUZZ_CHECK(!is_tls);
	buf_add(&w.said, bytes);
	in = buf_span(&w.said);
	while ((end = span_find(in, '\n')) < in.n) {
		on_line((struct span){ in.p, end + 1 });
		in = span_skip(in, end + 1);
	}
	buf_consume(&w.said, w.said.n - in.n);
}

/* ---- Steps ---- */

static void turn(void)
{
	for (int i = 0; i < 4; i++)
		ev_run(w.loop, EVRUN_NOWAIT);
}

static void connect_client(void)
{
	struct net_addr peer = { .family = AF_INET, .ip = { 192, 0, 2, 9 } };

	buf_reset(&w.said);
	if (policy_connect(w.policy, w.config, &peer, 1) != V_GO)
		return;
	session_new(w.intake, -1, &peer, false, false, false);
}

/* Words that mean something, since a fuzzer is slow to find them. */
static const char *const words[] = {
	"EHLO c.test\r\n",
	"MAIL FROM:<a@b.test>\r\n",
	"RCPT TO:<user@example.com>\r\n",
	"RCPT TO:<any@example.org>\r\n",
	"DATA\r\n",
	".\r\n",
	"x: y\r\n",
	"BDAT 5 LAST\r\nx: y\r\n",
	"BDAT 4\r\n1234",
	"BDAT 0 LAST\r\n",
	"RSET\r\n",
	"QUIT\r\n",
	"RCPT TO:<nobody@example.com>\r\n",
	"HELO x\r\n",
	"\r\n.\r\n",
	"MAIL FROM:<> SIZE=999 BODY=8BITMIME\r\n",
	"NOOP\r\n",
	"EHLO c\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<user@example.com>\r\nDATA\r\n",
	"ETRN example.com\r\n",
	"STARTTLS\r\n",
	"VRFY u\r\n",
	"\n",
	"..\r\n",
	"RCPT TO:<Postmaster> NOTIFY=NEVER\r\n",
};

static void fail(unsigned how)
{
	enum mx_err *const which[] = { &w.room, &w.begin, &w.write, &w.commit,
				       &w.share };

	*which[how % 5] = how / 5 % 3 == 0   ? MX_OK
			  : how / 5 % 3 == 1 ? MX_ESPACE
					     : MX_EIO;
}

static void hurt(unsigned how)
{
	static const enum conn_end ends[] = { CONN_EOF, CONN_ERROR,
					      CONN_DEADLINE };

	if (how == 7)
		not_busy();
	else if (how == 6)
		w.is_busy = true;
	else if (fake_live() == NULL)
		connect_client();
	else if (how < 3)
		fake_end(ends[how]);
	else if (how < 5)
		fake_block(how == 3);
	else
		w.is_tight = !w.is_tight;
}

static void step(struct span *in)
{
	unsigned byte = fuzz_byte(in), how = byte >> 3;
	struct span raw = { in->p, in->n < how + 1 ? in->n : how + 1 };

	switch (byte & 7) {
	case 0:
	case 1:
		fake_arrive(span_str(words[how % COUNT(words)]));
		break;
	case 2:
		*in = span_skip(*in, raw.n);
		fake_arrive(raw);
		break;
	case 3:
		committed();
		break;
	case 4:
		answer(how);
		break;
	case 5:
		buf_addc(&w.answers, (char)how);
		break;
	case 6:
		fail(how);
		break;
	default:
		hurt(how & 7);
	}
	turn();
}

/* ---- All of it ---- */

static void open_world(void)
{
	struct config_errors errors = { 0 };
	struct buf text = { 0 };

	log_set_level(LOG_LEVEL_ERROR);
	w.loop = ev_loop_new(0);
	buf_addf(&text,
		 "hostname = \"mx2.example.net\"; domains = \"domains\";"
		 "spool = { path = \"%s/spool\"; };"
		 "limits = { message_size = \"64K\"; errors = 100; };",
		 fuzz_directory());
	fuzz_file("mx20.conf", buf_span(&text));
	fuzz_file("domains", SPAN_LIT("example.com recipients=users\n"
				      "example.org recipients=*\n"));
	fuzz_file("users", SPAN_LIT("user\n"));
	buf_reset(&text);
	buf_addf(&text, "%s/mx20.conf", fuzz_directory());
	w.config = config_load(buf_cstr(&text), &errors);
	FUZZ_CHECK(w.config != NULL);
	config_errors_fini(&errors);
	buf_fini(&text);
}

static void open_intake(void)
{
	static const struct intake_hooks none;

	TAILQ_INIT(&w.waiters);
	w.policy = policy_new(&(struct policy_options){ 0 }, w.config);
	gate_add(policy_gate(w.policy), &link_of_test, NULL);
	policy_reload(w.policy, w.config);
	w.intake = intake_new(&(struct intake_options){
		.loop = w.loop,
		.store = &store,
		.policy = w.policy,
		.config = w.config,
		.hooks = &none,
	});
}

static void close_intake(void)
{
	struct {
		struct ev_loop *loop;
		struct config *config;
	} keep = { w.loop, w.config };

	fake_end(CONN_ERROR);
	/* one that only ended its side waits for what was asked */
	for (int i = 0; i < 40; i++) {
		answer(1);
		committed();
		not_busy();
		turn();
	}
	FUZZ_CHECK(fake_live() == NULL && w.question == NULL);
	FUZZ_CHECK(intake_sessions(w.intake) == 0 && w.drafts == 0);
	FUZZ_CHECK(TAILQ_EMPTY(&w.waiters) && w.committing == NULL);
	intake_free(&w.intake);
	policy_free(&w.policy);
	buf_fini(&w.said);
	buf_fini(&w.answers);
	memset(&w, 0, sizeof(w));
	w.loop = keep.loop;
	w.config = keep.config;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);

	if (w.loop == NULL)
		open_world();
	fake_on_output = on_output;
	fake_reset();
	open_intake();
	connect_client();
	turn();
	for (int i = 0; i < 500 && in.n > 0; i++)
		step(&in);
	close_intake();
	return 0;
}
