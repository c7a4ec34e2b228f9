/* A connection's output: collected, sent in one call, kept if need be. */
#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "common/base/assert.h"
#include "common/net/conn_priv.h"
#include "common/net/wire_priv.h"

enum { SPARE_MAX = 256 * 1024, KEEP_SLACK = 4096 };

static void out_acquire(struct conn *c)
{
	if (c->out.cap == 0) {
		c->out = c->desk->spare;
		c->desk->spare = (struct buf){ 0 };
	}
}

static void give_back(struct buf *spare, struct buf *b)
{
	b->n = 0;
	if (spare->cap == 0 && b->cap <= SPARE_MAX) {
		*spare = *b;
		*b = (struct buf){ 0 };
	} else {
		buf_fini(b);
	}
}

/* Give the memory of sent output back. */
static void out_release(struct conn *c)
{
	give_back(&c->desk->spare, &c->out);
	c->sent = 0;
}

/* Slow readers keep as much memory as they have bytes to come. */
static void out_keep(struct conn *c)
{
	size_t left = conn_unsent(c);
	struct buf own = { 0 };

	c->is_kept = true;
	if (left + KEEP_SLACK >= c->out.cap / 2)
		return;
	buf_add(&own, span_of(c->out.p + c->sent, left));
	out_release(c);
	c->out = own;
}

static void out_failed(struct conn *c, int errnum)
{
	c->is_broken = true;
	/* behind the end nobody is told why, but that nothing waits */
	c->is_drained = c->is_kept && c->state == CONN_ST_ENDED;
	c->is_kept = false;
	if (c->error == NULL)
		c->error = strerrordesc_np(errnum);
	out_release(c);
	conn_kick(c);
}

static void out_is_empty(struct conn *c)
{
	out_release(c);
	if (!c->is_kept)
		return;
	c->is_kept = false;
	c->is_drained = true;
	conn_kick(c);
}

static ssize_t send_both(int fd, struct span a, struct span b)
{
	struct iovec iov[2] = {
		{ (void *)(uintptr_t)a.p, a.n },
		{ (void *)(uintptr_t)b.p, b.n },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	if (b.n == 0)
		return send(fd, a.p, a.n, MSG_NOSIGNAL);
	if (a.n == 0)
		return send(fd, b.p, b.n, MSG_NOSIGNAL);
	return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

/*
 * One call to the kernel with what is collected and, behind it, extra; what it
 * does not take is kept.
 */
static void out_send(struct conn *c, struct span extra)
{
	struct span waits = span_skip(buf_span(&c->out), c->sent);
	size_t collected = waits.n;
	ssize_t n;

	do
		n = send_both(c->io.fd, waits, extra);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN) {
		out_failed(c, errno);
		return;
	}
	size_t took = n > 0 ? (size_t)n : 0;

	if (took == collected + extra.n) {
		out_is_empty(c);
		return;
	}
	if (took <= collected) {
		c->sent += took;
	} else {
		out_release(c);
		extra = span_skip(extra, took - collected);
	}
	if (extra.n > 0) {
		out_acquire(c);
		buf_add(&c->out, extra);
	}
	out_keep(c);
}

void conn_push(struct conn *c)
{
	if (conn_unsent(c) == 0 || c->is_broken || c->io.fd < 0 ||
	    c->state == CONN_ST_CONNECTING)
		return;
	out_send(c, (struct span){ NULL, 0 });
}

static void collect(struct conn *c, struct span s)
{
	out_acquire(c);
	if (c->sent > 0 && c->sent >= conn_unsent(c)) {
		buf_consume(&c->out, c->sent);
		c->sent = 0;
	}
	if (c->tls == NULL)
		buf_add(&c->out, s);
	else if (!tls_engine_write(c->tls, s, &c->out))
		out_failed(c, EPROTO);
	/* else: it is encrypted behind what waits */
}

void conn_write(struct conn *c, struct span s)
{
	MX_ASSERT(c->magic == CONN_MAGIC && !c->is_freed);
	if (s.n == 0 || c->is_broken)
		return;
	if (c->wire != NULL) {
		wire_write(c, s);
		return;
	}
	if (c->io.fd < 0)
		return;
	/* also when the handshake failed: never in clear after all */
	if (c->tls != NULL &&
	    (c->shake != NULL || tls_engine_facts(c->tls) == NULL))
		return;
	bool ready = !c->is_kept && c->state != CONN_ST_CONNECTING;

	if (ready && c->tls == NULL && s.n >= CONN_DIRECT_MIN) {
		out_send(c, s);
	} else {
		collect(c, s);
		if (ready && conn_unsent(c) >= CONN_READ_MAX)
			conn_push(c);
	}
	if (c->busy == 0)
		conn_watch(c);
}

size_t conn_output_pending(const struct conn *c)
{
	return c->wire != NULL ? wire_pending(c->wire) : conn_unsent(c);
}

size_t conn_untaken(const struct conn *c)
{
	enum { LITTLE = 64 * 1024 };
	int queued = 0;
	size_t n = conn_output_pending(c);

	if (c->io.fd >= 0 && ioctl(c->io.fd, SIOCOUTQ, &queued) == 0 &&
	    queued > 0)
		n += (size_t)queued;
	return n > LITTLE ? n : 0;
}

bool conn_is_taking(struct conn *c, int64_t now_ms)
{
	size_t left;

	if (c->idle_ms == 0 || c->untaken == 0)
		return false;
	left = conn_untaken(c);
	if (left >= c->untaken)
		return false;
	c->untaken = left;
	c->deadline_ms = now_ms + c->idle_ms;
	conn_arm(c, now_ms);
	return true;
}

void conn_flush(struct conn *c)
{
	MX_ASSERT(c->magic == CONN_MAGIC && !c->is_freed);
	conn_push(c);
	if (c->busy == 0)
		conn_watch(c);
}
