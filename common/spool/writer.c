#include "common/spool/writer.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <time.h>

#include "common/base/busy.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/spool/batch.h"
#include "common/spool/calm.h"
#include "common/spool/spool_priv.h"
#include "common/spool/mapping.h"
#include "common/spool/queue.h"
#include "common/spool/room.h"

/*
 *   loop --waiting--> writer: one transaction of all that waits --done--> loop
 *
 * Group commit.  LMDB flushes twice per commit, so the sessions fall into two
 * cohorts that alternate, each waiting for the other's flushes.  To join them
 * the writer waits after a commit until as many requests wait as were just
 * answered plus those that already waited: that is everybody who can be
 * expected to come.  Outcomes of deliveries that already wait do not count: the
 * drain has no more than so many at a time, so that as many as before may be
 * all there will be.  It waits two milliseconds or a quarter of the commit's
 * duration at most, so that the gain is larger than the loss, and not at all
 * for a single client, whose next request is all that is expected, nor where
 * content for a transaction of its own waits already.
 *
 * While processors are short (busy.h) it waits for whoever comes in five
 * milliseconds: a commit costs as much of them as a handshake.
 */
enum {
	BATCH_REQUESTS = 4096,
	LAZY_MS = 1000,
	KEEP_BYTES = 16 << 20,
	GATHER_PART = 4,
	GATHER_MIN_US = 2000,
	GATHER_MAX_US = 5000,
	CHECK_MS = 60000,   /* readers that died, and the disk */
	LOOK_MS = 1000,	    /* the disk, while there is no room */
	STORE_MS = 3600000, /* the time, for the next start */
};

/* Sleep until woken or until this time; true: woken.  Lock held. */
static bool sleep_until(struct queue *q, int64_t until_us)
{
	struct timespec ts = { .tv_sec = until_us / 1000000,
			       .tv_nsec = until_us % 1000000 * 1000 };
	int rc = 0;

	q->is_asleep = true;
	while (q->is_asleep && !q->stop && rc == 0)
		rc = pthread_cond_timedwait(&q->wake, &q->lock, &ts);
	q->is_asleep = false;
	return rc == 0;
}

/* Lock not held. */
static void housekeep(struct spool *sp)
{
	int64_t now = clock_mono_ms();
	int dead = 0;

	mapping_trim(sp);
	if (now - sp->checked_ms >= CHECK_MS) {
		sp->checked_ms = now;
		room_look(sp);
		mdb_reader_check(sp->env, &dead);
		if (dead > 0)
			log_info(EV_SPOOL, LOG_INT("dead_readers", dead));
	}
}

static bool is_calm(const struct spool *sp)
{
	return !sp->queue.stop && calm_left_ms(sp) > 0;
}

/* For what is the mirror's, or the end of the pause.  Lock held. */
static bool await_mirror(struct spool *sp)
{
	struct queue *q = &sp->queue;

	if (q->mirrors > 0)
		return true;
	q->wanted = SIZE_MAX;
	sleep_until(q, clock_mono_us() + calm_left_ms(sp) * 1000);
	return false; /* look again */
}

/* Wait for something to do; true: a transaction is due.  Lock held. */
static bool await_work(struct spool *sp)
{
	struct queue *q = &sp->queue;
	int64_t wait_ms = CHECK_MS;

	if (is_calm(sp))
		return await_mirror(sp);
	if (queue_has_work(q))
		return true;
	if (q->lazy > 0)
		wait_ms = LAZY_MS;
	else if (sp->has_dead && !sp->awaits_first &&
		 !atomic_load(&sp->has_failed))
		return true;
	else if (atomic_load(&sp->room.is_short))
		wait_ms = LOOK_MS;
	q->wanted = 1;
	if (sleep_until(q, clock_mono_us() + wait_ms * 1000))
		return queue_has_work(q);
	if (q->lazy > 0)
		return true;
	pthread_mutex_unlock(&q->lock);
	if (atomic_exchange(&sp->room.is_short, false))
		room_look(sp);
	housekeep(sp);
	pthread_mutex_lock(&q->lock);
	return clock_mono_ms() - sp->stored_ms >= STORE_MS &&
	       !atomic_load(&sp->has_failed);
}

/* See the head of this file.  answered: how many the last commit served;
 * lock held. */
static void gather(struct spool *sp, size_t answered, size_t waiting)
{
	struct queue *q = &sp->queue;
	size_t wanted = answered + waiting;
	int64_t most_us = sp->commit_us / GATHER_PART;

	if (most_us < GATHER_MIN_US)
		most_us = GATHER_MIN_US;
	if (most_us > GATHER_MAX_US)
		most_us = GATHER_MAX_US;
	if (busy_is() && wanted > 1) {
		wanted = BATCH_REQUESTS;
		most_us = GATHER_MAX_US;
	}
	if (wanted > BATCH_REQUESTS)
		wanted = BATCH_REQUESTS;
	if (q->eager == 0 || q->eager >= wanted || q->stop ||
	    queue_has_content(q) || is_calm(sp))
		return;
	q->wanted = wanted;
	sleep_until(q, clock_mono_us() + most_us);
}

/* What is the mirror's; the rest stays, in order.  Lock held. */
static void take_mirrors(struct queue *q, struct request_list *batch,
			 size_t *eager)
{
	struct request_list rest = STAILQ_HEAD_INITIALIZER(rest);
	struct request *r;

	while ((r = STAILQ_FIRST(&q->waiting)) != NULL) {
		STAILQ_REMOVE_HEAD(&q->waiting, link);
		if (!r->ops->mirrors) {
			STAILQ_INSERT_TAIL(&rest, r, link);
			continue;
		}
		STAILQ_INSERT_TAIL(batch, r, link);
		queue_count_out(q, r);
		++*eager;
	}
	STAILQ_CONCAT(&q->waiting, &rest);
}

