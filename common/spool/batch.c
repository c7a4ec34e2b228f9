#include "common/spool/batch.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/spool/content.h"
#include "common/spool/counters.h"
#include "common/spool/queue.h"
#include "common/spool/room.h"
#include "common/spool/spool_priv.h"
#include "common/spool/step.h"
#include "common/spool/writeback.h"

/*
 * One transaction for everything that waits.
 *
 *   all together --no room--> without what needs room --> one by one
 *        |                          |                        |
 *        +--the disk failed---------+------------------------+--> nothing
 *                                                                 ever again
 *
 * A mirror that comes first and is away keeps new mail out in the same way.
 *
 * Where there is no room deletions still go through, because LMDB takes the
 * pages it copies from its free list, and the quota keeps a margin; so what
 * was accepted drains on.  A request that cannot be applied at all (a damaged
 * row) fails alone.
 *
 * A commit flushes twice: what was written, then the meta page that makes it
 * count.  LMDB leaves the second to us (MDB_NOMETASYNC), and it is left out
 * where there is nothing but pieces of content that is still to come: until the
 * next commit, whose first flush covers it, a power cut may take them back.
 * Nobody was told of them, and the seal of their message is in a commit behind
 * them: what is on the disk is always what one of the commits left.
 */

static enum mx_err store_state(struct batch *b)
{
	struct spool *sp = b->sp;
	char value[STATE_ROW_SIZE];

	b->state.last_id = atomic_load(&sp->last_id);
	b->state.wall_ms = atomic_load(&sp->trusted_ms);
	state_row_put(value, &b->state);
	return table_put_name(batch_table(b, T_META), b->txn, SPAN_LIT("state"),
			      span_of(value, sizeof(value)));
}

/* Arrivals by id, the rest as they came; a barrier begins a new phase. */
static int by_turn(const void *pa, const void *pb)
{
	const struct request *a = *(struct request *const *)pa;
	const struct request *b = *(struct request *const *)pb;

	if (a->phase != b->phase)
		return a->phase < b->phase ? -1 : 1;
	if (a->ops->order != b->ops->order)
		return a->ops->order < b->ops->order ? -1 : 1;
	if (a->ops->order == ORDER_ARRIVAL && a->id != b->id)
		return a->id < b->id ? -1 : 1;
	return a->turn < b->turn ? -1 : 1;
}

static enum mx_err apply_all(struct batch *b, struct request **all, size_t n)
{
	bool more = false;
	enum mx_err err = MX_OK;

	for (size_t i = 0; i < n && err == MX_OK; i++) {
		all[i]->err = MX_OK;
		all[i]->again = false;
		err = all[i]->ops->apply(b, all[i]);
		/* a fault of its own ends a request */
		MX_ASSERT(all[i]->err == MX_OK || !all[i]->again);
	}
	if (err == MX_OK && (b->sp->has_dead || b->made_dead)) {
		err = content_sweep(b, &more);
		b->made_dead = more;
	}
	if (err == MX_OK)
		err = counters_store(b);
	if (err == MX_OK)
		err = step_prepare(b);
	return err == MX_OK ? store_state(b) : err;
}

/* So much comes together where flushes are slow (writer.c). */
static bool is_much(const struct batch *b)
{
	return b->coming >= QUEUE_BATCH_MIN + QUEUE_BATCH_MIN / 4;
}

/*
 * LMDB makes EIO of a write that was cut short, too, which is what a full
 * disk or a file-size limit does first; then errno does not say so.
 */
static enum mx_err commit(struct batch *b)
{
	struct spool *sp = b->sp;
	int rc, why;

	if (is_much(b))
		writeback_begin(&sp->writeback, sp->fd);
	errno = 0;
	rc = mdb_txn_commit(b->txn);
	why = errno;
	b->txn = NULL;
	writeback_end(sp->writeback);
	if (rc == EIO && why != EIO)
		return MX_ESPACE;
	if (rc == MDB_SUCCESS || from_mdb(rc) == MX_ESPACE)
		return from_mdb(rc);
	return MX_EIO; /* what is on the disk now is not known */
}

/* Does anybody rely on it from now on?  See the head of this file. */
static bool must_last(const struct spool *sp, struct request **all, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!all[i]->ops->undoable)
			return true;
	return n == 0 || sp->mirror.is_kept;
}

/* Flush the meta page of the transaction that was committed. */
static enum mx_err make_last(struct spool *sp)
{
	enum { SMOOTH = 4 }; /* one slow flush does not make a slow disk */
	const int64_t start = clock_mono_us();

	if (mdb_env_sync(sp->env, 1) != MDB_SUCCESS)
		return MX_EIO; /* it may be there, or not */
	sp->flush_us += (clock_mono_us() - start - sp->flush_us) / SMOOTH;
	return MX_OK;
}

/* One transaction.  On failure nothing of it happened. */
static enum mx_err attempt(struct spool *sp, struct request **all, size_t n,
			   struct buf *ready)
{
	struct batch b = { .sp = sp, .state = sp->state };
	enum mx_err err = from_mdb(mdb_txn_begin(sp->env, NULL, 0, &b.txn));

