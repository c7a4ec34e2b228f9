#include "common/spool/queue.h"

#include "common/base/clock.h"
#include "common/spool/spool_priv.h"
#include "common/spool/now.h"

enum {
	BUSY_MORE = 2 << 20, /* than a batch and the next one */
	BUSY_REQUESTS = 20000,
};

/* Lock held, in these. */
static size_t busy_bytes(const struct queue *q)
{
	return 2 * q->batch_bytes + BUSY_MORE;
}

void queue_count_in(struct queue *q, const struct request *r)
{
	if (r->ops->lazy) {
		q->lazy++;
		q->lazy_bytes += r->bytes;
	} else {
		q->eager++;
		q->bounded += r->ops->bounded;
		q->mirrors += r->ops->mirrors;
	}
}

void queue_count_out(struct queue *q, const struct request *r)
{
	if (r->ops->lazy) {
		MX_ASSERT(q->lazy > 0 && q->lazy_bytes >= r->bytes);
		q->lazy--;
		q->lazy_bytes -= r->bytes;
	} else {
		MX_ASSERT(q->eager > 0 && q->bounded >= r->ops->bounded);
		q->eager--;
		q->bounded -= r->ops->bounded;
		q->mirrors -= r->ops->mirrors;
	}
}

bool queue_has_content(const struct queue *q)
{
	return q->lazy_bytes >= q->batch_bytes;
}

bool queue_has_work(const struct queue *q)
{
	MX_ASSERT(q->eager + q->lazy > 0 || STAILQ_EMPTY(&q->waiting));
	return q->eager > 0 || queue_has_content(q) || q->stop;
}

void queue_wake(struct spool *sp)
{
	struct queue *q = &sp->queue;

	pthread_mutex_lock(&q->lock);
	q->is_asleep = false;
	pthread_cond_signal(&q->wake);
	pthread_mutex_unlock(&q->lock);
}

void queue_push(struct spool *sp, struct request *r)
{
	struct queue *q = &sp->queue;
	bool wake;

	MX_ASSERT(!sp->is_reader && r->ops->apply != NULL && r->bytes > 0);

	q->pending++;
	q->pending_bytes += r->bytes;
	pthread_mutex_lock(&q->lock);
	STAILQ_INSERT_TAIL(&q->waiting, r, link);
	queue_count_in(q, r);
	wake = q->is_asleep &&
	       (q->eager >= q->wanted || queue_has_content(q) ||
		r->ops->mirrors ||
		(q->wanted == 1 && q->lazy == 1));
	if (wake)
		q->is_asleep = false;
	pthread_mutex_unlock(&q->lock);
	if (wake)
		pthread_cond_signal(&q->wake);
}

void queue_answer(struct spool *sp, struct request *r)
{
	MX_ASSERT(!sp->is_reader);
	STAILQ_INSERT_TAIL(&sp->queue.answered, r, link);
	ev_async_send(sp->queue.loop, &sp->queue.done_async);
}

/* ---- What comes back ---- */

void spool_subscribe(struct spool *sp, spool_ready_cb *cb, void *arg)
{
	sp->queue.ready_cb = cb;
	sp->queue.ready_arg = arg;
}

static void announce(struct spool *sp, struct span names)
{
	while (names.n > 0) {
		struct span name = span_cut(&names, '\0');

		if (sp->queue.ready_cb != NULL)
			sp->queue.ready_cb(name, sp->queue.ready_arg);
	}
}

static void wake_waiters(struct spool *sp)
{
	struct queue *q = &sp->queue;
	struct spool_waiter *w;

	/* early enough that there is a batch when the writer wants the next */
	if (q->pending_bytes > q->busy_bytes / 4 * 3 ||
	    q->pending > BUSY_REQUESTS / 2)
		return;
	/* Until it is busy again: a waiter that is called may fill it. */
	while (!spool_is_busy(sp) && (w = TAILQ_FIRST(&q->waiters)) != NULL) {
		spool_wait_cancel(sp, w);
		w->cb(w);
	}
}

static void finish_all(struct spool *sp, struct request_list *list)
{
	struct request *r;

	while ((r = STAILQ_FIRST(list)) != NULL) {
		STAILQ_REMOVE_HEAD(list, link);
		r->ops->finish(sp, r);
	}
}

void queue_finish_done(struct spool *sp)
{
	struct request_list done = STAILQ_HEAD_INITIALIZER(done);
	struct queue *q = &sp->queue;
	struct request *r;
	struct buf ready;

	pthread_mutex_lock(&q->lock);
	STAILQ_CONCAT(&done, &q->done);
	ready = q->ready;
	q->busy_bytes = busy_bytes(q);
	q->ready = (struct buf){ 0 };
	pthread_mutex_unlock(&q->lock);
	STAILQ_FOREACH (r, &done, link) {
		MX_ASSERT(q->pending > 0 && q->pending_bytes >= r->bytes);
		q->pending--;
		q->pending_bytes -= r->bytes;
	}
	atomic_store(&sp->trusted_ms, now_trusted(sp, clock_wall_ms()));
	STAILQ_CONCAT(&done, &q->answered);
	finish_all(sp, &done);
	announce(sp, buf_span(&ready));
	buf_fini(&ready);
	wake_waiters(sp);
}

static void on_done(struct ev_loop *loop, ev_async *w, int revents)
{
	struct spool *sp = CONTAINER_OF(w, struct spool, queue.done_async);

	(void)loop;
	(void)revents;
	queue_finish_done(sp);
}

bool spool_is_busy(const struct spool *sp)
{
	return sp->queue.pending_bytes > sp->queue.busy_bytes ||
	       sp->queue.pending > BUSY_REQUESTS;
}

void spool_wait(struct spool *sp, struct spool_waiter *w)
{
	MX_ASSERT(!w->is_waiting);
	w->is_waiting = true;
	TAILQ_INSERT_TAIL(&sp->queue.waiters, w, link);
}

void spool_wait_cancel(struct spool *sp, struct spool_waiter *w)
{
	if (!w->is_waiting)
		return;
	w->is_waiting = false;
	TAILQ_REMOVE(&sp->queue.waiters, w, link);
}

void queue_init(struct spool *sp, struct ev_loop *loop)
{
	struct queue *q = &sp->queue;
	pthread_condattr_t attr;

	STAILQ_INIT(&q->waiting);
	STAILQ_INIT(&q->done);
	STAILQ_INIT(&q->answered);
	TAILQ_INIT(&q->waiters);
	q->wanted = 1;
	q->batch_bytes = QUEUE_BATCH_MIN;
	q->busy_bytes = busy_bytes(q);
	pthread_mutex_init(&q->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&q->wake, &attr);
	pthread_condattr_destroy(&attr);
	q->loop = loop;
	ev_async_init(&q->done_async, on_done);
	ev_async_start(loop, &q->done_async);
}

void queue_fini(struct spool *sp)
{
	struct queue *q = &sp->queue;

	/* it may not have been possible to start the writer again */
	MX_ASSERT(STAILQ_EMPTY(&q->done) && STAILQ_EMPTY(&q->answered));
	MX_ASSERT(q->pending == 0 || !STAILQ_EMPTY(&q->waiting));
	MX_ASSERT(q->pending > 0 || q->pending_bytes == 0);
	MX_ASSERT(q->eager + q->lazy == q->pending);
	ev_async_stop(q->loop, &q->done_async);
	pthread_mutex_destroy(&q->lock);
	pthread_cond_destroy(&q->wake);
}
