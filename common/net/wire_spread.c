/* The whole of a connection in two halves, and what its owner's half hears. */
#include <stdlib.h>

#include "common/base/assert.h"
#include "common/net/wire_priv.h"

/* With fewer processors the loop is not what there is too little of. */
enum { PROCESSORS_MIN = 6 };

struct conn *conn_new_spread(struct ev_loop *loop, int fd,
			     const struct conn_events *ev, void *arg)
{
	struct wire_thread *at = wire_next();
	struct conn *c;

	if (at == NULL)
		return conn_new(loop, fd, ev, arg);
	MX_ASSERT(fd >= 0);
	c = conn_make(loop, -1, ev, arg);
	c->state = CONN_ST_OPEN;
	wire_open(c, at, fd);
	return c;
}

/* ---- What comes up ---- */

static void note_output(struct wire *w, const struct wire_up *up)
{
	w->got = up->got;
	w->pending = up->pending;
	if (w->is_kept && wire_pending(w) == 0) {
		w->is_kept = false;
		w->owner->is_drained = true;
	}
}

static void hear_one(struct wire_up *up)
{
	struct wire *w = up->wire;

	if (up->is_gone) {
		conn_release(w->owner);
		wire_free(w);
		return;
	}
	if (w->is_left)
		return;
	w->seen += up->in.n;
	note_output(w, up);
	if (up->facts != NULL)
		w->facts = up->facts;
	conn_arrive(w->owner, up);
}

static void hear(struct wire_ups *ups)
{
	struct wire_up *up;

	while ((up = STAILQ_FIRST(ups)) != NULL) {
		STAILQ_REMOVE_HEAD(ups, link);
		hear_one(up);
		buf_fini(&up->in);
		free(up);
	}
}

/* ---- Life ---- */

unsigned wire_threads_for(unsigned processors)
{
	if (processors < PROCESSORS_MIN)
		return 0;
	return processors / 2 < WIRE_THREADS_MAX ? processors / 2
						 : WIRE_THREADS_MAX;
}

void wire_threads_start(struct ev_loop *loop, unsigned count)
{
	static const struct wire_hands hands = {
		.hear = hear,
		.obey = wire_obey,
		.clear = conn_desk_clear,
	};

	if (count > 0)
		wire_queues_start(loop, count, &hands);
}

void wire_threads_stop(void)
{
	wire_queues_stop();
	MX_ASSERT(wire_leaving() == 0);
}
