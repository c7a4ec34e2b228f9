/* No room: by quota, by the disk, by a limit of file sizes. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/uio.h>

#include "common/spool/spool_priv.h"
#include "common/spool/pieces.h"
#include "common/spool/room.h"
#include "tests/unit/common/spool/fixture.h"

TestSuite(spool_room, .timeout = 120);

static struct fixture f;

enum { MESSAGE_BYTES = 20000 };

/* Commit messages until one is refused; their ids. */
static size_t fill(uint64_t *ids, size_t max, enum mx_err *refusal)
{
	struct spool_rcpt r = a_rcpt("x@a.example", "a.example");
	struct envelope env = an_envelope();
	size_t n = 0;

	while (n < max) {
		struct spool_draft *d;
		char body[MESSAGE_BYTES];
		unsigned want = f.committed + 1;

		*refusal = spool_draft_new(f.sp, NOW, MESSAGE_BYTES, &d);
		if (*refusal != MX_OK)
			return n;
		memset(body, 'x', sizeof(body));
		spool_draft_write(d, span_of(body, sizeof(body)));
		spool_commit(&d, &env, &r, 1, on_commit, &f);
		turn_until(&f, &f.committed, want);
		*refusal = f.err;
		if (f.err != MX_OK)
			return n;
		ids[n++] = f.id;
	}
	return n;
}

static void drain_all(const uint64_t *ids, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		settle_one_rcpt(&f, ids[i], "a.example", OUTCOME_DELIVERED, 0);
		cr_assert_eq(f.err, MX_OK, "settling %zu of %zu: %s", i, n,
			     mx_strerror(f.err));
	}
}

/* What was accepted drains, and then there is room again. */
static void fill_drain_fill(uint64_t least)
{
	static uint64_t ids[20000];
	enum mx_err err = MX_OK;
	size_t n = fill(ids, COUNT(ids), &err);

	cr_assert_eq(err, MX_ESPACE, "%s after %zu", mx_strerror(err), n);
	cr_assert_gt(n, least);
	fixture_audit(&f);
	drain_all(ids, n);
	fixture_audit(&f);
	/* the writer looks again after a second at most */
	for (int i = 0; i < 30 && spool_room(f.sp, MESSAGE_BYTES) != MX_OK; i++)
		usleep(100000);
	cr_assert_gt(fill(ids, 10, &err), 0);
	fixture_audit(&f);
}

Test(spool_room, quota_is_kept_and_drains)
{
	struct spool_totals t;

	fixture_open(&f);
	spool_set_limits(f.sp, 8 << 20, 0);
	fill_drain_fill(200);
	cr_assert_eq(spool_totals(f.sp, &t), MX_OK);
	cr_assert_leq(t.space.used_bytes, 8 << 20);
	cr_assert_eq(t.space.size_bytes, 8 << 20);
	fixture_close(&f);
}

/* Disk below reserve. */
Test(spool_room, reserve_is_left_on_the_disk)
{
	struct spool_draft *d;

	fixture_open(&f);
	spool_set_limits(f.sp, 1ULL << 40, 1ULL << 60);
	cr_assert_eq(spool_room(f.sp, 1000), MX_ESPACE);
	cr_assert_eq(spool_draft_new(f.sp, NOW, 0, &d), MX_ESPACE);
	/* a report may still be made: it lets mail leave */
	cr_assert_eq(spool_draft_report(f.sp, NOW, 0, &d), MX_OK);
	spool_draft_discard(&d);
	spool_set_limits(f.sp, 1ULL << 40, 0);
	cr_assert_eq(spool_room(f.sp, 1000), MX_OK);
	fixture_close(&f);
}

static void write_bytes(struct spool_draft *d, size_t n)
{
	static const char zeros[64 << 10];

	for (size_t part; n > 0; n -= part) {
		part = n < sizeof(zeros) ? n : sizeof(zeros);
		spool_draft_write(d, span_of(zeros, part));
	}
}

