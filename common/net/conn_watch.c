/* A connection's watchers: what is waited for, until nothing is. */
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/net/conn_priv.h"
#include "common/net/wire_priv.h"

static _Thread_local struct conn_desk *desk;

struct conn_desk *conn_desk(void)
{
	if (desk == NULL) {
		desk = mx_alloc(sizeof(*desk));
		TAILQ_INIT(&desk->ownerless);
	}
	return desk;
}

void conn_desk_clear(void)
{
	struct conn *c;

	if (desk == NULL)
		return;
	while ((c = TAILQ_FIRST(&desk->ownerless)) != NULL)
		conn_drop(c);
	buf_fini(&desk->spare);
	free(desk);
	desk = NULL;
}

static int wanted(const struct conn *c)
{
	bool reads = (c->state == CONN_ST_HANDSHAKE && c->shake == NULL) ||
		     (c->state == CONN_ST_OPEN && !c->is_paused) ||
		     (c->state == CONN_ST_LINGER && c->is_shut);
	int mask = 0;

	if (c->io.fd < 0 || c->is_broken)
		return 0;
	if (c->state == CONN_ST_CONNECTING)
		return EV_WRITE;
	if (reads && !c->is_eof && c->unread.n < CONN_UNREAD_MAX)
		mask |= EV_READ;
	if (conn_unsent(c) > 0)
		mask |= EV_WRITE;
	return mask;
}

void conn_watch(struct conn *c)
{
	int mask = wanted(c);

	if (mask == c->mask)
		return;
	if (c->mask != 0)
		ev_io_stop(c->loop, &c->io);
	c->mask = mask;
	if (mask == 0)
		return;
	ev_io_modify(&c->io, mask);
	ev_io_start(c->loop, &c->io);
}

void conn_kick(struct conn *c)
{
	ev_feed_event(c->loop, &c->kick, EV_CUSTOM);
}

void conn_arm(struct conn *c, int64_t now_ms)
{
	int64_t wait = c->deadline_ms > now_ms ? c->deadline_ms - now_ms : 1;

	if (c->armed_ms != 0 && c->armed_ms <= c->deadline_ms)
		return;
	ev_timer_stop(c->loop, &c->timer);
	ev_timer_set(&c->timer, (double)wait / 1000., 0.);
	ev_timer_start(c->loop, &c->timer);
	c->armed_ms = c->deadline_ms;
}

void conn_settle_input(struct conn *c)
{
	char *old = c->in;

	if (c->unread.n == 0) {
		c->in = NULL;
		c->unread = (struct span){ NULL, 0 };
	} else if (c->is_borrowed) {
		struct buf own = { 0 };

		buf_add(&own, c->unread);
		c->in = own.p;
		c->unread = buf_span(&own);
	} else {
		return;
	}
	c->is_borrowed = false;
	free(old);
}

void conn_keep_input(struct conn *c, struct buf *in)
{
	struct buf both = { 0 };

	if (c->unread.n > 0) {
		buf_add(&both, c->unread);
		buf_add(&both, buf_span(in));
	} else {
		both = *in;
		*in = (struct buf){ 0 };
	}
	free(c->in);
	c->in = both.p;
	c->unread = buf_span(&both);
	c->is_borrowed = true; /* little may be left of much */
}

/* ---- The end ---- */

/* Far fewer than there are descriptors: who leaves with bytes on the way must
 * not take what others need.  A thread ends its own, and never its last one: all
 * of them together are one more for each thread at most. */
enum { LINGER_MAX = 256 };
static atomic_size_t lingering; /* of all threads */

size_t conn_lingering(void)
{
	return lingering + wire_leaving();
}

static void linger_end(struct conn *c)
{
	if (c->state != CONN_ST_LINGER)
		return;
	c->state = CONN_ST_ENDED;
	TAILQ_REMOVE(&c->desk->ownerless, c, ownerless);
	lingering--;
}

void conn_release(struct conn *c)
{
	c->magic = 0;
	free(c->in);
	buf_fini(&c->out);
	tls_engine_free(&c->tls);
	free(c);
}

void conn_drop(struct conn *c)
{
	if (c->wire != NULL)
		wire_leave(c);
	linger_end(c);
	ev_io_stop(c->loop, &c->io);
	ev_timer_stop(c->loop, &c->timer);
	ev_clear_pending(c->loop, &c->kick);
	if (c->io.fd >= 0)
		close(c->io.fd);
	c->io.fd = -1;
	if (c->shake != NULL) {
		shake_abandon(&c->shake);
		c->tls = NULL; /* gone with it */
	}
	c->is_freed = true;
	if (c->busy == 0 && c->wire == NULL)
		conn_release(c);
}

void conn_linger_begin(struct conn *c)
{
	struct conn *oldest;

	c->state = CONN_ST_LINGER;
	TAILQ_INSERT_TAIL(&c->desk->ownerless, c, ownerless);
	oldest = TAILQ_FIRST(&c->desk->ownerless);
	if (++lingering > LINGER_MAX && oldest != c)
		conn_drop(oldest);
}
