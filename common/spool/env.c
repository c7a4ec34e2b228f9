#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/spool/check.h"
#include "common/spool/internal.h"

/*
 * Opening.  The daemon's lock is a flock on the data file itself: it vanishes
 * with the process, and a copy of the directory does not carry it along.
 *
 * What the page cache holds is not trusted after a failed flush or a killed
 * daemon: the file is flushed, then dropped from the cache, so that what LMDB
 * reads is what the disk has.
 */
enum {
	SCHEMA_VERSION = 1,
	MAX_READERS = 126,
	LOCK_BYTES = 8192, /* 126 slots of 64 bytes, and a header */
	CHECK_BUDGET_MS = 100,
};

/* Address space only.  Smaller where the system does not give so much. */
static const uint64_t map_sizes[] = { 1ULL << 40, 1ULL << 38, 1ULL << 36,
				      1ULL << 34, 1ULL << 32 };

static enum mx_err say(struct buf *why, const char *path, const char *what,
		       enum mx_err err)
{
	if (why != NULL)
		buf_addf(why, "%s: %s", path, what);
	return err;
}

static enum mx_err say_errno(struct buf *why, const char *path,
			     const char *what)
{
	enum mx_err err = mx_from_errno(errno);

	if (why != NULL)
		buf_addf(why, "%s: %s: %s", path, what, strerror(errno));
	return err == MX_OK ? MX_ESYS : err;
}

/* The entry of a new file is durable only when its directory is. */
static enum mx_err sync_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc;

	if (fd < 0)
		return mx_from_errno(errno);
	rc = fsync(fd);
	close(fd);
	return rc == 0 ? MX_OK : mx_from_errno(errno);
}

static enum mx_err make_directory(const char *path, struct buf *why)
{
	struct buf up = { 0 };
	enum mx_err err = MX_OK;

	if (mkdir(path, 0700) == 0) {
		buf_addf(&up, "%s/..", path);
		err = sync_directory(buf_cstr(&up));
		buf_fini(&up);
		if (err != MX_OK)
			return say(why, path, "cannot sync its parent", err);
		return MX_OK;
	}
	if (errno != EEXIST)
		return say_errno(why, path, "cannot create the directory");
	return MX_OK;
}

/* mx20ctl holds a shared lock for the moment of its check: try again. */
static bool wait_for_lock(int fd)
{
	enum { TRIES = 25, PAUSE_MS = 20 };

	for (int i = 0; i < TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return true;
		if (errno != EWOULDBLOCK)
			return false;
		poll(NULL, 0, PAUSE_MS);
	}
	errno = EWOULDBLOCK;
	return false;
}

static enum mx_err lock_data(struct spool *sp, struct buf *why)
{
	const char *path = buf_cstr(&sp->path);

	sp->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (sp->fd < 0)
		return say_errno(why, path, "cannot open");
	if (!wait_for_lock(sp->fd)) {
		if (errno == EWOULDBLOCK)
			return say(why, path, "another mx20d uses it",
				   MX_EBUSY);
		return say_errno(why, path, "cannot lock");
	}
	if (fsync(sp->fd) != 0)
		return say_errno(why, path, "the disk fails");
	posix_fadvise(sp->fd, 0, 0, POSIX_FADV_DONTNEED);
	return MX_OK;
}

static enum mx_err check_data(int fd, const char *path, struct buf *why)
{
	struct buf what = { 0 };
	enum mx_err err = check_file(fd, CHECK_BUDGET_MS, &what);

	if (err != MX_OK)
		say(why, path, what.n > 0 ? buf_cstr(&what) : mx_strerror(err),
		    err);
	buf_fini(&what);
	return err;
}

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

/* LMDB found what cannot be; it stops the process when this returns. */
static void on_assert(MDB_env *env, const char *msg)
{
	const char *path = "";

	mdb_env_get_path(env, &path);
	log_error(EV_SPOOL, LOG_STR("path", path), LOG_STR("error", "damaged"),
		  LOG_STR("lmdb", msg));
	log_stop();
}

