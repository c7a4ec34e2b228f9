#include "common/spool/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/spool/check.h"
#include "common/spool/env.h"

/*
 * The daemon's lock is a flock on the directory: it vanishes with the
 * process, and a copy of the directory does not carry it along.
 *
 * What the page cache holds is not trusted after a failed flush or a killed
 * daemon: the file is flushed, then dropped from the cache, so that what LMDB
 * reads is what the disk has.
 */
enum {
	LOCK_BYTES = 8192, /* of 126 readers' slots, and a header */
	CHECK_BUDGET_MS = 25,
};

enum mx_err disk_say(struct buf *why, const char *path, const char *what,
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
			return disk_say(why, path, "cannot sync its parent",
					err);
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

static enum mx_err take_lock(struct spool *sp, const char *dir, struct buf *why)
{
	MX_ASSERT(sp->lock_fd < 0 && sp->env == NULL);
	sp->lock_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (sp->lock_fd < 0)
		return say_errno(why, dir, "cannot open");
	if (wait_for_lock(sp->lock_fd))
		return MX_OK;
	if (errno == EWOULDBLOCK)
		return disk_say(why, dir, "another mx20d uses it", MX_EBUSY);
	return say_errno(why, dir, "cannot lock");
}

/* A disk that is not mounted, or a path that is mistyped, looks like a first
 * start; slots that were left behind do not. */
static void tell_of_new(const char *dir, const char *path)
{
	struct buf slots = { 0 };
	struct stat st;

	buf_addf(&slots, "%s/lock.mdb", dir);
	if (lstat(buf_cstr(&slots), &st) == 0)
		log_error(EV_SPOOL, LOG_STR("path", path),
			  LOG_STR("error", "it is gone or empty, and there had "
					   "been one"),
			  LOG_STR("made", "an empty one"));
	else
		log_info(EV_SPOOL, LOG_STR("path", path),
			 LOG_STR("made", "an empty one"));
	buf_fini(&slots);
}

/*
 * A new spool is made beside its place and moved there when it is durable: a
 * power cut leaves a whole one or none.
 */
static enum mx_err make_data(struct spool *sp, const char *dir,
			     struct buf *why)
{
	struct buf room = { 0 }, file = { 0 };
	const char *path = buf_cstr(&sp->path), *from, *in;
	struct stat st;
	enum mx_err err;

	buf_addf(&room, "%s/new", dir);
	buf_addf(&file, "%s/new/data.mdb", dir);
	in = buf_cstr(&room);
	from = buf_cstr(&file);
	unlink(from); /* of an attempt before this one */
	if (stat(path, &st) == 0 && st.st_size > 0)
		err = MX_OK;
	else if (lstat(path, &st) == 0 ? st.st_size > 0 : errno != ENOENT)
		/* it is there, and must not be replaced */
		err = say_errno(why, path, "cannot be looked at");
	else if (mkdir(in, 0700) != 0 && errno != EEXIST)
		err = say_errno(why, in, "cannot create");
	else if ((err = env_make(in)) != MX_OK)
		disk_say(why, from, mx_strerror(err), err);
	else if (rename(from, path) != 0 || fsync(sp->lock_fd) != 0)
		err = say_errno(why, path, "cannot create");
	else
		tell_of_new(dir, path);
	rmdir(in);
	buf_fini(&room);
	buf_fini(&file);
	return err;
}

static enum mx_err open_data(struct spool *sp, struct buf *why)
{
	const char *path = buf_cstr(&sp->path);

	sp->fd = open(path, O_RDWR | O_CLOEXEC);
	if (sp->fd < 0)
		return say_errno(why, path, "cannot open");
	if (fsync(sp->fd) != 0)
		return say_errno(why, path, "the disk fails");
	posix_fadvise(sp->fd, 0, 0, POSIX_FADV_DONTNEED);
	return MX_OK;
}

static enum mx_err check_data(int fd, const char *path, bool is_moving,
			      struct buf *why)
{
	struct buf what = { 0 };
	enum mx_err err = (is_moving ? check_moving_file
				     : check_file)(fd, CHECK_BUDGET_MS, &what);

	if (err != MX_OK)
		disk_say(why, path,
			 what.n > 0 ? buf_cstr(&what) : mx_strerror(err), err);
	buf_fini(&what);
	return err;
}

/*
 * The readers' slots are written through a mapping, and a page of it that the
 * disk has no room for is a SIGBUS: take the room first.  As large as LMDB
 * makes it for so many readers; it must not be open already, since closing it
 * gives up the locks that LMDB holds on it.
 */
static enum mx_err make_lock_file(const char *dir, struct buf *why)
{
	struct buf path = { 0 };
	int fd, rc;

	buf_addf(&path, "%s/lock.mdb", dir);
	fd = open(buf_cstr(&path), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
		  0600);
	rc = fd < 0 ? errno : posix_fallocate(fd, 0, LOCK_BYTES);
	if (fd >= 0)
		close(fd);
	errno = rc;
	if (rc != 0)
		say_errno(why, buf_cstr(&path), "cannot be made");
	buf_fini(&path);
	return mx_from_errno(rc);
}

enum mx_err disk_take(struct spool *sp, const char *dir, struct buf *why)
{
	enum mx_err err = make_directory(dir, why);

	if (err == MX_OK)
		err = take_lock(sp, dir, why);
	if (err == MX_OK)
		err = make_data(sp, dir, why);
	if (err == MX_OK)
		err = open_data(sp, why);
	if (err == MX_OK)
		err = check_data(sp->fd, buf_cstr(&sp->path), false, why);
	return err == MX_OK ? make_lock_file(dir, why) : err;
}

/* ---- For a reader ---- */

/*
 * Root reads what another user could have laid there, and LMDB makes a lock
 * file that is missing and writes into one that is not what it seems: as that
 * user, who gains nothing by it, and the daemon can open what was made.
 */
static enum mx_err become_owner(const char *dir, const struct stat *st,
				struct buf *why)
{
	if (geteuid() != 0)
		return MX_OK;
	if (st->st_uid == 0)
		return (st->st_mode & (S_IWGRP | S_IWOTH)) == 0
			       ? MX_OK
			       : disk_say(why, dir,
					  "is root's and others may write "
					  "there: not looked at as root",
					  MX_EINVAL);
	if (setgroups(0, NULL) != 0 ||
	    setresgid(st->st_gid, st->st_gid, st->st_gid) != 0 ||
	    setresuid(st->st_uid, st->st_uid, st->st_uid) != 0)
		return say_errno(why, dir, "cannot become its owner");
	return MX_OK;
}

static enum mx_err enter(struct spool *sp, const char *dir, struct buf *why)
{
	struct stat st;

	sp->lock_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (sp->lock_fd >= 0 && fstat(sp->lock_fd, &st) == 0)
		return become_owner(dir, &st, why);
	/* one that may be passed through, not listed, has no lock for us */
	return errno == EACCES && stat(dir, &st) == 0
		       ? MX_OK
		       : say_errno(why, dir, "cannot open");
}

/* LMDB opens it by itself. */
static enum mx_err look_at_slots(const char *dir, struct buf *why)
{
	struct buf path = { 0 };
	enum mx_err err = MX_OK;
	struct stat st;

	buf_addf(&path, "%s/lock.mdb", dir);
	if (lstat(buf_cstr(&path), &st) == 0 && !S_ISREG(st.st_mode))
		err = disk_say(why, buf_cstr(&path), "is not a regular file",
			       MX_ECORRUPT);
	buf_fini(&path);
	return err;
}

static enum mx_err look_at_data(struct spool *sp, struct buf *why)
{
	const char *path = buf_cstr(&sp->path);
	bool is_still;
	enum mx_err err;
	struct stat st;

	sp->fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (sp->fd < 0 || fstat(sp->fd, &st) != 0)
		return say_errno(why, path, "cannot open");
	if (!S_ISREG(st.st_mode))
		return disk_say(why, path, "is not a regular file",
				MX_ECORRUPT);
	if (st.st_size == 0)
		return disk_say(why, path, "empty", MX_ENOENT);
	is_still =
		sp->lock_fd >= 0 && flock(sp->lock_fd, LOCK_SH | LOCK_NB) == 0;
	err = check_data(sp->fd, path, !is_still, why);
	if (is_still)
		flock(sp->lock_fd, LOCK_UN);
	return err;
}

enum mx_err disk_look(struct spool *sp, const char *dir, struct buf *why)
{
	enum mx_err err = enter(sp, dir, why);

	if (err == MX_OK)
		err = look_at_slots(dir, why);
	return err == MX_OK ? look_at_data(sp, why) : err;
}
