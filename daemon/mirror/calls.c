#include "daemon/mirror/calls.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"

STAILQ_HEAD(call_list, call);

struct calls {
	struct ev_loop *loop;
	ev_async asked;
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t answered;
	struct call_list waiting;
	bool is_closed;
};

void *call_new(void (*run)(struct call *c), void (*fini)(struct call *c),
	       size_t size)
{
	struct call *c = mx_alloc(size);

	MX_ASSERT(size >= sizeof(*c));
	c->run = run;
	c->fini = fini;
	c->holders = 1;
	return c;
}

/* Lock not held; the last one frees it. */
static void drop(struct call *c)
{
	struct calls *cs = c->calls;
	bool is_last;

	if (cs != NULL)
		pthread_mutex_lock(&cs->lock);
	MX_ASSERT(c->holders > 0);
	is_last = --c->holders == 0;
	if (cs != NULL)
		pthread_mutex_unlock(&cs->lock);
	if (!is_last)
		return;
	if (c->fini != NULL)
		c->fini(c);
	free(c);
}

void call_release(struct call *c)
{
	drop(c);
}

void calls_start(struct calls *cs, struct call *c)
{
	pthread_mutex_lock(&cs->lock);
	c->calls = cs;
	c->arg = cs->arg;
	c->err = MX_ESTOP;
	if (!cs->is_closed) {
		c->holders++;
		STAILQ_INSERT_TAIL(&cs->waiting, c, link);
		ev_async_send(cs->loop, &cs->asked);
	}
	pthread_mutex_unlock(&cs->lock);
}

bool call_is_over(struct call *c)
{
	bool is_over;

	pthread_mutex_lock(&c->calls->lock);
	is_over = c->is_done || c->calls->is_closed;
	pthread_mutex_unlock(&c->calls->lock);
	return is_over;
}

enum mx_err call_result(struct call *c)
{
	enum mx_err err;

	pthread_mutex_lock(&c->calls->lock);
	err = c->is_done ? c->err : MX_ESTOP;
	pthread_mutex_unlock(&c->calls->lock);
	return err;
}

enum mx_err calls_wait(struct calls *cs, struct call *c)
{
	calls_start(cs, c);
	pthread_mutex_lock(&cs->lock);
	while (!c->is_done && !cs->is_closed)
		pthread_cond_wait(&cs->answered, &cs->lock);
	pthread_mutex_unlock(&cs->lock);
	return call_result(c);
}

void call_done(struct call *c, enum mx_err err, uint64_t count)
{
	struct calls *cs = c->calls;

	pthread_mutex_lock(&cs->lock);
	MX_ASSERT(!c->is_done);
	c->err = err;
	c->count = count;
	c->is_done = true;
	pthread_cond_broadcast(&cs->answered);
	pthread_mutex_unlock(&cs->lock);
	drop(c);
}

void call_counted(enum mx_err err, uint64_t count, void *arg)
{
	call_done(arg, err, count);
}

static struct call *next(struct calls *cs)
{
	struct call *c;

	pthread_mutex_lock(&cs->lock);
	c = STAILQ_FIRST(&cs->waiting);
	if (c != NULL)
		STAILQ_REMOVE_HEAD(&cs->waiting, link);
	pthread_mutex_unlock(&cs->lock);
	return c;
}

/* There are two threads, and each has one call at a time. */
static void on_asked(struct ev_loop *loop, ev_async *w, int revents)
{
	struct call *c;

	(void)loop, (void)revents;
	while ((c = next(w->data)) != NULL)
		c->run(c);
}

struct calls *calls_new(struct ev_loop *loop, void *arg)
{
	struct calls *cs = mx_alloc(sizeof(*cs));

	cs->loop = loop;
	cs->arg = arg;
	STAILQ_INIT(&cs->waiting);
	pthread_mutex_init(&cs->lock, NULL);
	pthread_cond_init(&cs->answered, NULL);
	ev_async_init(&cs->asked, on_asked);
	cs->asked.data = cs;
	ev_async_start(loop, &cs->asked);
	return cs;
}

void calls_close(struct calls *cs)
{
	struct call *c;

	pthread_mutex_lock(&cs->lock);
	cs->is_closed = true;
	pthread_cond_broadcast(&cs->answered);
	pthread_mutex_unlock(&cs->lock);
	while ((c = next(cs)) != NULL)
		drop(c);
	ev_async_stop(cs->loop, &cs->asked);
}

void calls_free(struct calls **csp)
{
	struct calls *cs = *csp;

	*csp = NULL;
	if (cs == NULL)
		return;
	MX_ASSERT(cs->is_closed);
	pthread_cond_destroy(&cs->answered);
	pthread_mutex_destroy(&cs->lock);
	free(cs);
}
