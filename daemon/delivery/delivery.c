/* The life of one connection: made, driven by its socket, ended once. */
#include <stdlib.h>
#include <time.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/log.h"
#include "daemon/delivery/internal.h"

int64_t delivery_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* ---- Jobs ---- */

static struct tx *tx_of(struct delivery_job *job)
{
	return CONTAINER_OF(job, struct tx, job);
}

struct delivery_job *delivery_job_new(struct unit **unit, void *arg)
{
	struct tx *tx = mx_alloc(sizeof(*tx));
	struct unit *u = *unit;

	*unit = NULL;
	tx->job.unit = u;
	tx->job.count = u->rcpt_count;
	tx->job.arg = arg;
	tx->job.set = arena_alloc_array(&u->arena, u->rcpt_count,
					sizeof(*tx->job.set));
	for (size_t i = 0; i < u->rcpt_count; i++)
		tx->job.set[i].number = u->rcpts[i].number;
	return &tx->job;
}

void delivery_job_free(struct delivery_job **job)
{
	struct tx *tx;

	if (*job == NULL)
		return;
	tx = tx_of(*job);
	*job = NULL;
	unit_free(&tx->job.unit);
	free(tx);
}

static void take_out(struct delivery *d, struct tx *tx)
{
	uint64_t bytes = tx->job.unit->envelope.bytes;

	if (d->queued == tx)
		d->queued = TAILQ_NEXT(tx, link);
	TAILQ_REMOVE(&d->txs, tx, link);
	d->jobs--;
	d->bytes -= bytes;
	if (tx->has_mail) {
		d->open--;
		d->open_bytes -= bytes;
	}
	if (d->sending == tx)
		d->sending = NULL;
}

/* What has not begun need not wait for this connection. */
enum step delivery_give_back(struct delivery *d)
{
	struct tx *tx;

	while (!d->is_freed && (tx = d->queued) != NULL) {
		take_out(d, tx);
		d->events->on_job(d, &tx->job, d->arg);
	}
	return d->is_freed ? STEP_END : STEP_ON;
}

/* All that will ever be known of it is known. */
void delivery_done(struct delivery *d, struct tx *tx)
{
	take_out(d, tx);
	tx->job.ended_ms = clock_mono_ms();
	d->events->on_job(d, &tx->job, d->arg);
	if (!d->is_freed && delivery_room(d) > 0)
		d->events->on_room(d, d->arg);
}

/* ---- The end ---- */

enum step delivery_end_with(struct delivery *d, int why, enum stage at,
			    const struct smtp_reply *reply)
{
	d->life = LIFE_OVER;
	d->end.why = why;
	d->end.stage = stage_name(at);
	smtp_reply_copy(&d->end.reply, reply);
	return STEP_END;
}

enum step delivery_end_made(struct delivery *d, int why, enum stage at,
			    int code, const char *enhanced, struct span text)
{
	d->life = LIFE_OVER;
	d->end.why = why;
	d->end.stage = stage_name(at);
	smtp_reply_set(&d->end.reply, code, enhanced, text);
	return STEP_END;
}

static void release(struct delivery *d)
{
	struct tx *tx;

	while ((tx = TAILQ_FIRST(&d->txs)) != NULL) {
		struct delivery_job *job = &tx->job;

		TAILQ_REMOVE(&d->txs, tx, link);
		delivery_job_free(&job);
	}
	ev_timer_stop(d->opt.loop, &d->again);
	if (d->conn != NULL)
		conn_free(&d->conn);
	smtp_reply_parser_fini(&d->parser);
	smtp_reply_fini(&d->reply);
	smtp_reply_fini(&d->end.reply);
	buf_fini(&d->out);
	buf_fini(&d->raw);
	free(d->expects.slots);
	route_unref(&d->opt.route);
	d->magic = 0;
	free(d);
}

static void say_why(struct tx *tx, struct span reply)
{
	for (size_t i = 0; i < tx->ask_count; i++) {
		struct settlement *s = &tx->job.set[tx->ask[i]];

		if (s->outcome == OUTCOME_UNTRIED)
			s->reply = reply;
	}
}

/*
 * The content was all out and the reply did not come: the server may have it
 * or not.  It is sent again, since a loss is worse than a duplicate
 * (RFC 1047 knows the problem), and the log says so.
 */
