/*
 * The threads, and how words go down and up: gathered for a round of the loop
 * that writes them, then handed over by one lock and one wake.
 */
#include <pthread.h>
#include <signal.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/net/shake.h"
#include "common/net/wire_priv.h"

/* So many words do not wait for the end of the round. */
enum { BATCH = 32 };

struct wire_thread {
	pthread_t id;
	struct ev_loop *loop;
	ev_async wake;
	ev_prepare round;
	struct shake_port port; /* handshakes come back here */

	struct wire_downs out; /* the loop's, for it */
	unsigned out_count;
	struct wire_ups ups; /* its own */
	unsigned up_count;

	pthread_mutex_t lock;
	/* under it */
	struct wire_downs downs;
	bool stops;
};

static struct {
	struct ev_loop *loop;
	const struct wire_hands *hands;
	struct wire_thread threads[WIRE_THREADS_MAX];
	unsigned count, next;
	ev_async wake;
	ev_prepare round;

	pthread_mutex_t lock;
	/* under it */
	struct wire_ups ups;
} all = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- Up ---- */

static void hand_up(struct wire_thread *t)
{
	bool is_first;

	if (t->up_count == 0)
		return;
	for (struct wire_up *up = STAILQ_FIRST(&t->ups); up != NULL;
	     up = STAILQ_NEXT(up, link))
		up->wire->up = NULL;
	pthread_mutex_lock(&all.lock);
	is_first = STAILQ_EMPTY(&all.ups);
	STAILQ_CONCAT(&all.ups, &t->ups);
	pthread_mutex_unlock(&all.lock);
	t->up_count = 0;
	if (is_first)
		ev_async_send(all.loop, &all.wake);
}

struct wire_up *wire_report(struct wire *w)
{
	struct wire_thread *t = w->at;

	if (w->up != NULL)
		return w->up;
	if (t->up_count >= BATCH)
		hand_up(t);
	w->up = mx_alloc(sizeof(*w->up));
	w->up->wire = w;
	STAILQ_INSERT_TAIL(&t->ups, w->up, link);
	t->up_count++;
	return w->up;
}

static void on_up(struct ev_loop *loop, ev_async *w, int revents)
{
	struct wire_ups ups = STAILQ_HEAD_INITIALIZER(ups);

	(void)loop, (void)w, (void)revents;
	pthread_mutex_lock(&all.lock);
	STAILQ_CONCAT(&ups, &all.ups);
	pthread_mutex_unlock(&all.lock);
	all.hands->hear(&ups);
}

/* ---- Down ---- */

/* It is complete: with what needs no word of its own. */
static void seal(struct wire_down *d)
{
	struct wire *w = d->wire;

	d->taken = w->taken;
	d->read_most = w->owner->read_most;
	w->taken = 0;
	w->down = NULL;
}

static void hand_down(struct wire_thread *t)
{
	bool is_first;

	if (t->out_count == 0)
		return;
	for (struct wire_down *d = STAILQ_FIRST(&t->out); d != NULL;
	     d = STAILQ_NEXT(d, link))
		seal(d);
	pthread_mutex_lock(&t->lock);
	is_first = STAILQ_EMPTY(&t->downs);
	STAILQ_CONCAT(&t->downs, &t->out);
	pthread_mutex_unlock(&t->lock);
	t->out_count = 0;
	if (is_first)
		ev_async_send(t->loop, &t->wake);
}

struct wire_down *wire_tell(struct wire *w)
{
	struct wire_thread *t = w->at;

	if (w->down != NULL)
		return w->down;
	if (t->out_count >= BATCH)
		hand_down(t);
	w->down = mx_alloc(sizeof(*w->down));
	w->down->wire = w;
	STAILQ_INSERT_TAIL(&t->out, w->down, link);
	t->out_count++;
	return w->down;
}

