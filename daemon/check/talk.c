#include "daemon/check/talk.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/smtp/ehlo.h"

enum {
	TALK_MAGIC = 0x7a1c5a1d,
	RCPT_MAX = 50, /* of one transaction: RFC 5321 wants 100 to be taken */
};

struct talk {
	unsigned magic;
	struct talk_options opt;
	struct talk_facts *facts;
	const struct talk_events *ev;
	void *arg;
	struct conn *conn;
	enum talk_stage stage;
	struct smtp_reply_parser parser;
	struct smtp_reply reply;
	struct buf recipient;
	bool has_mail;	/* a transaction is open, */
	unsigned rcpts; /* with so many RCPT */
	bool is_dead; /* nothing comes any more */
};

const char *talk_stage_name(enum talk_stage s)
{
	static const char *const names[] = {
		"connect", "greeting", "EHLO", "STARTTLS", "TLS", "EHLO",
		"ready",   "MAIL",     "RCPT", "RSET",	   "QUIT",
	};

	return names[s];
}

void talk_facts_fini(struct talk_facts *f)
{
	buf_fini(&f->error);
}

/* ---- Ends ---- */

static void known(struct talk *t)
{
	t->facts->is_known = true;
	t->ev->on_known(t, t->arg);
}

static void over(struct talk *t)
{
	t->is_dead = true;
	t->ev->on_over(t, t->arg);
}

/* Before it was ready that is what there is to know; behind it a loss. */
static void fail(struct talk *t)
{
	struct talk_facts *f = t->facts;

	if (t->stage >= TALK_READY) {
		over(t);
		return;
	}
	t->is_dead = true;
	f->stage = t->stage;
	known(t);
}

static void fail_reply(struct talk *t)
{
	t->facts->code = t->reply.code;
	smtp_reply_print(&t->facts->error, &t->reply);
	fail(t);
}

static void fail_words(struct talk *t, const char *words)
{
	buf_adds(&t->facts->error, words);
	fail(t);
}

/* ---- Commands ---- */

static void say(struct talk *t, enum talk_stage stage, const char *verb,
		struct span rest, const char *end)
{
	struct buf line = { 0 };

	t->stage = stage;
	buf_adds(&line, verb);
	buf_add(&line, rest);
	buf_adds(&line, end);
	buf_adds(&line, "\r\n");
	conn_write(t->conn, buf_span(&line));
	conn_flush(t->conn);
	buf_fini(&line);
	conn_deadline(t->conn, t->opt.reply_ms);
}

static void ready(struct talk *t)
{
	t->stage = TALK_READY;
	t->facts->is_ready = true;
	conn_deadline(t->conn, 0);
	known(t);
}

bool talk_is_idle(const struct talk *t)
{
	return t->stage == TALK_READY && !t->is_dead;
}

static void say_mail(struct talk *t)
{
	say(t, TALK_MAIL, "MAIL FROM:<>", SPAN_LIT(""), "");
}

static void say_rcpt(struct talk *t)
{
	t->rcpts++;
	say(t, TALK_RCPT, "RCPT TO:<", buf_span(&t->recipient), ">");
}

static void say_rset(struct talk *t)
{
	say(t, TALK_RSET, "RSET", SPAN_LIT(""), "");
}

/* Many in one transaction: Postfix makes who opens many wait for a second
 * each (in_flow_delay). */
void talk_ask(struct talk *t, struct span recipient)
{
	MX_ASSERT(talk_is_idle(t));
	buf_reset(&t->recipient);
	buf_add(&t->recipient, recipient);
	if (!t->has_mail)
		say_mail(t);
	else if (t->rcpts < RCPT_MAX)
		say_rcpt(t);
	else
		say_rset(t);
}

/* ---- Replies ---- */

/* Keywords that smtp_ehlo_parse does not know. */
static bool offers(const struct smtp_reply *r, struct span keyword)
{
	struct span rest = buf_span(&r->text);

	while (rest.n > 0) {
		struct span line = span_cut(&rest, '\n');

		if (span_ieq(span_cut(&line, ' '), keyword))
			return true;
	}
	return false;
}

static void without_tls(struct talk *t)
{
	if (t->opt.level <= TLS_LEVEL_MAY) {
		ready(t);
		return;
	}
	t->facts->is_tls_fault = true;
	fail_words(t, "it does not offer STARTTLS");
}

static void got_ehlo(struct talk *t)
{
	struct talk_facts *f = t->facts;
	struct smtp_ehlo ehlo = { 0 };

	if (t->reply.code / 100 != 2) {
		fail_reply(t);
		return;
	}
	smtp_ehlo_parse(&t->reply, &ehlo);
	memcpy(f->host, ehlo.host, sizeof(f->host));
	f->offers_xclient = offers(&t->reply, SPAN_LIT("XCLIENT"));
	f->offers_xforward = offers(&t->reply, SPAN_LIT("XFORWARD"));
	if (f->has_tls) {
		ready(t);
		return;
	}
	f->offers_tls = (ehlo.offered & SMTP_EXT_STARTTLS) != 0;
	if (t->opt.level == TLS_LEVEL_NONE)
		ready(t);
	else if (f->offers_tls)
		say(t, TALK_STARTTLS, "STARTTLS", SPAN_LIT(""), "");
	else
		without_tls(t);
}

