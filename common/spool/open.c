#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/spool/disk.h"
#include "common/spool/domain.h"
#include "common/spool/env.h"
#include "common/spool/announce.h"
#include "common/spool/look.h"
#include "common/spool/mapping.h"
#include "common/spool/now.h"
#include "common/spool/queue.h"
#include "common/spool/room.h"
#include "common/spool/shift.h"
#include "common/spool/step.h"
#include "common/spool/writeback.h"
#include "common/spool/writer.h"

/* Address space only.  Smaller where the system does not give so much. */
static const uint64_t map_sizes[] = { 1ULL << 40, 1ULL << 38, 1ULL << 36,
				      1ULL << 34, 1ULL << 32 };

static enum mx_err say_mdb(struct buf *why, const char *path, int rc)
{
	enum mx_err err = from_mdb(rc);

	if (why != NULL)
		buf_addf(why, "%s: %s: %s", path,
			 err == MX_ECORRUPT ? "not a spool, or damaged"
					    : "cannot be opened",
			 mdb_strerror(rc));
	return err;
}

static enum mx_err open_env(struct spool *sp, const char *dir, struct buf *why)
{
	int rc = ENOMEM;

	/* EINVAL: what valgrind says of a map that is too large for it */
	for (size_t i = 0;
	     (rc == ENOMEM || rc == EINVAL) && i < COUNT(map_sizes); i++) {
		sp->map_bytes = map_sizes[i];
		/* the writer flushes what LMDB does not: batch.c */
		rc = env_open(&sp->env, dir, MDB_NOTLS | MDB_NOMETASYNC,
			      sp->map_bytes);
	}
	/* what a process before us had no time to flush is relied on from here */
	if (rc == MDB_SUCCESS)
		rc = mdb_env_sync(sp->env, 1);
	return rc == MDB_SUCCESS ? MX_OK
				 : say_mdb(why, buf_cstr(&sp->path), rc);
}

static enum mx_err check_schema(struct spool *sp, MDB_txn *txn, struct buf *why)
{
	struct span value;
	enum mx_err err = table_get_name(&sp->tables[T_META], txn,
					 SPAN_LIT("schema"), &value);

	if (err == MX_OK && env_knows_schema(value))
		return MX_OK;
	return disk_say(why, buf_cstr(&sp->path),
			err == MX_OK ? "made by another version of mx20"
				     : "not a spool",
			MX_ECORRUPT);
}

static uint64_t id_of_key(struct span key, size_t at)
{
	uint64_t id = 0;

	for (size_t i = at; i < at + 8 && i < key.n; i++)
		id = id << 8 | (unsigned char)key.p[i];
	return id;
}

/* The highest id in use: ids are never given out twice. */
static enum mx_err learn_ids(struct spool *sp, MDB_txn *txn)
{
	static const struct {
		enum table_id table;
		size_t at; /* where the id stands in the key */
	} where[] = { { T_MESSAGE, 0 }, { T_CONTENT, 0 }, { T_GARBAGE, 1 } };
	uint64_t last = sp->state.last_id;

	for (size_t i = 0; i < COUNT(where); i++) {
		struct scan p;
		enum mx_err err =
			scan_open(&p, &sp->tables[where[i].table], txn);

		if (err != MX_OK)
			return err;
		err = scan_seek_before(&p, NULL);
		if (err == MX_OK && id_of_key(p.key, where[i].at) > last)
			last = id_of_key(p.key, where[i].at);
		scan_close(&p);
		if (err != MX_OK && err != MX_ENOENT)
			return err;
	}
	atomic_store(&sp->last_id, last);
	sp->former_id = last;
	return MX_OK;
}

static enum mx_err learn_state(struct spool *sp, MDB_txn *txn)
{
	struct span value;
	enum mx_err err = table_get_name(&sp->tables[T_META], txn,
					 SPAN_LIT("state"), &value);

	if (err == MX_OK && !state_row_get(value, &sp->state))
		err = MX_ECORRUPT;
	if (err == MX_ENOENT)
		err = MX_OK;
	if (err == MX_OK)
		err = learn_ids(sp, txn);
	if (err == MX_OK)
		room_count(sp, txn);
	if (err == MX_OK)
		domain_look_for_patterns(sp, txn);
	if (err == MX_OK)
		err = shift_learn(sp, txn);
	if (err == MX_OK)
		err = step_learn(sp, txn);
	return err;
}

static enum mx_err open_tables(struct spool *sp, struct buf *why)
{
	MDB_txn *txn = NULL;
	MDB_stat st;
	enum mx_err err =
		from_mdb(sp->is_reader ? read_txn_new(sp->env, &txn)
				       : mdb_txn_begin(sp->env, NULL, 0, &txn));

