/* A damaged file is refused or its rows are; nothing ever crashes. */
#include <fcntl.h>
#include <sys/wait.h>

#include "common/base/log.h"
#include "common/spool/check.h"
#include "tests/support/spool_audit.h"
#include "tests/unit/common/spool/fixture.h"

TestSuite(spool_damage, .timeout = 300);

enum { PAGE = 4096 };

static struct fixture f;
static char path[128];
static struct buf good;

/* A spool with rows in every table, and its file in memory. */
static void make_sample(void)
{
	struct spool_rcpt r[] = { a_rcpt("x@a.example", "a.example"),
				  a_rcpt("y@b.example", "b.example") };
	struct spool_target t = { .name = "mx[192.0.2.1]:25" };
	struct spool_draft *d;
	uint64_t id;
	int fd;

	fixture_open(&f);
	for (uint64_t i = 0; i < 60; i++)
		id = put_message(&f, i, i % 7 == 0 ? 150000 : 3000, r, 2);
	settle_one_rcpt(&f, id, "a.example", OUTCOME_TRANSIENT, NOW + 100);
	id = put_message(&f, 1, 3000, r, 2);
	settle_one_rcpt(&f, id, "a.example", OUTCOME_HELD, 0);
	spool_target_put(f.sp, &t);
	spool_fact_put(f.sp, SPAN_LIT("rcpt:x"), SPAN_LIT("yes"));
	d = draft_with(&f, 3, 400000);
	put_message(&f, 1, 100, r, 1);
	spool_draft_discard(&d);
	spool_close(&f.sp);
	snprintf(path, sizeof(path), "%s/data.mdb", f.dir);
	fd = open(path, O_RDONLY);
	cr_assert_geq(fd, 0);
	for (ssize_t n = 1; n > 0;) {
		n = read(fd, buf_reserve(&good, 65536), 65536);
		cr_assert_geq(n, 0);
		good.n += (size_t)n;
	}
	close(fd);
}

static void write_file(const char *bytes, size_t n)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CREAT, 0600);

	cr_assert_geq(fd, 0);
	while (n > 0) {
		ssize_t w = write(fd, bytes, n);

		cr_assert_gt(w, 0);
		bytes += w;
		n -= (size_t)w;
	}
	close(fd);
}

static bool load_unit(const struct unit *u, void *arg)
{
	struct buf b = { 0 };

	(void)arg;
	spool_content(f.sp, u->envelope.id, 0, 1 << 20, &b);
	buf_fini(&b);
	return true;
}

/* Everything a daemon does, whatever comes of it. */
static void use(void)
{
	struct spool_rcpt r = a_rcpt("x@a.example", "a.example");
	struct settlement s = { .outcome = OUTCOME_DELIVERED };
	struct spool_selection all = { .domain = SPAN_LIT("b.example") };
	struct envelope env = an_envelope();
	struct spool_draft *d;
	struct buf why = { 0 };
	uint64_t ids[100];
	size_t n = 0;

	spool_list(f.sp, SPAN_LIT(""), 0, load_unit, NULL);
	spool_audit(f.sp, &why);
	if (spool_draft_new(f.sp, NOW, 0, &d) == MX_OK) {
		spool_draft_write(d, SPAN_LIT("hello"));
		spool_commit(&d, &env, &r, 1, on_commit, &f);
		turn_until(&f, &f.committed, 1);
	}
	(void)spool_ready(f.sp, SPAN_LIT("a.example"), 0, ids, 100, &n);
	for (size_t i = 0; i < n; i++)
		spool_settle(f.sp, ids[i], SPAN_LIT("a.example"), &s, 1, NOW, 0,
			     NULL, on_settled, &f);
	turn_until(&f, &f.done, (unsigned)n);
	spool_requeue_due(f.sp, NOW + 1000);
	spool_remove(f.sp, all, on_counted, &f);
	turn_until(&f, &f.counted, 1);
	buf_fini(&why);
}

/* In a child: OPENED, or REFUSED with a sentence.  Anything else, a signal too,
 * is a fault.  (A sanitizer ends with 1.) */
enum { OPENED = 40, REFUSED = 41, WRONG = 42 };

static int try_open(void)
{
	struct spool_options opt = { .path = f.dir, .size_bytes = 1 << 28 };
	struct buf why = { 0 };
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		enum mx_err err;

		log_set_level(LOG_LEVEL_ERROR);
		alarm(20);
		f.committed = f.done = f.counted = 0;
		f.loop = ev_loop_new(0);
		err = spool_open(&f.sp, f.loop, &opt, &why);
		if (err != MX_OK)
			_exit(err == MX_ECORRUPT && why.n > 10 ? REFUSED
							       : WRONG);
		use();
		spool_close(&f.sp);
		_exit(OPENED);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		return -WTERMSIG(status);
	return WEXITSTATUS(status);
}

