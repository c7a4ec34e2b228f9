/* A connection without an owner: its last output, then its end. */
#include <errno.h>

#include "common/net/conn_priv.h"

enum {
	LINGER_READS = 16,
	/* Who sends on and on after the last word is no client in the middle
	 * of a message. */
	LINGER_BYTES = 1 << 20,
};

/* Those that linger, the oldest first.  Far fewer than there are descriptors:
 * who leaves with bytes on the way must not take what others need.  For the
 * loop's thread only. */
enum { LINGER_MAX = 256 };
static TAILQ_HEAD(, conn) all = TAILQ_HEAD_INITIALIZER(all);
static size_t count;

size_t conn_lingering(void)
{
	return count;
}

void conn_linger_begin(struct conn *c)
{
	c->state = CONN_ST_LINGER;
	TAILQ_INSERT_TAIL(&all, c, ownerless);
	if (++count > LINGER_MAX)
		conn_drop(TAILQ_FIRST(&all));
}

void conn_linger_end(struct conn *c)
{
	if (c->state != CONN_ST_LINGER)
		return;
	c->state = CONN_ST_ENDED;
	TAILQ_REMOVE(&all, c, ownerless);
	count--;
}

/* What nobody reads.  For the loop's thread only. */
static char waste[16 * 1024];

/* What the peer still says is thrown away.  True: it has closed, too, or says
 * too much. */
static bool linger_read(struct conn *c)
{
	for (int i = 0; i < LINGER_READS; i++) {
		ssize_t n = recv(c->io.fd, waste, sizeof(waste), 0);

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return true;
		if (n < 0)
			return false;
		c->is_talking = true;
		c->lingered += (size_t)n;
	}
	return c->lingered > LINGER_BYTES;
}

/*
 * close(2) with input unread sends a reset, and that may throw away our last
 * reply on the peer's side before it was read.  So: output, then our FIN,
 * then wait for theirs.  A peer that waits for us has nothing on the way: it
 * gets a plain close.
 */
void conn_linger(struct conn *c)
{
	conn_push(c);
	if (c->is_broken) {
		conn_drop(c);
		return;
	}
	if (conn_unsent(c) == 0) {
		if (c->is_eof || linger_read(c) || !c->is_talking) {
			conn_drop(c);
			return;
		}
		if (!c->is_shut)
			shutdown(c->io.fd, SHUT_WR);
		c->is_shut = true;
	}
	conn_watch(c);
}
