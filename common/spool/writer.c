#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/spool/internal.h"

/*
 * The writer thread and its two queues.
 *
 *   loop --queue--> writer: one transaction of all that waits --done--> loop
 *
 * Group commit.  LMDB flushes twice per commit, so the sessions fall into two
 * cohorts that alternate, each waiting for the other's flushes.  To join them
 * the writer waits after a commit until as many requests wait as were just
 * answered plus those that already waited: that is everybody who can be
 * expected to come.  Outcomes of deliveries that already wait do not count: the
 * drain has no more than so many at a time, so that as many as before may be
 * all there will be.  It waits two milliseconds or a quarter of the commit's
 * duration at most, so that the gain is larger than the loss, and not at all
 * for a single client, whose next request is all that is expected.
 */
enum {
	BATCH_REQUESTS = 4096,
	BATCH_BYTES = 3 << 20,	  /* far below LMDB's dirty list of 512 MiB */
	LAZY_BYTES = BATCH_BYTES, /* worth a commit of their own */
	LAZY_MS = 1000,
	BUSY_BYTES = 8 << 20, /* spool_is_busy: a batch and the next one */
	BUSY_REQUESTS = 20000,
	KEEP_BYTES = 16 << 20,
	GATHER_PART = 4,
	GATHER_MIN_US = 2000,
	GATHER_MAX_US = 5000,
	CHECK_MS = 60000,   /* readers that died, and the disk */
	LOOK_MS = 1000,	    /* the disk, while there is no room */
	STORE_MS = 3600000, /* the time, for the next start */
};

static int64_t mono_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Lock held, in both. */
static void count_in(struct writer *w, const struct request *r)
{
	if (r->ops->lazy) {
		w->lazy++;
		w->lazy_bytes += r->bytes;
	} else {
		w->eager++;
		w->bounded += r->ops->bounded;
	}
}

static void count_out(struct writer *w, const struct request *r)
{
	if (r->ops->lazy) {
		w->lazy--;
		w->lazy_bytes -= r->bytes;
	} else {
		w->eager--;
		w->bounded -= r->ops->bounded;
	}
}

/* ---- the loop's side ---- */