/* Words take no room: what is announced must fit, and is not held. */
Test(spool_room, announcements_hold_nothing)
{
	static struct spool_draft *d[2000];

	fixture_open(&f);
	spool_set_limits(f.sp, 16 << 20, 0);
	cr_expect_eq(spool_room(f.sp, 16 << 20), MX_ESPACE);
	for (size_t i = 0; i < COUNT(d); i++) {
		cr_assert_eq(spool_draft_new(f.sp, NOW, 9 << 20, &d[i]), MX_OK);
		write_bytes(d[i], 300); /* our own field */
	}
	cr_expect_eq(f.sp->room.reserved_bytes, 0);
	cr_expect_eq(spool_room(f.sp, 9 << 20), MX_OK);
	for (size_t i = 0; i < COUNT(d); i++)
		spool_draft_discard(&d[i]);
	fixture_close(&f);
}

/* What came is, once: in memory, with the writer, or stored. */
Test(spool_room, content_is_counted_as_it_comes)
{
	struct spool_draft *a, *b;

	fixture_open(&f);
	spool_set_limits(f.sp, 16 << 20, 0);
	cr_assert_eq(spool_draft_new(f.sp, NOW, 9 << 20, &a), MX_OK);
	write_bytes(a, 100000);
	cr_expect_eq(f.sp->room.reserved_bytes, room_need(100000));
	/* what is stored counts as used before the loop hears of it */
	for (size_t i = 0; i < 9 << 4; i++) {
		write_bytes(a, 64 << 10);
		while (a->handed_bytes > a->stored_bytes + (4 << 20))
			ev_run(f.loop, EVRUN_ONCE);
	}
	cr_assert_eq(spool_draft_error(a), MX_OK);
	cr_expect_eq(spool_draft_new(f.sp, NOW, 9 << 20, &b), MX_ESPACE);
	while (a->stored_bytes < 9 << 20)
		ev_run(f.loop, EVRUN_ONCE);
	cr_expect_eq(f.sp->room.reserved_bytes,
		     room_need(a->bytes - a->stored_bytes));
	cr_expect_eq(spool_draft_new(f.sp, NOW, 9 << 20, &b), MX_ESPACE);
	spool_draft_discard(&a);
	while (f.sp->room.reserved_bytes > 0)
		ev_run(f.loop, EVRUN_ONCE);
	fixture_close(&f);
}

/* Many at a time: whoever comes when half of the memory is held has a page. */
Test(spool_room, many_drafts_share_the_memory)
{
	enum { MANY = 3000 };
	static struct spool_draft *drafts[MANY];
	size_t chunks = 0, pages = 0;

	fixture_open(&f);
	for (size_t i = 0; i < MANY; i++) {
		size_t room;

		cr_assert_eq(spool_draft_new(f.sp, NOW, 1 << 20, &drafts[i]),
			     MX_OK);
		spool_draft_buffer(drafts[i], &room);
		chunks += room > 8192;
		pages += room > 2048 && room <= 4096;
	}
	cr_expect_eq(chunks, (8 << 20) / f.sp->chunk_bytes + 1);
	cr_expect_gt(pages, 2000);
	cr_expect_lt(f.sp->draft_bytes, 18 << 20);
	for (size_t i = 0; i < MANY; i++)
		spool_draft_discard(&drafts[i]);
	cr_expect_eq(f.sp->draft_bytes, 0);
	fixture_close(&f);
}

/* A draft that outgrows its promise is refused, and its pieces go. */
Test(spool_room, growing_draft_is_stopped)
{
	struct spool_rcpt r = a_rcpt("x@a.example", "a.example");
	struct envelope env = an_envelope();
	struct spool_draft *d;
	struct spool_totals t;

	fixture_open(&f);
	spool_set_limits(f.sp, 8 << 20, 0);
	d = draft_with(&f, 1, 20 << 20);
	cr_assert_eq(spool_draft_error(d), MX_ESPACE);
	spool_commit(&d, &env, &r, 1, on_commit, &f);
	cr_assert_null(d);
	cr_assert_eq(f.committed, 0, "not before the call has returned");
	turn_until(&f, &f.committed, 1);
	cr_assert_eq(f.err, MX_ESPACE);
	for (int i = 0; i < 50; i++) {
		cr_assert_eq(spool_totals(f.sp, &t), MX_OK);
		if (t.space.used_bytes < 1 << 20)
			break;
		usleep(100000);
		ev_run(f.loop, EVRUN_NOWAIT);
	}
	cr_expect_lt(t.space.used_bytes, 1 << 20, "its pieces are still there");
	fixture_audit(&f);
	fixture_close(&f);
}

