#include "daemon/tables/job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "config/value/value.h"

/* So much is written between two looks at the room on the disk. */
enum { LOOK_BYTES = 4 << 20 };

struct job *job_new(struct feed *feed, struct span folder,
		    const atomic_bool *is_over)
{
	struct job *j = mx_alloc(sizeof(*j));
	struct buf path = { 0 };

	j->feed = feed_ref(feed);
	j->fd = -1;
	j->is_over = is_over;
	copy_path(&path, folder, span_str(feed_url(feed)));
	j->path = mx_strdup(buf_cstr(&path));
	buf_adds(&path, ".new");
	j->new_path = mx_strdup(buf_cstr(&path));
	buf_fini(&path);
	return j;
}

struct span job_copy_name(const struct job *j)
{
	return span_str(strrchr(j->path, '/') + 1);
}

static void close_new(struct job *j)
{
	if (j->fd >= 0)
		close(j->fd);
	j->fd = -1;
	unlink(j->new_path); /* there is none if it was kept */
}

void job_free(struct job **jp)
{
	struct job *j = *jp;

	*jp = NULL;
	if (j == NULL)
		return;
	download_cancel(&j->download);
	if (j->tls != NULL)
		tls_client_ctx_unref(&j->tls);
	close_new(j);
	table_free(&j->table);
	copy_head_fini(&j->head);
	copy_head_fini(&j->has);
	copy_head_fini(&j->comes);
	feed_unref(&j->feed);
	free(j->path);
	free(j->new_path);
	free(j);
}

/* ---- What comes ---- */

static bool has_room(const struct job *j)
{
	struct statvfs vfs;

	if (fstatvfs(j->fd, &vfs) != 0 ||
	    (uint64_t)vfs.f_bavail * vfs.f_frsize > j->reserve_bytes)
		return true;
	errno = ENOSPC;
	return false;
}

static bool write_all(struct job *j, struct span piece)
{
	while (piece.n > 0) {
		ssize_t n = write(j->fd, piece.p, piece.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		piece = span_skip(piece, (size_t)n);
	}
	return true;
}

static bool begin(struct span etag, struct span modified, void *arg)
{
	struct job *j = arg;
	struct buf head = { 0 };
	bool ok;

	copy_head_fini(&j->comes);
	buf_add(&j->comes.etag, etag);
	buf_add(&j->comes.modified, modified);
	j->comes.is_forced = j->is_forced;
	copy_head_add(&head, span_str(feed_url(j->feed)), &j->comes);
	j->unlooked_bytes = 0;
	unlink(j->new_path); /* one that a crash left, or somebody laid */
	j->fd = open(j->new_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		     0600);
	ok = j->fd >= 0 && has_room(j) && write_all(j, buf_span(&head));
	buf_fini(&head);
	return ok;
}

static bool take(struct span piece, void *arg)
{
	struct job *j = arg;

	j->unlooked_bytes += piece.n;
	if (j->unlooked_bytes >= LOOK_BYTES) {
		j->unlooked_bytes = 0;
		if (!has_room(j))
			return false;
	}
	return write_all(j, piece);
}

/* ---- What becomes of it ---- */

static void fail(struct job *j, struct span why, bool is_doubted)
{
	if (!feed_fail(j->feed, why, is_doubted, clock_wall_ms()))
		return;
	log_warn(EV_TABLE, LOG_STR("source", feed_shown(j->feed)),
		 LOG_SPAN("error", why),
		 LOG_STR("remedy",
			 is_doubted ? "the former table stays; mend it, or, "
				      "if this is meant: mx20ctl reload --force"
				    : "it is fetched again by itself"));
}

/* It is how things are, as of now. */
static void confirm(struct job *j)
{
	struct feed_state was;

	feed_state(j->feed, SPAN_LIT(""), &was);
	(void)utimensat(AT_FDCWD, j->path, NULL, 0);
	feed_confirm(j->feed, clock_wall_ms());
	if (was.failed_ms != 0)
		log_info(EV_TABLE, LOG_STR("source", feed_shown(j->feed)),
			 LOG_INT("recipients", was.count),
			 LOG_STR("changed", "no"));
}

static bool sync_folder(const char *path)
{
	struct buf folder = { 0 };
	bool ok;
	int fd;

	buf_add(&folder, value_dir(span_str(path)));
	fd = open(buf_cstr(&folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ok = fd >= 0 && fsync(fd) == 0;
	if (fd >= 0)
		close(fd);
	buf_fini(&folder);
	return ok;
}

/* In force all the same if not: only a restart has the former one. */
static void keep(struct job *j)
{
	if (fsync(j->fd) == 0 && rename(j->new_path, j->path) == 0 &&
	    sync_folder(j->path))
		return;
	log_warn(EV_TABLE, LOG_STR("source", feed_shown(j->feed)),
		 LOG_STR("error", strerror(errno)),
		 LOG_STR("remedy", "it is in force, but cannot be kept for a "
				   "restart: see to the spool's disk"));
}

static void judge(struct job *j)
{
	struct span url = span_str(feed_url(j->feed));
	struct buf why = { 0 };
	struct table *t =
		table_read(j->new_path, url, &j->head, j->is_over, &why);

	if (t != NULL && feed_doubts(j->feed, t, &why))
		table_free(&t);
	if (t == NULL) {
		if (why.n == 0)
			buf_adds(&why, "is gone from the spool's folder");
		copy_head_fini(&j->head);
		if (!atomic_load(j->is_over))
			fail(j, buf_span(&why), true);
	} else {
		keep(j);
		j->table = t;
	}
	buf_fini(&why);
}

static void on_end(const struct download_result *r, void *arg)
{
	struct job *j = arg;

	j->download = NULL;
	tls_client_ctx_unref(&j->tls);
	j->failures = r->end == DOWNLOAD_FAILED ? j->failures + 1 : 0;
	/* the word is kept for what comes, but not against a later one */
	if (r->end == DOWNLOAD_FAILED && j->is_forced && !j->wants_again)
		j->wants_force = true;
	if (r->end == DOWNLOAD_FAILED)
		fail(j, r->why, r->is_page);
	else if (r->end == DOWNLOAD_SAME)
		confirm(j);
	else
		judge(j);
	close_new(j);
	j->done(j, r->retry_after_ms, j->done_arg);
}

void job_forget(struct job *j)
{
	table_free(&j->table);
	copy_head_fini(&j->head);
}

void job_start(struct job *j, struct downloads *d, struct tls_client_ctx *tls,
	       job_cb *done, void *arg)
{
	struct download_request req = {
		.url = feed_url(j->feed),
		.tls = tls,
		.begin = begin,
		.take = take,
		.arg = j,
	};

	MX_ASSERT(j->download == NULL && j->table == NULL);
	j->done = done;
	j->done_arg = arg;
	j->is_forced = j->wants_force;
	j->wants_force = false;
	copy_head_fini(&j->has);
	if (!j->is_forced)
		feed_head(j->feed, &j->has);
	req.etag = buf_span(&j->has.etag);
	req.modified = buf_span(&j->has.modified);
	j->tls = tls_client_ctx_ref(tls);
	j->download = download_start(d, &req, on_end);
}
