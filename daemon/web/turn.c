#include "daemon/web/turn.h"

#include "common/base/clock.h"
#include "common/base/metrics.h"

static void on_begin(struct ev_loop *loop, ev_check *w, int revents)
{
	struct turn *t = w->data;

	(void)loop;
	(void)revents;
	t->began_us = clock_mono_us();
}

static void on_end(struct ev_loop *loop, ev_prepare *w, int revents)
{
	struct turn *t = w->data;

	(void)loop;
	(void)revents;
	if (t->began_us != 0)
		metrics_observe(METRIC_TURN, clock_mono_us() - t->began_us);
	t->began_us = 0;
}

/* The first behind the wait for events, and the last before the next one. */
void turn_start(struct turn *t, struct ev_loop *loop)
{
	*t = (struct turn){ 0 };
	ev_check_init(&t->begin, on_begin);
	ev_set_priority(&t->begin, EV_MAXPRI);
	ev_prepare_init(&t->end, on_end);
	ev_set_priority(&t->end, EV_MINPRI);
	t->begin.data = t->end.data = t;
	ev_check_start(loop, &t->begin);
	ev_unref(loop);
	ev_prepare_start(loop, &t->end);
	ev_unref(loop);
}

void turn_stop(struct turn *t, struct ev_loop *loop)
{
	if (!ev_is_active(&t->begin))
		return;
	ev_ref(loop);
	ev_check_stop(loop, &t->begin);
	ev_ref(loop);
	ev_prepare_stop(loop, &t->end);
}
