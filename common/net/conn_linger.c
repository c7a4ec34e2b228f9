/* A connection without an owner: its last output, then its end. */
#include <errno.h>

#include "common/net/conn_priv.h"

enum {
	LINGER_READS = 16,
	/* Who sends on and on after the last word is no client in the middle
	 * of a message. */
	LINGER_BYTES = 1 << 20,
};

/* What the peer still says is thrown away.  True: it has closed, too, or says
 * too much. */
static bool linger_read(struct conn *c)
{
	for (int i = 0; i < LINGER_READS; i++) {
		ssize_t n = recv(c->io.fd, c->desk->waste,
				 sizeof(c->desk->waste), 0);

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