/* As much of the queue as one transaction takes.  Lock held. */
static void take_batch(struct spool *sp, struct request_list *batch,
		       size_t *eager)
{
	struct queue *q = &sp->queue;
	struct request *r;
	size_t n = 0, bytes = 0;

	*eager = 0;
	if (is_calm(sp)) {
		take_mirrors(q, batch, eager);
		return;
	}
	while (n < BATCH_REQUESTS && bytes < q->batch_bytes &&
	       (r = STAILQ_FIRST(&q->waiting)) != NULL) {
		STAILQ_REMOVE_HEAD(&q->waiting, link);
		STAILQ_INSERT_TAIL(batch, r, link);
		n++;
		bytes += r->bytes;
		queue_count_out(q, r);
		*eager += !r->ops->lazy;
	}
}

/* What is done goes to the loop, what has another step to do goes first in
 * the next batch.  Lock held. */
static void give_back(struct spool *sp, struct request_list *batch,
		      struct buf *ready)
{
	struct request_list again = STAILQ_HEAD_INITIALIZER(again);
	struct queue *q = &sp->queue;
	struct request *r;

	while ((r = STAILQ_FIRST(batch)) != NULL) {
		STAILQ_REMOVE_HEAD(batch, link);
		if (r->again && !q->stop) {
			STAILQ_INSERT_TAIL(&again, r, link);
			queue_count_in(q, r);
			continue;
		}
		if (r->again)
			r->err = MX_ESTOP;
		STAILQ_INSERT_TAIL(&q->done, r, link);
	}
	STAILQ_CONCAT(&again, &q->waiting);
	STAILQ_CONCAT(&q->waiting, &again);
	buf_add(&q->ready, buf_span(ready));
	buf_reset(ready);
}

/*
 * How much content is worth a transaction?  Where a flush takes long it is more,
 * or the disk would do little else; it is in memory twice meanwhile.  At
 * a gigabyte a second this is six times as long as the flush.
 */
static size_t worth(const struct spool *sp)
{
	enum { FLUSHES = 6, BYTES_PER_US = 1000 };
	const int64_t n = sp->flush_us * (FLUSHES * BYTES_PER_US);

	if (n < QUEUE_BATCH_MIN)
		return QUEUE_BATCH_MIN;
	return n < QUEUE_BATCH_MAX ? (size_t)n : QUEUE_BATCH_MAX;
}

static void *writer_main(void *arg)
{
	struct spool *sp = arg;
	struct queue *q = &sp->queue;
	struct request_list batch = STAILQ_HEAD_INITIALIZER(batch);
	struct buf ready = { 0 };
	size_t answered = 0, waiting = 0;

	pthread_mutex_lock(&q->lock);
	for (;;) {
		bool is_due = await_work(sp);

		if (q->stop && STAILQ_EMPTY(&q->waiting))
			break;
		if (!is_due)
			continue;
		gather(sp, answered, waiting);
		take_batch(sp, &batch, &answered);
		sp->awaits_first = false;
		pthread_mutex_unlock(&q->lock);
		int64_t start = clock_mono_us();

		batch_run(sp, &batch, &ready);
		room_look(sp);
		sp->commit_us = clock_mono_us() - start;
		metrics_observe(METRIC_COMMIT, sp->commit_us);
		pthread_mutex_lock(&q->lock);
		q->batch_bytes = worth(sp);
		waiting = q->eager - q->bounded;
		give_back(sp, &batch, &ready);
		pthread_mutex_unlock(&q->lock);
		ev_async_send(q->loop, &q->done_async);
		housekeep(sp); /* nobody waits for it */
		pthread_mutex_lock(&q->lock);
	}
	pthread_mutex_unlock(&q->lock);
	buf_fini(&ready);
	return NULL;
}

enum mx_err writer_start(struct spool *sp)
{
	sigset_t all, old;
	int rc;

	/* Pieces and LMDB's copies of them come and go by the megabyte: what
	 * malloc returned to the system after each commit would be faulted in,
	 * page by page, for the next. */
	mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
	sp->has_dead = true; /* the first commit finds out */
	sp->checked_ms = sp->stored_ms = clock_mono_ms();
	/* Signals are the loop's.  SIGXFSZ, too: a write past the limit of
	 * file sizes then fails with EFBIG instead of ending the process. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&sp->writer, NULL, writer_main, sp);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	sp->writer_runs = rc == 0;
	return mx_from_errno(rc);
}

/* Is there more to be written? */
static bool has_left(struct queue *q)
{
	bool yes;

	pthread_mutex_lock(&q->lock);
	yes = !STAILQ_EMPTY(&q->waiting);
	pthread_mutex_unlock(&q->lock);
	return yes;
}

void writer_stop(struct spool *sp)
{
	struct queue *q = &sp->queue;

	if (!sp->writer_runs)
		return;
	/* Callbacks may ask for more; that is written, too. */
	do {
		pthread_mutex_lock(&q->lock);
		q->stop = true;
		pthread_cond_signal(&q->wake);
		pthread_mutex_unlock(&q->lock);
		pthread_join(sp->writer, NULL);
		do
			queue_finish_done(sp);
		while (!STAILQ_EMPTY(&q->answered));
		if (sp->at_close != NULL && !has_left(q)) {
			sp->at_close(sp->at_close_arg);
			sp->at_close = NULL;
		}
		sp->writer_runs = has_left(q);
		if (sp->writer_runs)
			sp->writer_runs = pthread_create(&sp->writer, NULL,
							 writer_main, sp) == 0;
	} while (sp->writer_runs);
}