static void note_doubt(struct delivery *d, struct tx *tx)
{
	static const char text[] =
		"451 4.4.2 Connection lost before the reply to the content";

	tx->job.in_doubt = true;
	say_why(tx, span_of(text, sizeof(text) - 1));
	log_warn(EV_DEFERRED, LOG_ID("mid", tx->job.unit->envelope.id),
		 LOG_SPAN("host", d->opt.host->name),
		 LOG_STR("stage", d->end.stage), LOG_STR("reply", text),
		 LOG_STR("note", "a duplicate is possible"));
}

/* The transaction that was under way may be why the connection ended. */
static void note_head(struct delivery *d, struct tx *tx)
{
	struct buf line = { 0 };

	tx->job.was_head = true;
	smtp_reply_print(&line, &d->end.reply);
	say_why(tx, arena_span(&tx->job.unit->arena, buf_span(&line)));
	buf_fini(&line);
}

static void finish(struct delivery *d)
{
	struct tx *tx;
	bool is_first = true;

	while ((tx = TAILQ_FIRST(&d->txs)) != NULL) {
		if (is_first && tx->has_mail)
			note_head(d, tx);
		is_first = false;
		if (tx->is_complete)
			note_doubt(d, tx);
		take_out(d, tx);
		tx->job.ended_ms = clock_mono_ms();
		d->events->on_job(d, &tx->job, d->arg);
		if (d->is_freed)
			return;
	}
	d->events->on_end(d, &d->end, d->arg);
}

/* The only place that frees: no step pulls its own floor away. */
static void leave(struct delivery *d, enum step step)
{
	if (step == STEP_END && !d->is_freed)
		finish(d);
	if (step == STEP_END || d->is_freed) {
		release(d);
		return;
	}
	d->busy--;
	if (d->conn != NULL && conn_output_pending(d->conn) > 0)
		conn_flush(d->conn); /* what is left then, the peer holds up */
	expect_arm(d);
}

static struct delivery *enter(void *arg)
{
	struct delivery *d = arg;

	MX_ASSERT(d->magic == DELIVERY_MAGIC);
	d->busy++;
	return d;
}

/* ---- Events of the socket ---- */

static void on_input(struct conn *c, void *arg)
{
	struct delivery *d = enter(arg);
	enum step step = d->life == LIFE_OVER ? STEP_END : expect_read(d);

	(void)c;
	if (step == STEP_ON)
		step = pump(d);
	leave(d, step);
}

static void on_ready(struct conn *c, void *arg)
{
	struct delivery *d = enter(arg);
	enum step step = STEP_ON;

	d->has_moved = true;
	if (d->life == LIFE_OVER) {
		step = STEP_END;
	} else if (d->waiting == ST_TLS) {
		d->waiting = ST_EHLO;
		step = session_secured(d);
	} else {
		d->waiting = ST_GREETING;
		expect_push(d, ST_GREETING, NULL, 0);
	}
	(void)c;
	leave(d, step);
}

static void on_drained(struct conn *c, void *arg)
{
	struct delivery *d = enter(arg);

	(void)c;
	d->has_moved = true;
	leave(d, pump(d));
}

static const char *end_text(struct conn *c, enum conn_end why)
{
	switch (why) {
	case CONN_EOF:
		return "Connection closed by the server";
	case CONN_DEADLINE:
		return "Time-out";
	case CONN_ERROR:
	case CONN_TLS:
		break;
	}
	return conn_error(c);
}

/* What the connection was waiting for. */
static enum stage stage_now(const struct delivery *d)
{
	const struct expect_ring *r = &d->expects;

	if (d->sending != NULL && d->sending->at == TX_CONTENT)
		return ST_CONTENT;
	if (r->count > 0)
		return r->slots[r->head].stage;
	return d->life == LIFE_OPENING ? d->waiting : ST_QUIT;
}

/* RFC 3463: no answer from the host, or a bad connection to it. */
static const char *status_of(enum stage at)
{
	return at == ST_CONNECT ? "4.4.1" : "4.4.2";
}

static void on_end(struct conn *c, enum conn_end why, void *arg)
{
	struct delivery *d = enter(arg);
	struct span text = span_str(end_text(c, why));
	enum stage at = stage_now(d);
	enum step step;

	if (d->life == LIFE_OVER)
		step = STEP_END;
	else if (d->life == LIFE_OPENING && d->waiting == ST_TLS)
		step = session_insecure(d, text);
	else if (d->life == LIFE_QUIT ||
		 (d->life == LIFE_READY && d->jobs == 0))
		step = delivery_end_made(d, DELIVERY_CLOSED, at, 421, "4.4.2",
					 text);
	else
		step = delivery_end_made(d, DELIVERY_LOST, at, 451,
					 status_of(at), text);
	leave(d, step);
}