/* A write past the limit is an error of that write, not our end. */
Test(spool_room, file_size_limit)
{
	struct rlimit limit = { 6 << 20, RLIM_INFINITY };

	fixture_open(&f);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	fill_drain_fill(100);
	limit.rlim_cur = RLIM_INFINITY;
	setrlimit(RLIMIT_FSIZE, &limit);
	fixture_close(&f);
}

/* A file system that is full, for real. */
Test(spool_room, full_file_system)
{
	struct spool_options opt = { .size_bytes = 1ULL << 40 };
	struct buf why = { 0 };

	f = (struct fixture){ .size = opt.size_bytes };
	strcpy(f.dir, "build/spool-XXXXXX");
	mkdir("build", 0777);
	cr_assert_not_null(mkdtemp(f.dir));
	if (unshare(CLONE_NEWNS | (geteuid() != 0 ? CLONE_NEWUSER : 0)) != 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", f.dir, "tmpfs", 0, "size=6m") != 0) {
		rmdir(f.dir);
		cr_skip_test("cannot mount a tmpfs here");
	}
	f.loop = ev_loop_new(0);
	opt.path = f.dir;
	cr_assert_eq(spool_open(&f.sp, f.loop, &opt, &why), MX_OK, "%s",
		     buf_cstr(&why));
	fill_drain_fill(100);
	spool_close(&f.sp);
	fixture_reopen(&f);
	fixture_audit(&f);
	spool_close(&f.sp);
	ev_loop_destroy(f.loop);
	umount(f.dir);
	fixture_remove(&f);
}

/* ---- a disk that fails: LMDB's calls go through these ---- */

static int failing; /* 1: flushes, 2: writes of pages, 3: of the meta page;
			4: no space for pages */
static atomic_uint failures;

static bool fails(int how)
{
	bool is_full = failing == 4 && how == 2;

	if (failing != how && !is_full)
		return false;
	failures++;
	errno = is_full ? ENOSPC : EIO;
	return true;
}

int fdatasync(int fd)
{
	return fails(1) ? -1 : fsync(fd);
}

ssize_t writev(int fd, const struct iovec *iov, int n)
{
	return fails(2) ? -1 : pwritev2(fd, iov, n, -1, 0);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	struct iovec iov = { (void *)(uintptr_t)p, n };

	return fails(at < 8192 ? 3 : 2) ? -1 : pwritev(fd, &iov, 1, at);
}

/* After a failed flush nobody knows what is on the disk: nothing more is
 * acknowledged until a restart, and reading goes on. */
static void disk_fails(int how)
{
	struct spool_rcpt r = a_rcpt("x@a.example", "a.example");
	struct envelope env = an_envelope();
	struct spool_draft *d;
	uint64_t id, ids[4];

	fixture_open(&f);
	id = put_simple(&f, "a.example");
	failing = how;
	d = draft_with(&f, 2, 9000);
	spool_commit(&d, &env, &r, 1, on_commit, &f);
	turn_until(&f, &f.committed, 2);
	cr_assert_eq(f.err, MX_EIO);
	failing = 0;
	cr_assert_eq(spool_draft_new(f.sp, NOW, 0, &d), MX_EIO);
	cr_assert_eq(spool_room(f.sp, 0), MX_EIO);
	settle_one_rcpt(&f, id, "a.example", OUTCOME_DELIVERED, 0);
	cr_assert_eq(f.err, MX_EIO);
	cr_assert_eq(ready_in(f.sp, SPAN_LIT("a.example"), 0, ids, 4), 1);
	check_content(&f, id, 1, 300, 1000);
	spool_close(&f.sp);
	fixture_reopen(&f);
	cr_assert_eq(ready_in(f.sp, SPAN_LIT("a.example"), 0, ids, 4), 1);
	put_simple(&f, "a.example");
	fixture_audit(&f);
	fixture_close(&f);
}

