/* A connection's events: what the loop says becomes a call of the owner. */
#include <errno.h>
#include <stdlib.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/metrics.h"
#include "common/net/conn_priv.h"
#include "common/net/wire_priv.h"

/* After a write failed: how often to read what the peer said before it. */
enum { LAST_READS = 16 };

static struct conn *owner_of(void *data)
{
	struct conn *c = data;

	MX_ASSERT(c->magic == CONN_MAGIC);
	return c;
}

/* The owner is not to be called any more. */
static bool is_gone(const struct conn *c)
{
	return c->is_freed || c->state == CONN_ST_ENDED ||
	       c->state == CONN_ST_LINGER;
}

static void enter(struct conn *c)
{
	c->busy++;
}

/* The end of every callback of the loop: c may be gone afterwards. */
static void leave(struct conn *c)
{
	if (--c->busy > 0)
		return;
	if (c->is_freed) {
		conn_drop(c);
		return;
	}
	if (c->state == CONN_ST_LINGER) {
		conn_linger(c);
		return;
	}
	conn_settle_input(c);
	if (!c->is_kept) /* else the kernel says when */
		conn_push(c);
	conn_watch(c);
}

static const char *end_text(enum conn_end why)
{
	switch (why) {
	case CONN_EOF:
		return "connection closed by the peer";
	case CONN_DEADLINE:
		return "timed out";
	case CONN_TLS:
		return "TLS failed";
	case CONN_ERROR:
		break;
	}
	return "connection failed";
}

/* A handshake ended; one that the owner gave up counts for nothing. */
static void count_handshake(const struct conn *c, bool ok)
{
	if (c->is_inner)
		return;
	metrics_add(METRIC_HANDSHAKES,
		    c->is_server ? (ok ? HANDSHAKE_IN_OK : HANDSHAKE_IN_FAILED)
				 : (ok ? HANDSHAKE_OUT_OK
				       : HANDSHAKE_OUT_FAILED),
		    1);
}

static void end(struct conn *c, enum conn_end why)
{
	if (is_gone(c))
		return;
	if (c->state == CONN_ST_HANDSHAKE)
		count_handshake(c, false);
	conn_push(c); /* an alert that says why */
	if (why == CONN_ERROR || why == CONN_TLS)
		c->is_broken = true;
	c->state = CONN_ST_ENDED;
	c->deadline_ms = 0;
	if (c->error == NULL)
		c->error = end_text(why);
	c->ev->on_end(c, why, c->arg);
}

static void end_errno(struct conn *c, int errnum)
{
	bool in_tls = c->state == CONN_ST_HANDSHAKE;

	if (c->error == NULL)
		c->error = strerrordesc_np(errnum);
	end(c, in_tls ? CONN_TLS : CONN_ERROR);
}

/* ---- Input ---- */

static void offer(struct conn *c)
{
	if (!is_gone(c) && !c->is_paused && c->unread.n > 0)
		c->ev->on_input(c, c->arg);
}

/* n bytes are new in the shared buffer. */
static void take_plain(struct conn *c, size_t n)
{
	char *at = c->desk->shared + CONN_UNREAD_MAX - c->unread.n;

	if (c->unread.n > 0)
		memmove(at, c->unread.p, c->unread.n);
	c->unread = span_of(at, c->unread.n + n);
	c->is_borrowed = true;
	free(c->in);
	c->in = NULL;
	offer(c);
}

/* Nothing more will come; all that came is offered before on_end. */
static void take_eof(struct conn *c)
{
	c->is_eof = true;
	if (c->state == CONN_ST_HANDSHAKE) {
		c->error = "connection closed during the TLS handshake";
		end(c, CONN_TLS);
		return;
	}
	offer(c);
	if (!c->is_paused)
		end(c, c->is_broken ? CONN_ERROR : CONN_EOF);
}

static void end_tls(struct conn *c)
{
	c->error = tls_engine_error(c->tls);
	end(c, CONN_TLS);
}