Test(spool_damage, sample_is_sound)
{
	make_sample();
	cr_assert_eq(try_open(), OPENED);
	fixture_remove(&f);
}

/* Cut off anywhere: refused, or what is left is whole. */
Test(spool_damage, truncated)
{
	static const size_t at[] = { 1,	   16,	 100,	4095,  4096,  5000,
				     8191, 8192, 12288, 40960, 409600 };

	make_sample();
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		write_file(good.p, at[i]);
		cr_expect_eq(try_open(), REFUSED, "cut at %zu", at[i]);
	}
	write_file(good.p, 0);
	cr_expect_eq(try_open(), OPENED, "an empty file is a new spool");
	fixture_remove(&f);
}

Test(spool_damage, not_a_spool)
{
	char text[20000];

	make_sample();
	memset(text, 'x', sizeof(text));
	write_file(text, sizeof(text));
	cr_expect_eq(try_open(), REFUSED);
	memset(text, 0, sizeof(text));
	write_file(text, sizeof(text));
	cr_expect_eq(try_open(), REFUSED);
	fixture_remove(&f);
}

static uint32_t rnd(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Bytes changed in the pages that LMDB follows. */
static void flip(char *bytes, uint32_t *seed)
{
	size_t pages = good.n / PAGE;
	unsigned n = 1 + rnd(seed) % 4;

	for (unsigned i = 0; i < n; i++) {
		size_t page = rnd(seed) % pages;
		size_t at = page * PAGE + rnd(seed) % (i % 2 ? PAGE : 64);

		bytes[at] = (char)(bytes[at] ^ (1 << rnd(seed) % 8));
	}
}

/* A page that is zero, or another's. */
static void misplace(char *bytes, uint32_t *seed)
{
	size_t pages = good.n / PAGE;
	char *to = bytes + rnd(seed) % pages * PAGE;
	const char *from = good.p + rnd(seed) % pages * PAGE;

	if (rnd(seed) % 2)
		memset(to, 0, PAGE);
	else
		memcpy(to, from, PAGE);
}

static void many(void (*harm)(char *bytes, uint32_t *seed), unsigned rounds,
		 uint32_t seed)
{
	char *bytes = malloc(good.n);

	for (unsigned i = 0; i < rounds; i++) {
		int got;

		memcpy(bytes, good.p, good.n);
		harm(bytes, &seed);
		write_file(bytes, good.n);
		got = try_open();
		cr_expect(got == OPENED || got == REFUSED, "round %u: %d", i,
			  got);
	}
	free(bytes);
}

/* ROUNDS=5000 SEED=7 test_damage: a longer search elsewhere. */
static unsigned number(const char *name, unsigned otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

Test(spool_damage, flipped_bits)
{
	make_sample();
	many(flip, number("ROUNDS", 60), number("SEED", 1));
	fixture_remove(&f);
}

Test(spool_damage, misplaced_pages)
{
	make_sample();
	many(misplace, number("ROUNDS", 40), number("SEED", 2));
	fixture_remove(&f);
}

static enum mx_err check_for(int64_t budget_ms)
{
	int fd = open(path, O_RDONLY);
	enum mx_err err;

	cr_assert_geq(fd, 0);
	err = check_file(fd, budget_ms, NULL);
	close(fd);
	return err;
}

/* The machine is busy and there is no time: what is small is looked at whole
 * all the same. */
Test(spool_damage, small_is_checked_whole)
{
	uint32_t seed = 2;
	char *bytes;

	make_sample();
	bytes = malloc(good.n);
	for (unsigned i = 0; i < 40; i++) {
		memcpy(bytes, good.p, good.n);
		misplace(bytes, &seed);
		write_file(bytes, good.n);
		cr_expect_eq(check_for(-1), check_for(60000), "round %u", i);
	}
	free(bytes);
	fixture_remove(&f);
}

/* The disk that holds the file is not mounted: no new spool in its place. */
Test(spool_damage, dangling_link_is_not_replaced)
{
	struct spool_options opt = { .size_bytes = 1 << 28 };
	struct buf why = { 0 };
	struct stat st;

	mkdir("build", 0777);
	f = (struct fixture){ .dir = "build/spool-XXXXXX" };
	cr_assert_not_null(mkdtemp(f.dir));
	snprintf(path, sizeof(path), "%s/data.mdb", f.dir);
	cr_assert_eq(symlink("elsewhere/data.mdb", path), 0);
	f.loop = ev_loop_new(0);
	opt.path = f.dir;
	cr_assert_neq(spool_open(&f.sp, f.loop, &opt, &why), MX_OK);
	cr_expect(strstr(buf_cstr(&why), path) != NULL, "%s", buf_cstr(&why));
	cr_expect_eq(lstat(path, &st), 0);
	cr_expect(S_ISLNK(st.st_mode));
	buf_fini(&why);
	ev_loop_destroy(f.loop);
	fixture_remove(&f);
}