static void on_again(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct delivery *d = enter(w->data);

	(void)loop;
	(void)revents;
	leave(d, d->life == LIFE_OVER ? STEP_END : pump(d));
}

static const struct conn_events conn_events = {
	.on_input = on_input,
	.on_ready = on_ready,
	.on_drained = on_drained,
	.on_end = on_end,
};

/* ---- For the caller ---- */

void delivery_connect(struct delivery *d)
{
	d->waiting = ST_CONNECT;
	d->has_moved = true;
	d->expects.count = 0;
	smtp_reply_parser_fini(&d->parser);
	d->parser = (struct smtp_reply_parser){ 0 };
	d->conn = conn_connect(d->opt.loop, &d->target, &conn_events, d);
	expect_arm(d);
}

struct delivery *delivery_new(const struct delivery_options *opt,
			      const struct delivery_events *ev, void *arg)
{
	struct delivery *d = mx_alloc(sizeof(*d));

	d->magic = DELIVERY_MAGIC;
	d->opt = *opt;
	d->opt.route = route_ref(opt->route);
	d->target = *opt->target;
	d->opt.target = &d->target;
	d->events = ev;
	d->arg = arg;
	TAILQ_INIT(&d->txs);
	ev_timer_init(&d->again, on_again, 0., 0.);
	d->again.data = d;
	d->started_ms = clock_mono_ms();
	delivery_connect(d);
	return d;
}

const struct tls_facts *delivery_tls(const struct delivery *d)
{
	return d->conn != NULL ? conn_tls(d->conn) : NULL;
}

size_t delivery_room(const struct delivery *d)
{
	size_t window;

	if (d->life != LIFE_READY || d->wants_quit || d->is_freed)
		return 0;
	if (d->ehlo.mail_max > 0 && d->given >= d->ehlo.mail_max)
		return 0; /* RFC 9422 section 4.1 */
	if (d->jobs > 0 && d->bytes >= 1024 * 1024)
		return 0;
	window = pump_window(d);
	return d->jobs < window ? window - d->jobs : 0;
}

size_t delivery_jobs(const struct delivery *d)
{
	return d->jobs;
}

/* In the next turn: the caller may be in the middle of something. */
static void soon(struct delivery *d)
{
	ev_timer_stop(d->opt.loop, &d->again);
	ev_timer_set(&d->again, 0., 0.);
	ev_timer_start(d->opt.loop, &d->again);
}

/* From outside a callback the socket must be told. */
static void kick(struct delivery *d)
{
	enum step step;

	if (d->busy > 0)
		return; /* pump() runs before the callback returns */
	d->busy++;
	step = pump(d);
	if (step == STEP_ON) {
		leave(d, step);
		return;
	}
	d->busy--;
	if (d->is_freed) {
		release(d);
		return;
	}
	soon(d); /* never end before return: the caller still holds d */
}

void delivery_give(struct delivery *d, struct delivery_job *job)
{
	struct tx *tx = tx_of(job);

	MX_ASSERT(d->life == LIFE_READY);
	TAILQ_INSERT_TAIL(&d->txs, tx, link);
	if (d->queued == NULL)
		d->queued = tx;
	d->jobs++;
	d->given++;
	d->bytes += job->unit->envelope.bytes;
	kick(d);
}

void delivery_quit(struct delivery *d)
{
	if (d->wants_quit || d->life == LIFE_OVER)
		return;
	d->wants_quit = true;
	if (d->life == LIFE_OPENING)
		delivery_end_made(d, DELIVERY_CLOSED, d->waiting, 421, "4.3.2",
				  SPAN_LIT("No longer needed"));
	soon(d);
}

void delivery_free(struct delivery **dp)
{
	struct delivery *d = *dp;

	if (d == NULL)
		return;
	*dp = NULL;
	if (d->life == LIFE_READY && d->expects.count == 0 && d->conn != NULL) {
		conn_write(d->conn, SPAN_LIT("QUIT\r\n"));
		conn_close_after_output(&d->conn, SECONDS(1));
	}
	d->is_freed = true;
	d->life = LIFE_OVER;
	if (d->busy == 0)
		release(d);
}