static int try_env(struct spool *sp, const char *dir, unsigned flags,
		   uint64_t map)
{
	int rc = mdb_env_create(&sp->env);

	if (rc != MDB_SUCCESS)
		return rc;
	mdb_env_set_assert(sp->env, on_assert);
	mdb_env_set_maxdbs(sp->env, T_COUNT);
	mdb_env_set_maxreaders(sp->env, MAX_READERS);
	if (map > 0)
		mdb_env_set_mapsize(sp->env, map);
	sp->map_bytes = map;
	rc = mdb_env_open(sp->env, dir, flags, 0600);
	if (rc != MDB_SUCCESS) {
		mdb_env_close(sp->env);
		sp->env = NULL;
	}
	return rc;
}

/*
 * The readers' slots are written through a mapping, and a page of it that the
 * disk has no room for is a SIGBUS: take the room first.  As large as LMDB
 * makes it for so many readers; it must not be open already, since closing it
 * gives up the locks that LMDB holds on it.
 */
static int make_lock_file(const char *dir)
{
	struct buf path = { 0 };
	int fd, rc;

	buf_addf(&path, "%s/lock.mdb", dir);
	fd = open(buf_cstr(&path), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	rc = fd < 0 ? errno : posix_fallocate(fd, 0, LOCK_BYTES);
	if (fd >= 0)
		close(fd);
	buf_fini(&path);
	return rc;
}

static enum mx_err open_env(struct spool *sp, const char *dir, struct buf *why)
{
	int rc = make_lock_file(dir);

	if (rc != 0)
		return say_mdb(why, buf_cstr(&sp->path), rc);
	rc = ENOMEM;
	for (size_t i = 0; rc == ENOMEM && i < COUNT(map_sizes); i++)
		rc = try_env(sp, dir, MDB_NOTLS, map_sizes[i]);
	return rc == MDB_SUCCESS ? MX_OK
				 : say_mdb(why, buf_cstr(&sp->path), rc);
}

static enum mx_err check_schema(struct spool *sp, MDB_txn *txn, bool create,
				struct buf *why)
{
	char text[16];
	struct span value;
	struct table *meta = &sp->tables[T_META];
	enum mx_err err = table_get_name(meta, txn, SPAN_LIT("schema"), &value);

	snprintf(text, sizeof(text), "%d", SCHEMA_VERSION);
	if (err == MX_ENOENT && create)
		return table_put_name(meta, txn, SPAN_LIT("schema"),
				      span_str(text));
	if (err == MX_OK && span_eq(value, span_str(text)))
		return MX_OK;
	if (err == MX_OK)
		return say(why, buf_cstr(&sp->path),
			   "made by another version of mx20", MX_ECORRUPT);
	return say(why, buf_cstr(&sp->path), "not a spool", MX_ECORRUPT);
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
	uint64_t last = sp->writer.state.last_id;

	for (size_t i = 0; i < COUNT(where); i++) {
		struct place p;
		enum mx_err err =
			place_open(&p, &sp->tables[where[i].table], txn);

		if (err != MX_OK)
			return err;
		err = place_seek_before(&p, NULL);
		if (err == MX_OK && id_of_key(p.key, where[i].at) > last)
			last = id_of_key(p.key, where[i].at);
		place_close(&p);
		if (err != MX_OK && err != MX_ENOENT)
			return err;
	}
	atomic_store(&sp->last_id, last);
	sp->writer.former_id = last;
	return MX_OK;
}

static enum mx_err learn_state(struct spool *sp, MDB_txn *txn)
{
	struct span value;
	enum mx_err err = table_get_name(&sp->tables[T_META], txn,
					 SPAN_LIT("state"), &value);

	if (err == MX_OK && !state_row_get(value, &sp->writer.state))
		err = MX_ECORRUPT;
	if (err == MX_ENOENT)
		err = MX_OK;
	if (err == MX_OK)
		err = learn_ids(sp, txn);
	if (err == MX_OK)
		room_count(sp, txn);
	return err;
}

static enum mx_err open_tables(struct spool *sp, struct buf *why)
{
	MDB_txn *txn = NULL;
	MDB_stat st;
	enum mx_err err = from_mdb(mdb_txn_begin(
		sp->env, NULL, sp->is_reader ? MDB_RDONLY : 0, &txn));

	if (err == MX_OK)
		err = from_mdb(mdb_env_stat(sp->env, &st));
	if (err == MX_OK) {
		sp->page_bytes = st.ms_psize;
		sp->chunk_bytes =
			CHUNK_PAGES_BYTES / sp->page_bytes * sp->page_bytes -
			PAGE_HEADER_BYTES;
		err = tables_open(sp->tables, txn, !sp->is_reader);
	}
	if (err == MX_OK) {
		err = check_schema(sp, txn, !sp->is_reader, why);
		if (err != MX_OK)
			goto done;
		err = learn_state(sp, txn);
	}
	if (err == MX_OK) {
		err = from_mdb(mdb_txn_commit(txn));
		txn = NULL;
	}
	if (err == MX_ENOENT) /* a reader found no tables */
		err = MX_ECORRUPT;
	if (err != MX_OK)
		say(why, buf_cstr(&sp->path), mx_strerror(err), err);
done:
	if (txn != NULL)
		mdb_txn_abort(txn);
	return err;
}

static void free_spool(struct spool *sp)
{
	if (sp->read_txn != NULL)
		mdb_txn_abort(sp->read_txn);
	if (sp->read_env != NULL)
		mdb_env_close(sp->read_env);
	if (sp->env != NULL)
		mdb_env_close(sp->env);
	if (sp->fd >= 0)
		close(sp->fd);
	buf_fini(&sp->path);
	buf_fini(&sp->writer.ready);
	free(sp);
}

static struct spool *spool_alloc(const char *dir)
{
	struct spool *sp = mx_alloc(sizeof(*sp));

	sp->fd = -1;
	buf_addf(&sp->path, "%s/data.mdb", dir);
	return sp;
}

static void start_clock(struct spool *sp)
{
	int64_t last = sp->writer.state.wall_ms, wall = clock_wall_ms();
	int64_t mono = clock_mono_ms(), believed;

	lifetime_init(&sp->life, last, wall, mono);
	believed = lifetime_now(&sp->life, wall, mono);
	atomic_store(&sp->believed_ms, believed);
	if (believed != wall)
		log_warn(EV_SPOOL, LOG_INT("ahead_s", (wall - believed) / 1000),
			 LOG_STR("error",
				 "the clock is ahead of the last "
				 "commit by more than a day: lifetimes "
				 "end when it has run for a day"));
}

enum mx_err spool_open(struct spool **out, struct ev_loop *loop,
		       const struct spool_options *opt, struct buf *why)
{
	struct spool *sp = spool_alloc(opt->path);
	int dead = 0;
	enum mx_err err = make_directory(opt->path, why);

	*out = NULL;
	sp->loop = loop;
	if (err == MX_OK)
		err = lock_data(sp, why);
	if (err == MX_OK)
		err = check_data(sp->fd, buf_cstr(&sp->path), why);
	if (err == MX_OK)
		err = open_env(sp, opt->path, why);
	if (err == MX_OK)
		err = open_tables(sp, why);
	if (err == MX_OK && sync_directory(opt->path) != MX_OK)
		err = say_errno(why, opt->path, "cannot sync the directory");
	if (err != MX_OK) {
		free_spool(sp);
		return err;
	}
	mdb_reader_check(sp->env, &dead);
	mapping_find(sp);
	room_init(sp, opt);
	start_clock(sp);
	err = writer_start(sp);
	if (err != MX_OK) {
		say(why, opt->path, "cannot start the writer", err);
		free_spool(sp);
		return err;
	}
	*out = sp;
	return MX_OK;
}

/* Beside a daemon, which has looked at the file and goes on changing it,
 * there is nothing to check. */
static enum mx_err check_unused(struct spool *sp, struct buf *why)
{
	const char *path = buf_cstr(&sp->path);
	enum mx_err err = MX_OK;
	struct stat st;

	sp->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (sp->fd < 0 || fstat(sp->fd, &st) != 0)
		return say_errno(why, path, "cannot open");
	if (st.st_size == 0)
		return say(why, path, "empty", MX_ENOENT);
	if (flock(sp->fd, LOCK_SH | LOCK_NB) == 0) {
		err = check_data(sp->fd, path, why);
		flock(sp->fd, LOCK_UN);
	}
	return err;
}

enum mx_err spool_open_reader(struct spool **out, const char *path,
			      struct buf *why)
{
	enum { FLAGS = MDB_RDONLY | MDB_NOTLS };
	struct spool *sp = spool_alloc(path);
	enum mx_err err;
	int rc;

	*out = NULL;
	sp->is_reader = true;
	err = check_unused(sp, why);
	if (err != MX_OK) {
		free_spool(sp);
		return err;
	}
	rc = try_env(sp, path, FLAGS, 0);
	/* A directory we may not write has no place for a reader's slot.
	 * Without one, pages may be reused under us: a row may then read as
	 * damaged, and the next look is right again. */
	if (rc == EACCES || rc == EROFS || rc == EPERM)
		rc = try_env(sp, path, FLAGS | MDB_NOLOCK, 0);
	err = rc == MDB_SUCCESS ? open_tables(sp, why)
				: say_mdb(why, buf_cstr(&sp->path), rc);
	if (err != MX_OK) {
		free_spool(sp);
		return err;
	}
	*out = sp;
	return MX_OK;
}

void spool_close(struct spool **spool)
{
	struct spool *sp = *spool;

	if (sp == NULL)
		return;
	*spool = NULL;
	if (!sp->is_reader)
		writer_stop(sp);
	free_spool(sp);
}

/*
 * After a write of the meta page failed LMDB refuses even to read.  Nothing
 * will be written any more, so a second look at the file, without locks, is
 * safe, and what waits can still be listed.
 */
static int reopen_to_read(struct spool *sp)
{
	MDB_env *failed = sp->env;
	MDB_txn *txn = NULL;
	struct buf dir = { 0 };
	uint64_t map = sp->map_bytes;
	int rc;

	buf_add(&dir, span_of(sp->path.p, sp->path.n - strlen("/data.mdb")));
	rc = try_env(sp, buf_cstr(&dir), MDB_RDONLY | MDB_NOTLS | MDB_NOLOCK,
		     0);
	buf_fini(&dir);
	sp->read_env = sp->env;
	sp->env = failed;
	sp->map_bytes = map;
	if (rc == MDB_SUCCESS)
		rc = mdb_txn_begin(sp->read_env, NULL, MDB_RDONLY, &txn);
	if (rc == MDB_SUCCESS && tables_open(sp->tables, txn, false) != MX_OK)
		rc = MDB_CORRUPTED;
	if (txn != NULL)
		mdb_txn_commit(txn); /* keeps the tables open */
	return rc;
}

static int begin(struct spool *sp)
{
	MDB_env *env = sp->read_env != NULL ? sp->read_env : sp->env;
	int rc;

	if (sp->read_txn != NULL)
		return mdb_txn_renew(sp->read_txn);
	rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &sp->read_txn);
	if (rc == MDB_READERS_FULL) {
		mdb_reader_check(env, NULL);
		rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &sp->read_txn);
	}
	if (rc != MDB_SUCCESS)
		sp->read_txn = NULL;
	return rc;
}

enum mx_err read_begin(struct spool *sp, MDB_txn **txn)
{
	int rc = MDB_SUCCESS;

	if (sp->reading == 0)
		rc = begin(sp);
	if (rc == MDB_PANIC && sp->read_env == NULL) {
		mdb_txn_abort(sp->read_txn);
		sp->read_txn = NULL;
		rc = reopen_to_read(sp);
		if (rc == MDB_SUCCESS)
			rc = begin(sp);
	}
	*txn = sp->read_txn;
	if (rc == MDB_SUCCESS)
		sp->reading++; /* more than 1: from a callback of a look */
	return from_mdb(rc);
}

void read_end(struct spool *sp)
{
	if (sp->reading > 0 && --sp->reading == 0)
		mdb_txn_reset(sp->read_txn);
}