	for (size_t i = 0; i < n; i++) {
		all[i]->saved_pos = all[i]->pos;
		all[i]->saved_count = all[i]->count;
	}
	step_begin(&b);
	if (err == MX_OK)
		err = apply_all(&b, all, n);
	if (err == MX_OK)
		err = step_ahead(&b);
	if (err == MX_OK) {
		room_count(sp, b.txn);
		err = commit(&b);
		if (err == MX_OK && must_last(sp, all, n))
			err = make_last(sp);
	}
	if (b.txn != NULL)
		mdb_txn_abort(b.txn);
	step_end(&b, err == MX_OK);
	counters_free(&b, err == MX_OK ? ready : NULL);
	if (err == MX_OK) {
		sp->state = b.state;
		sp->stored_ms = clock_mono_ms();
		sp->has_dead = b.made_dead;
		return MX_OK;
	}
	for (size_t i = 0; i < n; i++) {
		all[i]->pos = all[i]->saved_pos;
		all[i]->count = all[i]->saved_count;
		all[i]->again = false;
	}
	return err;
}

static void fail_each(struct request **all, size_t n, enum mx_err err)
{
	for (size_t i = 0; i < n; i++) {
		all[i]->err = err;
		all[i]->again = false;
		if (all[i]->ops->failed != NULL)
			all[i]->ops->failed(all[i]);
	}
}

/* From now on only reading. */
static void stop_writing(struct spool *sp)
{
	if (atomic_exchange(&sp->has_failed, true))
		return;
	log_error(EV_SPOOL, LOG_SPAN("path", buf_span(&sp->path)),
		  LOG_STR("error", "the disk failed: nothing is accepted or "
				   "settled until a restart"));
}

static void one_by_one(struct spool *sp, struct request **all, size_t n,
		       struct buf *ready)
{
	for (size_t i = 0; i < n; i++) {
		enum mx_err err = atomic_load(&sp->has_failed)
					  ? MX_EIO
					  : attempt(sp, &all[i], 1, ready);

		if (err == MX_EIO)
			stop_writing(sp);
		if (err != MX_OK)
			fail_each(&all[i], 1, err);
	}
}

static bool needs_room(const struct request *r)
{
	return r->ops->fills;
}

static bool is_new_mail(const struct request *r)
{
	return r->is_new_mail;
}

/* Fail those for which this is true; the others are the first of all from then
 * on, and this is how many. */
static size_t fail_those(struct request **all, size_t n,
			 bool (*is_one)(const struct request *),
			 enum mx_err err)
{
	size_t left = 0;
	struct request **those = mx_alloc_array(n + 1, sizeof(*those));

	for (size_t i = 0; i < n; i++)
		if (is_one(all[i]))
			those[i - left] = all[i];
		else
			all[left++] = all[i];
	memcpy(all + left, those, (n - left) * sizeof(*those));
	free(those);
	fail_each(all + left, n - left, err);
	return left;
}

/* Is there room for what these store?  Deletions only restore the cushion,
 * where that is possible. */
static bool is_secured(struct spool *sp, struct request **all, size_t n)
{
	enum { ROW_BYTES = 1 << 10 };
	uint64_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		if (all[i]->ops->fills)
			bytes += all[i]->bytes + all[i]->bytes / 2 + ROW_BYTES;
	return room_secure(sp, bytes) || bytes == 0;
}

/* The mirror comes first, and is away. */
static enum mx_err without_new_mail(struct spool *sp, struct request **all,
				    size_t *n, struct buf *ready)
{
	*n = fail_those(all, *n, is_new_mail, MX_EMIRROR);
	return attempt(sp, all, *n, ready);
}

static enum mx_err without_what_fills(struct spool *sp, struct request **all,
				      size_t *n, struct buf *ready)
{
	atomic_store(&sp->room.is_short, true);
	*n = fail_those(all, *n, needs_room, MX_ESPACE);
	return *n > 0 ? attempt(sp, all, *n, ready) : MX_OK;
}

static void run(struct spool *sp, struct request **all, size_t n,
		struct buf *ready)
{
	enum mx_err err = MX_EIO;

	if (step_refuses(sp))
		n = fail_those(all, n, is_new_mail, MX_EMIRROR);
	if (!atomic_load(&sp->has_failed))
		err = is_secured(sp, all, n) ? attempt(sp, all, n, ready)
					     : MX_ESPACE;
	if (err == MX_EMIRROR)
		err = without_new_mail(sp, all, &n, ready);
	if (err != MX_OK && n == 0)
		sp->has_dead = false; /* with the next request */
	if (err == MX_ESPACE && n > 0)
		err = without_what_fills(sp, all, &n, ready);
	if (err == MX_EIO) {
		stop_writing(sp);
		fail_each(all, n, MX_EIO);
	} else if (err != MX_OK && n == 1) {
		fail_each(all, n, err);
	} else if (err != MX_OK) {
		one_by_one(sp, all, n, ready);
	}
}

void batch_run(struct spool *sp, struct request_list *list, struct buf *ready)
{
	struct request *r, **all;
	size_t n = 0;
	unsigned phase = 0;

	STAILQ_FOREACH (r, list, link)
		n++;
	all = mx_alloc_array(n + 1, sizeof(*all));
	n = 0;
	STAILQ_FOREACH (r, list, link) {
		if (r->ops->order == ORDER_BARRIER)
			phase++;
		r->phase = phase;
		if (r->ops->order == ORDER_BARRIER)
			phase++;
		r->turn = (unsigned)n;
		all[n++] = r;
	}
	qsort(all, n, sizeof(struct request *), by_turn);
	run(sp, all, n, ready);
	if (step_is_due(sp) && !atomic_load(&sp->has_failed))
		run(sp, all, 0, ready);
	free(all);
}
