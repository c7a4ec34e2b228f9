/* What a connection's owner says to its half on a thread. */
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/net/wire_priv.h"

static size_t leaving; /* the loop's */

size_t wire_leaving(void)
{
	return leaving;
}

void wire_open(struct conn *c, struct wire_thread *at, int fd)
{
	struct wire *w = mx_alloc(sizeof(*w));

	w->at = at;
	w->fd = fd;
	w->owner = c;
	c->wire = w;
	wire_tell(w);
}

static size_t window(const struct conn *c)
{
	return c->read_most > 0 ? c->read_most : CONN_UNREAD_MAX;
}

/* An owner that leaves something waits for more: then all that it took is
 * told. */
void wire_took(struct conn *c, size_t n)
{
	struct wire *w = c->wire;

	w->taken += n;
	if (w->taken >= window(c) / 2 || (n > 0 && c->unread.n > 0))
		wire_tell(w);
}

void wire_write(struct conn *c, struct span s)
{
	struct wire *w = c->wire;

	if (w->is_secured && w->facts == NULL)
		return; /* as in clear, and this stands in front of it */
	buf_add(&wire_tell(w)->out, s);
	w->posted += s.n;
	if (wire_pending(w) >= WIRE_TELL_MIN)
		w->is_kept = true;
}

size_t wire_pending(const struct wire *w)
{
	return (size_t)(w->posted - w->got) + w->pending;
}

void wire_secure(struct conn *c, struct tls_server *tls)
{
	struct wire_down *d = wire_tell(c->wire);

	MX_ASSERT(!c->wire->is_secured);
	c->wire->is_secured = true;
	if (c->state != CONN_ST_OPEN)
		return;
	d->tls = tls_server_ref(tls);
	d->lane = c->lane;
	d->seen = c->wire->seen - c->unread.n;
	c->unread.n = 0;
	c->state = CONN_ST_HANDSHAKE;
}

void wire_close(struct conn *c, int64_t grace_ms)
{
	struct wire_down *d = wire_tell(c->wire);

	d->end = WIRE_CLOSES;
	d->is_paused = c->is_paused;
	d->grace_ms = grace_ms;
}

void wire_leave(struct conn *c)
{
	struct wire_down *d;

	if (c->wire->is_left)
		return;
	c->wire->is_left = true;
	leaving++;
	d = wire_tell(c->wire);
	if (d->end == WIRE_GOES_ON)
		d->end = WIRE_DROPS;
}

void wire_free(struct wire *w)
{
	MX_ASSERT(w->is_left && w->down == NULL);
	leaving--;
	free(w);
}