	if (err == MX_OK)
		err = from_mdb(mdb_env_stat(sp->env, &st));
	if (err == MX_OK) {
		sp->page_bytes = st.ms_psize;
		sp->chunk_bytes =
			CHUNK_PAGES_BYTES / sp->page_bytes * sp->page_bytes -
			PAGE_HEADER_BYTES;
		err = tables_open(sp->tables, txn, false);
	}
	if (err == MX_OK) {
		err = check_schema(sp, txn, why);
		if (err != MX_OK)
			goto done;
		err = learn_state(sp, txn);
	}
	if (err == MX_OK) {
		err = from_mdb(mdb_txn_commit(txn));
		txn = NULL;
	}
	if (err == MX_ENOENT) /* not our tables */
		err = MX_ECORRUPT;
	if (err != MX_OK)
		disk_say(why, buf_cstr(&sp->path), mx_strerror(err), err);
done:
	if (txn != NULL)
		mdb_txn_abort(txn);
	return err;
}

static void free_spool(struct spool *sp)
{
	MX_ASSERT(sp->reading == 0);
	if (sp->read_txn != NULL)
		mdb_txn_abort(sp->read_txn);
	if (sp->read_env != NULL)
		mdb_env_close(sp->read_env);
	if (sp->env != NULL)
		mdb_env_close(sp->env);
	writeback_free(&sp->writeback);
	if (sp->fd >= 0)
		close(sp->fd);
	if (sp->lock_fd >= 0)
		close(sp->lock_fd);
	if (sp->statm_fd >= 0)
		close(sp->statm_fd);
	step_free(sp);
	buf_fini(&sp->queue.ready);
	buf_fini(&sp->path);
	free(sp);
}

static struct spool *spool_alloc(const char *dir)
{
	struct spool *sp = mx_alloc(sizeof(*sp));

	sp->fd = sp->lock_fd = sp->statm_fd = -1;
	buf_addf(&sp->path, "%s/data.mdb", dir);
	return sp;
}

enum mx_err spool_open(struct spool **out, struct ev_loop *loop,
		       const struct spool_options *opt, struct buf *why)
{
	struct spool *sp = spool_alloc(opt->path);
	int dead = 0;
	enum mx_err err = disk_take(sp, opt->path, why);

	*out = NULL;
	if (err == MX_OK)
		err = open_env(sp, opt->path, why);
	if (err == MX_OK)
		err = open_tables(sp, why);
	if (err != MX_OK) {
		free_spool(sp);
		return err;
	}
	mdb_reader_check(sp->env, &dead);
	mapping_find(sp);
	room_init(sp, opt);
	now_start(sp);
	queue_init(sp, loop);
	sp->awaits_first = opt->is_mirrored;
	err = writer_start(sp);
	if (err != MX_OK) {
		disk_say(why, opt->path, "cannot start the writer", err);
		queue_fini(sp);
		free_spool(sp);
		return err;
	}
	*out = sp;
	return MX_OK;
}

/* As large as the daemon's map (0), so that it may grow beside us; less where
 * the system does not give so much, but no less than there is: LMDB sees to it.
 */
static int open_map(struct spool *sp, const char *path, unsigned flags)
{
	static const uint64_t sizes[] = { 0, 1ULL << 36, 1ULL << 32,
					  1ULL << 28 };
	int rc = ENOMEM;

	for (size_t i = 0; (rc == ENOMEM || rc == EINVAL) && i < COUNT(sizes);
	     i++)
		rc = env_open(&sp->env, path, flags, sizes[i]);
	return rc;
}

/*
 * With a slot among the readers where there is one to be had.  Not so in a
 * directory that we may not write, nor beside a process of our number in
 * another container (LMDB knows readers by it).  Without a slot pages may be
 * reused under us: a row may then read as damaged, and the next look is right
 * again.
 */
static int open_to_read(struct spool *sp, const char *path)
{
	enum { FLAGS = MDB_RDONLY | MDB_NOTLS };
	MDB_txn *txn = NULL;
	int rc = open_map(sp, path, FLAGS);

	if (rc == MDB_SUCCESS)
		rc = read_txn_new(sp->env, &txn);
	if (txn != NULL)
		mdb_txn_abort(txn);
	if (rc != EACCES && rc != EROFS && rc != EPERM && rc != EAGAIN)
		return rc;
	if (sp->env != NULL)
		mdb_env_close(sp->env);
	return open_map(sp, path, FLAGS | MDB_NOLOCK);
}

enum mx_err spool_open_reader(struct spool **out, const char *path,
			      struct buf *why)
{
	struct spool *sp = spool_alloc(path);
	enum mx_err err;
	int rc;

	*out = NULL;
	sp->is_reader = true;
	err = disk_look(sp, path, why);
	if (err != MX_OK) {
		free_spool(sp);
		return err;
	}
	rc = open_to_read(sp, path);
	err = rc == MDB_SUCCESS ? open_tables(sp, why)
				: say_mdb(why, buf_cstr(&sp->path), rc);
	if (err != MX_OK) {
		free_spool(sp);
		return err;
	}
	*out = sp;
	return MX_OK;
}

void spool_at_close(struct spool *sp, void (*cb)(void *arg), void *arg)
{
	sp->at_close = cb;
	sp->at_close_arg = arg;
}

void spool_close(struct spool **spool)
{
	struct spool *sp = *spool;

	if (sp == NULL)
		return;
	*spool = NULL;
	if (!sp->is_reader) {
		writer_stop(sp);
		announce_stop(sp);
		queue_fini(sp);
	}
	free_spool(sp);
}