Test(spool_room, failed_flush)
{
	disk_fails(1);
}

Test(spool_room, failed_write)
{
	disk_fails(2);
}

Test(spool_room, failed_meta_write)
{
	disk_fails(3);
}

/* The writer is through with all it was given, and the loop has not heard. */
static bool is_all_answered(struct spool *sp)
{
	const struct request *r;
	size_t n = 0;

	pthread_mutex_lock(&sp->queue.lock);
	STAILQ_FOREACH (r, &sp->queue.done, link)
		n++;
	pthread_mutex_unlock(&sp->queue.lock);
	return n == sp->queue.pending;
}

/*
 * A piece in the middle finds no room, and then there is room again.  The seal
 * follows before the loop has heard of it: it must not go through, or a
 * message with a hole would be acknowledged.
 */
Test(spool_room, a_lost_piece_is_not_sealed)
{
	struct spool_rcpt r = a_rcpt("x@a.example", "a.example");
	struct envelope env = an_envelope();
	struct spool_draft *d;

	fixture_open(&f);
	d = draft_with(&f, 1, 2 << 20);
	while (d->stored_bytes == 0)
		ev_run(f.loop, EVRUN_ONCE);
	failing = 4;
	for (int i = 0; i < 2000; i++) {
		char piece[1500] = { 0 };

		spool_draft_write(d, span_of(piece, sizeof(piece)));
	}
	while (failures == 0 || !is_all_answered(f.sp))
		usleep(1000);
	failing = 0;
	spool_commit(&d, &env, &r, 1, on_commit, &f);
	turn_until(&f, &f.committed, 1);
	cr_assert_eq(f.err, MX_ESPACE, "%s", mx_strerror(f.err));
	fixture_audit(&f);
	fixture_close(&f);
}

static void put_announced(size_t bytes)
{
	struct spool_rcpt r = a_rcpt("u@a.example", "a.example");
	struct envelope env = an_envelope();
	struct spool_draft *d;
	unsigned want = f.committed + 1;

	cr_assert_eq(spool_draft_new(f.sp, NOW, bytes, &d), MX_OK);
	for (size_t i = 0; i < bytes / 10; i++)
		spool_draft_write(d, SPAN_LIT("content \r\n"));
	spool_commit(&d, &env, &r, 1, on_commit, &f);
	turn_until(&f, &f.committed, want);
	cr_assert_eq(f.err, MX_OK);
}

/* More than 80 % of what can be used is: tight.  The quota's last part is for
 * deletions: full. */
Test(spool_room, is_tight_before_it_is_full)
{
	struct spool_space s;
	enum spool_pressure seen[3] = { SPOOL_FAILED };
	size_t n = 0;

	fixture_open(&f);
	spool_set_limits(f.sp, 4 << 20, 0);
	for (int i = 0; i < 100 && n < 3; i++) {
		spool_space_get(f.sp, &s);
		cr_assert_not(s.is_disk);
		if (n == 0 || seen[n - 1] != s.pressure)
			seen[n++] = s.pressure;
		if (s.pressure == SPOOL_TIGHT)
			cr_expect_gt(s.used_bytes, 3 << 20);
		if (s.pressure != SPOOL_FULL)
			put_announced(60000);
	}
	cr_assert_eq(n, 3);
	cr_expect_eq(seen[0], SPOOL_ROOMY);
	cr_expect_eq(seen[1], SPOOL_TIGHT);
	cr_expect_eq(seen[2], SPOOL_FULL);
	fixture_close(&f);
}