static void got_starttls(struct talk *t)
{
	struct tls_client tls = { t->opt.ctx, t->opt.demand };

	if (t->reply.code != 220) {
		t->facts->is_tls_fault = true;
		fail_reply(t);
		return;
	}
	(void)conn_discard_input(t->conn); /* RFC 3207 section 4.2 */
	t->stage = TALK_HANDSHAKE;
	conn_deadline(t->conn, t->opt.reply_ms);
	conn_starttls_client(t->conn, &tls);
}

static void answer(struct talk *t, bool is_mail)
{
	t->ev->on_reply(t, is_mail, &t->reply, t->arg);
	ready(t);
}

static void got_mail(struct talk *t)
{
	t->has_mail = t->reply.code / 100 == 2;
	t->rcpts = 0;
	if (t->has_mail)
		say_rcpt(t);
	else
		answer(t, true);
}

/* Some want a transaction for each domain, and say 4yz to a second one. */
static void got_rcpt(struct talk *t)
{
	if (t->reply.code / 100 == 4 && t->rcpts > 1)
		say_rset(t);
	else
		answer(t, false);
}

static void got_reply(struct talk *t)
{
	const int code = t->reply.code;

	if (code == 421 && t->stage == TALK_READY) {
		over(t);
		return;
	}
	switch (t->stage) {
	case TALK_GREETING:
		if (code != 220)
			fail_reply(t);
		else
			say(t, TALK_EHLO, "EHLO ", t->opt.helo, "");
		return;
	case TALK_EHLO:
	case TALK_EHLO_AGAIN: got_ehlo(t); return;
	case TALK_STARTTLS: got_starttls(t); return;
	case TALK_MAIL: got_mail(t); return;
	case TALK_RCPT: got_rcpt(t); return;
	case TALK_RSET: say_mail(t); return;
	case TALK_CONNECT:
	case TALK_HANDSHAKE:
	case TALK_READY:
	case TALK_QUIT:
	default: return; /* it talks to itself */
	}
}

/* ---- The connection ---- */

static void on_input(struct conn *c, void *arg)
{
	struct talk *t = arg;

	MX_ASSERT(t->magic == TALK_MAGIC);
	while (t->conn != NULL && !t->is_dead && t->stage != TALK_HANDSHAKE) {
		struct span all = conn_input(c), in = all;
		enum smtp_reply_state s =
			smtp_reply_feed(&t->parser, &in, &t->reply);

		conn_consume(c, all.n - in.n);
		if (s == SMTP_REPLY_MORE)
			return;
		if (s == SMTP_REPLY_BAD || t->reply.is_odd) {
			fail_words(t, "what it says is not SMTP");
			return;
		}
		got_reply(t);
	}
}

static void on_ready(struct conn *c, void *arg)
{
	struct talk *t = arg;
	const struct tls_facts *tls = conn_tls(c);

	MX_ASSERT(t->magic == TALK_MAGIC);
	if (tls == NULL) {
		t->stage = TALK_GREETING;
		conn_deadline(c, t->opt.reply_ms);
		return;
	}
	t->facts->has_tls = true;
	t->facts->tls_version = tls->version;
	t->facts->is_shown =
		conn_tls_shown(c, t->opt.name, &t->facts->shown);
	say(t, TALK_EHLO_AGAIN, "EHLO ", t->opt.helo, "");
}

static void on_end(struct conn *c, enum conn_end why, void *arg)
{
	struct talk *t = arg;

	MX_ASSERT(t->magic == TALK_MAGIC);
	if (t->is_dead)
		return;
	t->facts->is_silent = why == CONN_DEADLINE;
	t->facts->is_starved = why == CONN_ERROR && conn_is_starved(c);
	/* behind it TLS 1.3 says what it thinks of it: as deliveries do */
	t->facts->is_tls_fault =
		t->stage == TALK_HANDSHAKE ||
		(t->stage == TALK_EHLO_AGAIN && why != CONN_DEADLINE);
	if (t->stage >= TALK_READY)
		over(t);
	else if (why == CONN_EOF)
		fail_words(t, "it closed the connection");
	else if (why == CONN_DEADLINE)
		fail_words(t, "no answer in time");
	else
		fail_words(t, conn_error(c));
}

static const struct conn_events events = {
	.on_input = on_input,
	.on_ready = on_ready,
	.on_end = on_end,
};

struct talk *talk_new(const struct talk_options *opt, struct talk_facts *facts,
		      const struct talk_events *ev, void *arg)
{
	struct talk *t = mx_alloc(sizeof(*t));

	t->magic = TALK_MAGIC;
	t->opt = *opt;
	t->facts = facts;
	t->ev = ev;
	t->arg = arg;
	t->conn = conn_connect(opt->loop, &opt->addr, &events, t);
	conn_deadline(t->conn, opt->connect_ms);
	return t;
}

void talk_free(struct talk **tp)
{
	struct talk *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	MX_ASSERT(t->magic == TALK_MAGIC);
	t->magic = 0;
	if (!t->is_dead && t->stage >= TALK_READY) {
		conn_write(t->conn, t->has_mail ? SPAN_LIT("RSET\r\nQUIT\r\n")
						: SPAN_LIT("QUIT\r\n"));
		conn_close_after_output(&t->conn, 1000);
	} else {
		conn_free(&t->conn);
	}
	smtp_reply_parser_fini(&t->parser);
	smtp_reply_fini(&t->reply);
	buf_fini(&t->recipient);
	free(t);
}