/* False: the handshake is not over, or the connection is. */
static bool shaken(struct conn *c, enum engine_step step)
{
	switch (step) {
	case ENGINE_OK:
		c->state = CONN_ST_OPEN;
		count_handshake(c, true);
		c->ev->on_ready(c, c->arg);
		return !is_gone(c);
	case ENGINE_MORE:
		return false;
	case ENGINE_EOF:
	case ENGINE_FAIL:
		break;
	}
	end_tls(c);
	return false;
}

/* Records behind the handshake. */
static void take_secured(struct conn *c, struct span in)
{
	size_t n = 0;
	enum engine_step step =
		tls_engine_read(c->tls, &in, c->desk->shared + CONN_UNREAD_MAX,
				sizeof(c->desk->shared) - CONN_UNREAD_MAX, &n,
				&c->out);

	if (n > 0)
		take_plain(c, n);
	if (is_gone(c))
		return;
	if (step == ENGINE_EOF)
		take_eof(c);
	else if (step == ENGINE_FAIL)
		end_tls(c);
}

static void on_shaken(struct shake *job, void *arg)
{
	struct conn *c = owner_of(arg);

	c->shake = NULL;
	enter(c);
	buf_add(&c->out, buf_span(&job->out));
	if (!is_gone(c) && shaken(c, job->step))
		take_secured(c, job->rest);
	leave(c);
}

static void take_records(struct conn *c, struct span in)
{
	enum engine_step step;

	if (c->state != CONN_ST_HANDSHAKE) {
		take_secured(c, in);
		return;
	}
	if (tls_engine_gathers(c->tls, &in))
		return;
	if (shake_is_offered() && !tls_engine_is_light(c->tls, in.n)) {
		c->shake = shake_submit(c->tls, in, c->lane, on_shaken, c);
		return;
	}
	step = tls_engine_handshake(c->tls, &in, &c->out);
	if (shaken(c, step))
		take_secured(c, in);
}

/* One read, then the others' turn.  False: nothing came. */
static bool read_once(struct conn *c)
{
	char *to = c->tls != NULL ? c->desk->records
				  : c->desk->shared + CONN_UNREAD_MAX;
	size_t most = c->read_most > 0 ? c->read_most : CONN_READ_MAX;
	ssize_t n = recv(c->io.fd, to, most, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n < 0)
		end_errno(c, errno);
	else if (n == 0)
		take_eof(c);
	else if (c->tls != NULL)
		take_records(c, span_of(to, (size_t)n));
	else
		take_plain(c, (size_t)n);
	return n > 0;
}

/* A wire is told behind the end, too: its owner may not have heard of that. */
static bool hears_of_output(const struct conn *c)
{
	return !is_gone(c) || (c->is_inner && !c->is_freed &&
			       c->state == CONN_ST_ENDED);
}

static void drained(struct conn *c)
{
	if (!hears_of_output(c) || !c->is_drained)
		return;
	c->is_drained = false;
	if (c->ev->on_drained != NULL)
		c->ev->on_drained(c, c->arg);
}

/* ---- What its wire says ---- */

static void take_end(struct conn *c, const struct wire_up *up)
{
	if (up->why == CONN_EOF) {
		take_eof(c);
		return;
	}
	c->error = up->error;
	end(c, up->why);
}

/* Before the handshake is done nothing is said but that it failed: what came
 * in clear meanwhile is nobody's. */
void conn_arrive(struct conn *c, struct wire_up *up)
{
	enter(c);
	if (up->facts != NULL && c->state == CONN_ST_HANDSHAKE)
		(void)shaken(c, ENGINE_OK);
	if (up->in.n > 0 && c->state == CONN_ST_OPEN) {
		conn_keep_input(c, &up->in);
		offer(c);
	}
	drained(c);
	if (up->error != NULL && !is_gone(c))
		take_end(c, up);
	leave(c);
}

/* ---- What the loop calls ---- */

