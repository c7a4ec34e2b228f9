/*
 * What drives a connection: its socket's events, and the caller.  Every way in
 * passes enter(), every way out leave(): the only place that ends and frees,
 * so that no step pulls its own floor away.
 */
#include <stdlib.h>

#include "common/base/assert.h"
#include "daemon/delivery/delivery_priv.h"

void drive_release(struct delivery *d)
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
	buf_fini(&d->preface);
	buf_fini(&d->out);
	buf_fini(&d->raw);
	free(d->expects.slots);
	route_unref(&d->opt.route);
	d->magic = 0;
	free(d);
}

static void finish(struct delivery *d)
{
	if (lose_all(d) == STEP_ON)
		d->events->on_end(d, &d->end, d->arg);
}

static void leave(struct delivery *d, enum step step)
{
	if (step == STEP_END && !d->is_freed)
		finish(d);
	if (step == STEP_END || d->is_freed) {
		drive_release(d);
		return;
	}
	if (step == STEP_CONNECT) {
		d->is_helo = false;
		conn_free(&d->conn);
		drive_connect(d);
	}
	d->busy--;
	if (d->conn != NULL && conn_output_pending(d->conn) > 0)
		conn_flush(d->conn); /* what is left then, the peer holds up */
	if (d->life == LIFE_READY && d->conn != NULL)
		pump_note_dry(d);
	expect_arm(d);
}

static struct delivery *enter(void *arg)
{
	struct delivery *d = arg;

	MX_ASSERT(d->magic == DELIVERY_MAGIC);
	d->busy++;
	return d;
}

/* Many servers answer commands that came together one by one, in a write each:
 * we wait for more, and say nothing that would carry the acknowledgement. */
static void on_input(struct conn *c, void *arg)
{
	struct delivery *d = enter(arg);
	uint64_t written = d->written;
	enum step step = d->life == LIFE_OVER ? STEP_END : replies_read(d);

	if (step == STEP_ON)
		step = pump(d);
	if (step == STEP_ON && d->expects.count > 0 && d->written == written)
		conn_ack(c);
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

static int why_lost(const struct conn *c)
{
	return conn_is_starved(c) ? DELIVERY_STARVED : DELIVERY_LOST;
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
	bool is_late = why == CONN_DEADLINE;
	enum step step = STEP_ON;

	d->blamed = expect_tx(d);
	if (d->life == LIFE_OVER)
		step = STEP_END;
	else if (d->life == LIFE_OPENING && session_again(d, at, text, is_late))
		step = STEP_CONNECT;
	else if (d->life == LIFE_OPENING &&
		 (d->waiting == ST_TLS || session_was_refused(d, at, is_late)))
		step = session_insecure(d, text, is_late);
	else if (fallback_lost(d, at, text, is_late))
		step = end_made(d, DELIVERY_CLOSED, at, 451, "4.4.2", text);
	else if (d->life == LIFE_QUIT ||
		 (d->life == LIFE_READY &&
		  (d->jobs == 0 || transaction_is_slow(d))))
		step = end_made(d, DELIVERY_CLOSED, at, 421, "4.4.2", text);
	else
		step = end_made(d, why_lost(c), at, 451, status_of(at), text);
	leave(d, step);
}

void drive_again(struct ev_loop *loop, ev_timer *w, int revents)
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

void drive_connect(struct delivery *d)
{
	d->waiting = ST_CONNECT;
	d->has_moved = true;
	d->expects.count = 0;
	smtp_reply_parser_fini(&d->parser);
	d->parser = (struct smtp_reply_parser){ 0 };
	d->conn = conn_connect(d->opt.loop, &d->target, &conn_events, d);
	expect_arm(d);
}

void drive_soon(struct delivery *d)
{
	ev_timer_stop(d->opt.loop, &d->again);
	ev_timer_set(&d->again, 0., 0.);
	ev_timer_start(d->opt.loop, &d->again);
}

/* From outside a callback the socket must be told. */
void drive(struct delivery *d)
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
		drive_release(d);
		return;
	}
	drive_soon(d); /* never end before return: the caller still holds d */
}