static void on_round(struct ev_loop *loop, ev_prepare *w, int revents)
{
	(void)loop, (void)w, (void)revents;
	for (unsigned i = 0; i < all.count; i++)
		hand_down(&all.threads[i]);
}

/* ---- A thread ---- */

struct ev_loop *wire_loop(const struct wire *w)
{
	return w->at->loop;
}

static void on_down(struct ev_loop *loop, ev_async *w, int revents)
{
	struct wire_downs downs = STAILQ_HEAD_INITIALIZER(downs);
	struct wire_thread *t = w->data;
	bool stops;

	(void)revents;
	pthread_mutex_lock(&t->lock);
	STAILQ_CONCAT(&downs, &t->downs);
	stops = t->stops;
	pthread_mutex_unlock(&t->lock);
	all.hands->obey(&downs);
	if (stops)
		ev_break(loop, EVBREAK_ALL);
}

static void on_thread_round(struct ev_loop *loop, ev_prepare *w, int revents)
{
	(void)loop, (void)revents;
	hand_up(w->data);
}

static void *run(void *arg)
{
	struct wire_thread *t = arg;

	shake_port_open(&t->port, t->loop);
	ev_run(t->loop, 0);
	hand_up(t);
	all.hands->clear();
	shake_port_close(&t->port);
	return NULL;
}

/* ---- Life ---- */

struct wire_thread *wire_next(void)
{
	if (all.count == 0)
		return NULL;
	return &all.threads[all.next++ % all.count];
}

static void watch(struct wire_thread *t)
{
	ev_async_init(&t->wake, on_down);
	ev_prepare_init(&t->round, on_thread_round);
	t->wake.data = t->round.data = t;
	ev_async_start(t->loop, &t->wake);
	ev_prepare_start(t->loop, &t->round);
}

static bool start(struct wire_thread *t)
{
	sigset_t every, old;
	int err;

	*t = (struct wire_thread){ .loop = ev_loop_new(EVFLAG_AUTO) };
	if (t->loop == NULL)
		return false;
	pthread_mutex_init(&t->lock, NULL);
	STAILQ_INIT(&t->out);
	STAILQ_INIT(&t->ups);
	STAILQ_INIT(&t->downs);
	watch(t);
	sigfillset(&every); /* signals are the loop's */
	pthread_sigmask(SIG_SETMASK, &every, &old);
	err = pthread_create(&t->id, NULL, run, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err != 0)
		ev_loop_destroy(t->loop);
	return err == 0;
}

void wire_queues_start(struct ev_loop *loop, unsigned count,
		       const struct wire_hands *hands)
{
	MX_ASSERT(all.loop == NULL && count <= WIRE_THREADS_MAX);
	all.loop = loop;
	all.hands = hands;
	STAILQ_INIT(&all.ups);
	ev_async_init(&all.wake, on_up);
	ev_prepare_init(&all.round, on_round);
	ev_async_start(loop, &all.wake);
	ev_prepare_start(loop, &all.round);
	ev_unref(loop); /* they keep no loop running */
	ev_unref(loop);
	while (all.count < count && start(&all.threads[all.count]))
		all.count++;
}

/* What was said last is still done. */
static void stop(struct wire_thread *t)
{
	hand_down(t);
	pthread_mutex_lock(&t->lock);
	t->stops = true;
	pthread_mutex_unlock(&t->lock);
	ev_async_send(t->loop, &t->wake);
	pthread_join(t->id, NULL);
	ev_loop_destroy(t->loop);
	pthread_mutex_destroy(&t->lock);
}

void wire_queues_stop(void)
{
	if (all.loop == NULL)
		return;
	while (all.count > 0)
		stop(&all.threads[--all.count]);
	all.hands->hear(&all.ups);
	ev_ref(all.loop);
	ev_ref(all.loop);
	ev_async_stop(all.loop, &all.wake);
	ev_prepare_stop(all.loop, &all.round);
	all.loop = NULL;
}