static void connected(struct conn *c)
{
	int errnum = 0;
	socklen_t len = sizeof(errnum);

	getsockopt(c->io.fd, SOL_SOCKET, SO_ERROR, &errnum, &len);
	if (errnum != 0) {
		end_errno(c, errnum);
		return;
	}
	c->state = CONN_ST_OPEN;
	c->ev->on_ready(c, c->arg);
}

static void on_io(struct ev_loop *loop, ev_io *w, int revents)
{
	struct conn *c = owner_of(w->data);

	(void)loop;
	enter(c);
	if (c->state == CONN_ST_CONNECTING) {
		connected(c);
	} else if (c->state != CONN_ST_LINGER) {
		if (revents & EV_WRITE)
			conn_push(c);
		if ((revents & EV_READ) && (c->mask & EV_READ) && !is_gone(c))
			read_once(c);
	}
	leave(c);
}

/* A write failed: the peer may have said why before it left. */
static void end_broken(struct conn *c)
{
	for (int i = 0; i < LAST_READS && c->state == CONN_ST_OPEN &&
			!c->is_paused && !c->is_eof;
	     i++) {
		if (c->unread.n >= CONN_UNREAD_MAX || !read_once(c) ||
		    c->is_freed)
			break;
		conn_settle_input(c);
	}
	end(c, c->state == CONN_ST_HANDSHAKE ? CONN_TLS : CONN_ERROR);
}

/* conn_starttls_*: what was unread are records already.  A server has nothing
 * to say before the client has. */
static void start_tls(struct conn *c)
{
	struct span in = c->unread;
	char *own = c->in;

	if (c->is_server && in.n == 0)
		return;
	c->unread = (struct span){ NULL, 0 };
	c->in = NULL;
	if (in.n <= CONN_READ_MAX) {
		take_records(c, in);
	} else {
		c->error = "too much input before TLS";
		end(c, CONN_TLS);
	}
	free(own);
}

static void on_kick(struct ev_loop *loop, ev_prepare *w, int revents)
{
	struct conn *c = owner_of(w->data);

	(void)loop;
	(void)revents;
	enter(c);
	if (!is_gone(c) && c->is_broken)
		end_broken(c);
	drained(c);
	if (c->state == CONN_ST_HANDSHAKE && c->shake == NULL && !is_gone(c))
		start_tls(c);
	if (!is_gone(c) && c->is_offer_due && !c->is_paused) {
		c->is_offer_due = false;
		if (c->is_eof)
			take_eof(c);
		else
			offer(c);
	}
	leave(c);
}

/* Who was stopped, or stood for long, finds the time over and the answer there:
 * what came is read before it counts as silence. */
static void read_last(struct conn *c)
{
	if (c->wire == NULL && c->state == CONN_ST_OPEN && (c->mask & EV_READ))
		(void)read_once(c);
}

static bool is_late(const struct conn *c, int64_t now_ms)
{
	return c->deadline_ms != 0 && now_ms >= c->deadline_ms;
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct conn *c = owner_of(w->data);
	int64_t now_ms = clock_mono_ms();

	(void)loop;
	(void)revents;
	c->armed_ms = 0;
	if (c->deadline_ms == 0)
		return;
	if (now_ms < c->deadline_ms) { /* it was moved since */
		conn_arm(c, now_ms);
		return;
	}
	enter(c);
	if (c->state == CONN_ST_LINGER)
		conn_drop(c);
	else
		read_last(c); /* it may linger from now on */
	if (!is_gone(c) && is_late(c, now_ms) && !conn_is_taking(c, now_ms))
		end(c, CONN_DEADLINE);
	leave(c);
}

void conn_init_watchers(struct conn *c, int fd)
{
	ev_io_init(&c->io, on_io, fd, EV_READ);
	ev_init(&c->timer, on_timer);
	ev_init(&c->kick, on_kick);
	c->io.data = c->timer.data = c->kick.data = c;
}
