#include "tests/support/client.h"

#include <stdio.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"

/* ---- The connection ---- */

static void on_ready(struct delivery *d, const struct smtp_ehlo *ehlo,
		     int64_t latency_ms, void *arg)
{
	struct client *c = arg;

	(void)d;
	(void)ehlo;
	(void)latency_ms;
	c->is_ready = true;
}

static void on_room(struct delivery *d, void *arg)
{
	(void)d;
	(void)arg;
}

static void on_end(struct delivery *d, const struct delivery_end *end,
		   void *arg)
{
	struct client *c = arg;

	c->end = *end;
	c->without = delivery_without(d);
	c->delivery = NULL;
	c->is_ended = true;
}

static const struct delivery_events events = {
	.on_ready = on_ready,
	.on_room = on_room,
	.on_end = on_end,
};

static void run(struct client *c, const bool *done)
{
	MX_ASSERT(peer_run(c->loop, done, 10000));
}

void client_run(struct client *c, int64_t ms)
{
	bool never = false;

	peer_run(c->loop, &never, ms);
}

void client_wait(struct client *c)
{
	run(c, &c->is_ended);
}

void client_open(struct client *c, const char *ehlo, peer_reply *reply,
		 void *arg)
{
	struct peer_options popt = { .ehlo = ehlo, .reply = reply, .arg = arg };
	struct delivery_options opt = {
		.helo = SPAN_LIT("mx2.example.net"),
		.local_name = SPAN_LIT("mx2.example.net"),
		.host = &c->host,
		.route = &c->route,
		.connect_timeout_ms = 5000,
		.reply_timeout_ms =
			c->reply_timeout_ms > 0 ? c->reply_timeout_ms : 5000,
		.without = c->without,
	};

	c->loop = opt.loop = ev_loop_new(0);
	c->peer = peer_new(c->loop, &popt);
	c->route.refs = 100; /* never freed here */
	c->host.tls.level = TLS_LEVEL_NONE;
	opt.target = &c->peer->addr;
	c->delivery = delivery_new(&opt, &events, c);
	run(c, &c->is_ready);
}

void client_close(struct client *c)
{
	if (!c->is_ended) {
		delivery_quit(c->delivery);
		client_wait(c);
	}
	client_run(c, 10); /* lingering sockets */
	peer_free(&c->peer);
	ev_loop_destroy(c->loop);
}

/* ---- Mail ---- */

static struct mail *mail_of(struct delivery_job *job)
{
	return job->arg;
}

static void write_down(struct mail *m, size_t i)
{
	snprintf(m->replies[i], sizeof(m->replies[i]), "%.*s",
		 SPAN_ARG(m->job->set[i].reply));
}

static void on_rcpt(struct delivery *d, struct delivery_job *job, size_t i,
		    enum meaning means, void *arg)
{
	struct mail *m = mail_of(job);

	(void)d;
	(void)arg;
	m->means[i] = means;
	write_down(m, i);
	m->is_told = ++m->told == m->rcpts;
}

static void on_done(struct delivery *d, struct delivery_job *job, void *arg)
{
	struct mail *m = mail_of(job);

	(void)d;
	(void)arg;
	for (size_t i = 0; i < job->count; i++) {
		m->outcomes[i] = job->set[i].outcome;
		write_down(m, i);
	}
	m->in_doubt = job->in_doubt;
	m->is_mail_refused = job->is_mail_refused;
	m->is_done = true;
	delivery_job_free(&m->job);
}

static bool may_finish(struct delivery *d, struct delivery_job *job, void *arg)
{
	(void)d;
	(void)arg;
	return !mail_of(job)->is_held_back;
}

static const struct delivery_listener patient = { .on_done = on_done };
static const struct delivery_listener live = {
	.on_done = on_done,
	.on_rcpt = on_rcpt,
	.may_finish = may_finish,
};

static enum mx_err read_content(void *arg, const struct delivery_job *job,
				uint64_t offset, size_t most, struct buf *out)
{
	const struct mail *m = arg;
	struct span s = span_skip(buf_span(&m->content), (size_t)offset);

	(void)job;
	buf_add(out, span_of(s.p, s.n < most ? s.n : most));
	return MX_OK;
}

static void start(struct mail *m, struct client *c, const struct envelope *env,
		  const char *to, const struct delivery_listener *who)
{
	struct unit *u = mx_alloc(sizeof(*u));
	const struct delivery_source source = { read_content, m };
	const struct delivery_source none = { 0 };
	bool is_callout = env->from.n == 0;

	*m = (struct mail){ .client = c, .rcpts = 1, .content = m->content };
	u->envelope = *env;
	u->domain = SPAN_LIT("example.org");
	u->rcpt_count = 1;
	u->rcpts = arena_alloc(&u->arena, sizeof(*u->rcpts));
	u->rcpts[0].path = arena_span(&u->arena, span_str(to));
	u->rcpts[0].domain = u->domain;
	m->job = delivery_job_new(&u, is_callout ? none : source, who, m);
}

void mail_callout(struct mail *m, struct client *c, const char *to)
{
	const struct envelope env = { 0 };

	start(m, c, &env, to, &patient);
	delivery_give(c->delivery, m->job);
}

void mail_whole(struct mail *m, struct client *c, const char *to,
		const char *content)
{
	struct envelope env = { .from = SPAN_LIT("a@example.net") };

	buf_reset(&m->content);
	buf_adds(&m->content, content);
	env.bytes = m->content.n;
	start(m, c, &env, to, &patient);
	delivery_give(c->delivery, m->job);
}

void mail_relay(struct mail *m, struct client *c, const struct envelope *env,
		const char *to)
{
	struct envelope mine = env != NULL ? *env : (struct envelope){ 0 };

	mine.from = SPAN_LIT("a@example.net");
	start(m, c, &mine, to, &live);
	m->job->bytes = 0;
	m->job->more = MORE_RCPTS;
	delivery_give(c->delivery, m->job);
}

void mail_rcpt(struct mail *m, const char *to)
{
	const struct recipient r = { .number = (uint32_t)m->rcpts,
				     .path = span_str(to),
				     .domain = SPAN_LIT("example.org") };

	m->rcpts++;
	m->is_told = false;
	delivery_more_rcpt(m->client->delivery, m->job, &r);
}

void mail_content(struct mail *m, const char *piece, bool is_all)
{
	buf_adds(&m->content, piece);
	delivery_more_content(m->client->delivery, m->job, m->content.n,
			      is_all);
}

void mail_wait(struct mail *m)
{
	run(m->client, &m->is_done);
}

void mail_wait_rcpts(struct mail *m)
{
	run(m->client, &m->is_told);
}
