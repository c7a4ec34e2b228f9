/* A connection's half on a thread. */
#include <stdlib.h>

#include "common/base/assert.h"
#include "common/net/wire_priv.h"

static struct wire_up *say(struct wire *w)
{
	struct wire_up *up = wire_report(w);

	up->got = w->told_down = w->come_down;
	up->pending = w->told_pending = conn_output_pending(w->c);
	return up;
}

/* Has the owner to know how much was sent? */
static void say_sent(struct wire *w)
{
	if (conn_output_pending(w->c) > 0)
		return;
	if (w->told_pending > 0 || w->come_down - w->told_down >= WIRE_TELL_MIN)
		say(w);
}

/* ---- What the connection says ---- */

static void on_input(struct conn *c, void *arg)
{
	struct wire *w = arg;
	struct span in = conn_input(c);

	buf_add(&say(w)->in, in);
	w->sent_up += in.n;
	w->untaken += in.n;
	conn_consume(c, in.n);
	if (w->untaken >= w->window)
		conn_pause(c);
}

static void on_ready(struct conn *c, void *arg)
{
	say(arg)->facts = conn_tls(c);
}

static void on_drained(struct conn *c, void *arg)
{
	(void)c;
	say_sent(arg);
}

static void on_end(struct conn *c, enum conn_end why, void *arg)
{
	struct wire_up *up = say(arg);

	up->why = why;
	up->error = conn_error(c);
}

static const struct conn_events events = {
	.on_input = on_input,
	.on_ready = on_ready,
	.on_drained = on_drained,
	.on_end = on_end,
};

/* ---- What its owner says ---- */

static void begin(struct wire *w)
{
	w->c = conn_new(wire_loop(w), w->fd, &events, w);
	w->c->is_inner = true;
	w->fd = -1;
}

static void allow(struct wire *w, const struct wire_down *d)
{
	w->window = d->read_most > 0 ? d->read_most : CONN_UNREAD_MAX;
	conn_read_most(w->c, d->read_most > 0 ? d->read_most : SIZE_MAX);
	MX_ASSERT(d->taken <= w->untaken);
	w->untaken -= d->taken;
	if (w->untaken < w->window)
		conn_resume(w->c);
	else
		conn_pause(w->c);
}

static void secure(struct wire *w, struct wire_down *d)
{
	w->c->lane = d->lane;
	conn_flush(w->c);
	if (d->seen == w->sent_up) {
		conn_starttls_server(w->c, d->tls);
	} else {
		struct wire_up *up = say(w);

		up->error = "input in clear behind STARTTLS";
		up->why = CONN_TLS;
	}
	tls_server_unref(&d->tls);
}

static void finish(struct wire *w, const struct wire_down *d)
{
	if (d->end == WIRE_CLOSES) {
		/* conn_close_after_output: it is in the middle of sending */
		if (d->is_paused || w->untaken > 0)
			conn_pause(w->c);
		conn_close_after_output(&w->c, d->grace_ms);
	} else {
		conn_free(&w->c);
	}
	wire_report(w)->is_gone = true;
}

static void obey(struct wire_down *d)
{
	struct wire *w = d->wire;

	if (w->c == NULL)
		begin(w);
	allow(w, d);
	if (d->acks)
		conn_ack(w->c);
	if (d->invites)
		conn_tls_invite(w->c);
	conn_write(w->c, buf_span(&d->out));
	w->come_down += d->out.n;
	if (d->tls != NULL)
		secure(w, d);
	if (d->end != WIRE_GOES_ON) {
		finish(w, d);
		return;
	}
	conn_flush(w->c);
	say_sent(w);
}

void wire_obey(struct wire_downs *downs)
{
	struct wire_down *d;

	while ((d = STAILQ_FIRST(downs)) != NULL) {
		STAILQ_REMOVE_HEAD(downs, link);
		obey(d);
		buf_fini(&d->out);
		free(d);
	}
}