void writer_wake(struct spool *sp)
{
	struct writer *w = &sp->writer;

	pthread_mutex_lock(&w->lock);
	w->is_asleep = false;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

void writer_push(struct spool *sp, struct request *r)
{
	struct writer *w = &sp->writer;
	bool wake;

	sp->pending++;
	sp->pending_bytes += r->bytes;
	pthread_mutex_lock(&w->lock);
	STAILQ_INSERT_TAIL(&w->queue, r, link);
	count_in(w, r);
	wake = w->is_asleep &&
	       (w->eager >= w->wanted || w->lazy_bytes >= LAZY_BYTES ||
		(w->wanted == 1 && w->lazy == 1));
	if (wake)
		w->is_asleep = false;
	pthread_mutex_unlock(&w->lock);
	if (wake)
		pthread_cond_signal(&w->wake);
}

void writer_answer(struct spool *sp, struct request *r)
{
	STAILQ_INSERT_TAIL(&sp->answered, r, link);
	ev_async_send(sp->loop, &sp->done_async);
}

static void announce(struct spool *sp, struct span names)
{
	while (names.n > 0) {
		struct span name = span_cut(&names, '\0');

		if (sp->ready_cb != NULL)
			sp->ready_cb(name, sp->ready_arg);
	}
}

static void wake_waiters(struct spool *sp)
{
	struct spool_waiter *w;

	if (sp->pending_bytes > BUSY_BYTES / 2 ||
	    sp->pending > BUSY_REQUESTS / 2)
		return;
	/* Until it is busy again: a waiter that is called may fill it. */
	while (!spool_is_busy(sp) && (w = TAILQ_FIRST(&sp->waiters)) != NULL) {
		TAILQ_REMOVE(&sp->waiters, w, link);
		w->is_waiting = false;
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

/* Loop thread: everything the writer has finished. */
static void take_done(struct spool *sp)
{
	struct request_list done = STAILQ_HEAD_INITIALIZER(done);
	struct writer *w = &sp->writer;
	struct request *r;
	struct buf ready;

	pthread_mutex_lock(&w->lock);
	STAILQ_CONCAT(&done, &w->done);
	ready = w->ready;
	w->ready = (struct buf){ 0 };
	pthread_mutex_unlock(&w->lock);
	STAILQ_FOREACH (r, &done, link) {
		sp->pending--;
		sp->pending_bytes -= r->bytes;
	}
	atomic_store(&sp->believed_ms, clock_believed(sp, clock_wall_ms()));
	STAILQ_CONCAT(&done, &sp->answered);
	finish_all(sp, &done);
	announce(sp, buf_span(&ready));
	buf_fini(&ready);
	wake_waiters(sp);
}

static void on_done(struct ev_loop *loop, ev_async *w, int revents)
{
	struct spool *sp = CONTAINER_OF(w, struct spool, done_async);

	(void)loop;
	(void)revents;
	take_done(sp);
}

bool spool_is_busy(const struct spool *sp)
{
	return sp->pending_bytes > BUSY_BYTES || sp->pending > BUSY_REQUESTS;
}

void spool_wait(struct spool *sp, struct spool_waiter *w)
{
	MX_ASSERT(!w->is_waiting);
	w->is_waiting = true;
	TAILQ_INSERT_TAIL(&sp->waiters, w, link);
}

void spool_wait_cancel(struct spool *sp, struct spool_waiter *w)
{
	if (!w->is_waiting)
		return;
	w->is_waiting = false;
	TAILQ_REMOVE(&sp->waiters, w, link);
}

/* ---- the writer's side ---- */

/* Sleep until woken or until this time; true: woken.  Lock held. */
static bool sleep_until(struct writer *w, int64_t until_us)
{
	struct timespec ts = { .tv_sec = until_us / 1000000,
			       .tv_nsec = until_us % 1000000 * 1000 };
	int rc = 0;

	w->is_asleep = true;
	while (w->is_asleep && !w->stop && rc == 0)
		rc = pthread_cond_timedwait(&w->wake, &w->lock, &ts);
	w->is_asleep = false;
	return rc == 0;
}

static bool has_work(const struct writer *w)
{
	return w->eager > 0 || w->lazy_bytes >= LAZY_BYTES || w->stop;
}

/* Lock not held. */
static void housekeep(struct spool *sp)
{
	struct writer *w = &sp->writer;
	int64_t now = clock_mono_ms();
	int dead = 0;

	mapping_trim(sp);
	if (now - w->checked_ms >= CHECK_MS) {
		w->checked_ms = now;
		room_look(sp);
		mdb_reader_check(sp->env, &dead);
		if (dead > 0)
			log_info(EV_SPOOL, LOG_INT("dead_readers", dead));
	}
}

/* Wait for something to do; true: a transaction is due.  Lock held. */
static bool await_work(struct spool *sp)
{
	struct writer *w = &sp->writer;
	int64_t wait_ms = CHECK_MS;

	if (has_work(w))
		return true;
	if (w->lazy > 0)
		wait_ms = LAZY_MS;
	else if (w->has_dead && !atomic_load(&sp->has_failed))
		return true;
	else if (atomic_load(&sp->room.is_short))
		wait_ms = LOOK_MS;
	w->wanted = 1;
	if (sleep_until(w, mono_us() + wait_ms * 1000))
		return has_work(w);
	if (w->lazy > 0)
		return true;
	pthread_mutex_unlock(&w->lock);
	if (atomic_exchange(&sp->room.is_short, false))
		room_look(sp);
	housekeep(sp);
	pthread_mutex_lock(&w->lock);
	return clock_mono_ms() - w->stored_ms >= STORE_MS &&
	       !atomic_load(&sp->has_failed);
}

/* See the head of this file.  answered: how many the last commit served;
 * lock held. */
static void gather(struct writer *w, size_t answered, size_t waiting)
{
	size_t wanted = answered + waiting;
	int64_t most_us = w->commit_us / GATHER_PART;

	if (most_us < GATHER_MIN_US)
		most_us = GATHER_MIN_US;
	if (most_us > GATHER_MAX_US)
		most_us = GATHER_MAX_US;
	if (wanted > BATCH_REQUESTS)
		wanted = BATCH_REQUESTS;
	if (w->eager == 0 || w->eager >= wanted || w->stop)
		return;
	w->wanted = wanted;
	sleep_until(w, mono_us() + most_us);
}

/* As much of the queue as one transaction takes.  Lock held. */
static void take_batch(struct writer *w, struct request_list *batch,
		       size_t *eager)
{
	struct request *r;
	size_t n = 0, bytes = 0;

	*eager = 0;
	while (n < BATCH_REQUESTS && bytes < BATCH_BYTES &&
	       (r = STAILQ_FIRST(&w->queue)) != NULL) {
		STAILQ_REMOVE_HEAD(&w->queue, link);
		STAILQ_INSERT_TAIL(batch, r, link);
		n++;
		bytes += r->bytes;
		count_out(w, r);
		*eager += !r->ops->lazy;
	}
}

/* What is done goes to the loop, what has another step to do goes first in
 * the next batch.  Lock held. */
static void give_back(struct spool *sp, struct request_list *batch,
		      struct buf *ready)
{
	struct request_list again = STAILQ_HEAD_INITIALIZER(again);
	struct writer *w = &sp->writer;
	struct request *r;

	while ((r = STAILQ_FIRST(batch)) != NULL) {
		STAILQ_REMOVE_HEAD(batch, link);
		if (r->again && !w->stop) {
			STAILQ_INSERT_TAIL(&again, r, link);
			count_in(w, r);
			continue;
		}
		if (r->again)
			r->err = MX_ESTOP;
		STAILQ_INSERT_TAIL(&w->done, r, link);
	}
	STAILQ_CONCAT(&again, &w->queue);
	STAILQ_CONCAT(&w->queue, &again);
	buf_add(&w->ready, buf_span(ready));
	buf_reset(ready);
}

static void *writer_main(void *arg)
{
	struct spool *sp = arg;
	struct writer *w = &sp->writer;
	struct request_list batch = STAILQ_HEAD_INITIALIZER(batch);
	struct buf ready = { 0 };
	size_t answered = 0, waiting = 0;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		bool is_due = await_work(sp);

		if (w->stop && STAILQ_EMPTY(&w->queue))
			break;
		if (!is_due)
			continue;
		gather(w, answered, waiting);
		take_batch(w, &batch, &answered);
		pthread_mutex_unlock(&w->lock);
		int64_t start = mono_us();

		batch_run(sp, &batch, &ready);
		room_look(sp);
		w->commit_us = mono_us() - start;
		metrics_observe(METRIC_COMMIT, w->commit_us);
		pthread_mutex_lock(&w->lock);
		waiting = w->eager - w->bounded;
		give_back(sp, &batch, &ready);
		pthread_mutex_unlock(&w->lock);
		ev_async_send(sp->loop, &sp->done_async);
		housekeep(sp); /* nobody waits for it */
		pthread_mutex_lock(&w->lock);
	}
	pthread_mutex_unlock(&w->lock);
	buf_fini(&ready);
	return NULL;
}

enum mx_err writer_start(struct spool *sp)
{
	struct writer *w = &sp->writer;
	pthread_condattr_t attr;
	sigset_t all, old;
	int rc;

	/* Pieces and LMDB's copies of them come and go by the megabyte: what
	 * malloc returned to the system after each commit would be faulted in,
	 * page by page, for the next. */
	mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
	STAILQ_INIT(&w->queue);
	STAILQ_INIT(&w->done);
	STAILQ_INIT(&sp->answered);
	TAILQ_INIT(&sp->waiters);
	w->wanted = 1;
	w->has_dead = true; /* the first commit finds out */
	w->checked_ms = w->stored_ms = clock_mono_ms();
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->wake, &attr);
	pthread_condattr_destroy(&attr);
	ev_async_init(&sp->done_async, on_done);
	ev_async_start(sp->loop, &sp->done_async);
	/* Signals are the loop's.  SIGXFSZ, too: a write past the limit of
	 * file sizes then fails with EFBIG instead of ending the process. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&w->thread, NULL, writer_main, sp);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	w->is_running = rc == 0;
	return mx_from_errno(rc);
}

void writer_stop(struct spool *sp)
{
	struct writer *w = &sp->writer;

	if (!w->is_running)
		return;
	/* Callbacks may ask for more; that is written, too. */
	do {
		pthread_mutex_lock(&w->lock);
		w->stop = true;
		pthread_cond_signal(&w->wake);
		pthread_mutex_unlock(&w->lock);
		pthread_join(w->thread, NULL);
		take_done(sp);
		pthread_mutex_lock(&w->lock);
		w->is_running = !STAILQ_EMPTY(&w->queue);
		pthread_mutex_unlock(&w->lock);
		if (w->is_running)
			w->is_running = pthread_create(&w->thread, NULL,
						       writer_main, sp) == 0;
	} while (w->is_running);
	ev_async_stop(sp->loop, &sp->done_async);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->wake);
}
