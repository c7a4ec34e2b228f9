/* How often the disk is flushed, and how much is written in between. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "common/base/metrics.h"
#include "tests/unit/common/spool/mirrored.h"

static struct mirrored w;
static struct fixture *const f = &w.f;

/* ---- a disk whose flushes are ours: LMDB calls this one ---- */

static _Atomic unsigned flushes;
static _Atomic long flush_ms;
static pthread_mutex_t disk = PTHREAD_MUTEX_INITIALIZER;

int fdatasync(int fd)
{
	const struct timespec t = { .tv_nsec = flush_ms * 1000000 };

	(void)fd;
	nanosleep(&t, NULL);
	pthread_mutex_lock(&disk);
	pthread_mutex_unlock(&disk);
	flushes++;
	return 0;
}

/* Asked to begin. */
static _Atomic unsigned asked;

int sync_file_range(int fd, off_t from, off_t n, unsigned how)
{
	(void)fd;
	(void)from;
	(void)n;
	asked += how == SYNC_FILE_RANGE_WRITE;
	return 0;
}

static void setup(void)
{
	fixture_open(f);
	put_simple(f, "example.com"); /* the writer's first look is over */
}

static void teardown(void)
{
	fixture_close(f);
}

TestSuite(spool_flush, .init = setup, .fini = teardown, .timeout = 120);

static unsigned commits(void)
{
	struct metrics now;

	metrics_read(&now);
	return (unsigned)metrics_up_to(&now, METRIC_COMMIT,
				       metric_get(METRIC_COMMIT)->count);
}

static void write_some(struct spool_draft *d, size_t n)
{
	static const char piece[16 << 10];

	for (; n >= sizeof(piece); n -= sizeof(piece))
		spool_draft_write(d, span_of(piece, sizeof(piece)));
}

static struct spool_draft *a_draft(void)
{
	struct spool_draft *d = NULL;

	cr_assert_eq(spool_draft_new(f->sp, NOW, 0, &d), MX_OK);
	return d;
}

static void seal(struct spool_draft *d)
{
	struct spool_rcpt r = a_rcpt("b@example.com", "example.com");
	struct envelope env = an_envelope();
	unsigned want = f->committed + 1;

	spool_commit(&d, &env, &r, 1, on_commit, f);
	turn_until(f, &f->committed, want);
	cr_assert_eq(f->err, MX_OK);
}

/* A transaction with content alone is flushed once, the others twice; how many
 * had content alone. */
static unsigned once_flushed(unsigned flushed, unsigned committed)
{
	return 2 * (commits() - committed) - (flushes - flushed);
}

/* Until there is a commit, write content. */
static void fill_a_transaction(struct spool_draft *d)
{
	const unsigned before = commits();

	write_some(d, 4 << 20);
	while (commits() == before)
		ev_run(f->loop, EVRUN_ONCE);
}

/* What nobody was promised may be taken back by a power cut; the seal of its
 * message is flushed, twice, and all that came before it. */
Test(spool_flush, content_alone_is_flushed_once)
{
	const unsigned flushed = flushes, committed = commits();
	struct spool_draft *d = a_draft();

	fill_a_transaction(d);
	seal(d);
	cr_expect_gt(once_flushed(flushed, committed), 0);
	/* the last commit was not one of those */
	cr_expect_eq(once_flushed(flushed, committed),
		     commits() - committed - 1);
}

Test(spool_flush, small_message_is_flushed_twice)
{
	const unsigned flushed = flushes, committed = commits();

	put_simple(f, "example.com");
	cr_expect_eq(once_flushed(flushed, committed), 0);
	cr_expect_gt(commits(), committed);
}

/* It has what was committed, and must not be ahead of the disk. */
Test(spool_flush, content_is_flushed_twice_beside_a_mirror)
{
	struct spool_draft *d = a_draft();
	unsigned flushed, committed;

	fake_mirror_init(&w.m);
	mirror_start(&w, SPOOL_AWAY_ACCEPT);
	put_simple(f, "example.com");
	flushed = flushes;
	committed = commits();
	fill_a_transaction(d);
	seal(d);
	cr_expect_geq(flushes - flushed, 2 * (commits() - committed));
	spool_close(&f->sp);
	fake_mirror_fini(&w.m);
}

/* How much content is taken while the disk stands. */
static size_t taken_while_it_stands(struct spool_draft *d)
{
	size_t n = 0;

	pthread_mutex_lock(&disk);
	while (!spool_is_busy(f->sp)) {
		write_some(d, 64 << 10);
		n += 64 << 10;
	}
	pthread_mutex_unlock(&disk);
	return n;
}

/* Enough commits to know the disk by. */
static void get_to_know_the_disk(void)
{
	for (int i = 0; i < 16; i++)
		put_simple(f, "example.com");
}

/* The same, of a disk that is fast: a machine with much to do may make it look
 * slow for a while. */
static size_t taken_of_a_fast_disk(size_t much)
{
	size_t n = much;

	for (int tries = 0; tries < 10 && n >= much; tries++) {
		struct spool_draft *d = a_draft();

		n = taken_while_it_stands(d);
		seal(d);
		get_to_know_the_disk();
	}
	return n;
}

/* It does not stand still while a transaction is copied: what its flush finds
 * is being written. */
Test(spool_flush, slow_disk_begins_before_the_flush)
{
	struct spool_draft *d;
	unsigned before;

	flush_ms = 5;
	get_to_know_the_disk();
	cr_expect_eq(asked, 0); /* for small ones the flush will do */
	d = a_draft();
	pthread_mutex_lock(&disk);
	while (!spool_is_busy(f->sp))
		write_some(d, 64 << 10);
	while (asked == 0) /* the flush is under way, and stands */
		sched_yield();
	pthread_mutex_unlock(&disk);
	seal(d);
	before = asked;
	get_to_know_the_disk();
	cr_expect_leq(asked, before + 1); /* that may be on its way */
}

/* Two flushes for each 3 MiB would be all that a slow disk does. */
Test(spool_flush, slow_disk_gets_more_at_a_time)
{
	enum { MUCH = 40 << 20, MOST_COMMITS = 5 };
	struct spool_draft *d;
	unsigned before;

	cr_expect_lt(taken_of_a_fast_disk(MUCH), MUCH);
	flush_ms = 5;
	get_to_know_the_disk();
	d = a_draft();
	before = commits();
	cr_expect_gt(taken_while_it_stands(d), MUCH);
	seal(d);
	cr_expect_leq(commits() - before, MOST_COMMITS);
}

/* Who was killed between a commit and its second flush. */
Test(spool_flush, what_was_left_is_flushed_at_the_start)
{
	unsigned flushed;

	spool_close(&f->sp);
	flushed = flushes;
	fixture_reopen(f);
	cr_expect_gt(flushes, flushed);
}
