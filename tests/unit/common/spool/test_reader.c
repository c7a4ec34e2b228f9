/* mx20ctl's view: beside a daemon, without one, and without permission. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/unit/common/spool/fixture.h"

TestSuite(spool_reader, .timeout = 60);

static struct fixture f;

/* Count messages through a reader of its own, in a process of its own (LMDB
 * must not be opened twice in one). */
static int look(bool as_nobody)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct spool *sp;
		struct spool_totals t;
		struct buf why = { 0 };
		struct buf b = { 0 };
		enum mx_err err;

		if (as_nobody && (setgid(65534) != 0 || setuid(65534) != 0))
			_exit(98);
		err = spool_open_reader(&sp, f.dir, &why);
		if (err != MX_OK)
			_exit(err == MX_EACCESS	 ? 97
			      : err == MX_ENOENT ? 96
						 : 95);
		if (spool_totals(sp, &t) != MX_OK || t.space.used_bytes == 0)
			_exit(94);
		if (spool_fact_get(sp, SPAN_LIT("none"), &b) != MX_ENOENT)
			_exit(93);
		spool_close(&sp);
		_exit((int)t.messages);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

Test(spool_reader, beside_and_without_the_daemon)
{
	fixture_open(&f);
	cr_expect_eq(look(false), 0);
	put_simple(&f, "a.example");
	put_simple(&f, "b.example");
	cr_expect_eq(look(false), 2);
	spool_close(&f.sp);
	cr_expect_eq(look(false), 2);
	fixture_reopen(&f);
	put_simple(&f, "a.example");
	cr_expect_eq(look(false), 3);
	fixture_close(&f);
}

/* As in a container, or beside a sanitizer's shadow.  LMDB maps as much as the
 * daemon did. */
Test(spool_reader, with_little_address_space)
{
	const struct rlimit little = { 1 << 30, 1 << 30 };
	pid_t pid;
	int status;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	cr_skip("a sanitizer has more than this itself");
#endif
	fixture_open(&f);
	put_simple(&f, "a.example");
	spool_close(&f.sp);
	pid = fork();
	if (pid == 0) {
		if (setrlimit(RLIMIT_AS, &little) != 0)
			_exit(90);
		_exit(look(false));
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status));
	cr_expect_eq(WEXITSTATUS(status), 1);
	fixture_reopen(&f);
	fixture_close(&f);
}

/* The file is checked while it is written: what is half done is not taken for
 * damage. */
Test(spool_reader, beside_a_daemon_that_commits)
{
	enum { MANY = 1000 };
	static struct spool_rcpt r[MANY];
	int status;
	pid_t pid;

	fixture_open(&f);
	for (int i = 0; i < MANY; i++)
		r[i] = a_rcpt("user@a.example", "a.example");
	for (uint64_t i = 0; i < 20; i++) /* a look takes a while */
		put_message(&f, i, 100, r, MANY);
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < 100; i++) {
			struct buf why = { 0 };
			struct spool *sp;

			if (spool_open_reader(&sp, f.dir, &why) != MX_OK) {
				fprintf(stderr, "%s\n", buf_cstr(&why));
				_exit(1);
			}
			buf_fini(&why);
			spool_close(&sp);
		}
		_exit(0);
	}
	while (waitpid(pid, &status, WNOHANG) == 0)
		settle_one_rcpt(&f, put_simple(&f, "a.example"), "a.example",
				OUTCOME_DELIVERED, 0);
	cr_expect_eq(status, 0);
	fixture_close(&f);
}

Test(spool_reader, nothing_there)
{
	f = (struct fixture){ .dir = "build/no-such-spool" };
	cr_expect_eq(look(false), 96);
}

/* The lock file may not be written: read without a slot in it. */
Test(spool_reader, without_permission_to_write)
{
	char path[128];

	if (geteuid() != 0)
		cr_skip_test("needs another user to be");
	fixture_open(&f);
	put_simple(&f, "a.example");
	spool_close(&f.sp);
	cr_expect_eq(look(true), 97);
	snprintf(path, sizeof(path), "%s/data.mdb", f.dir);
	chmod(path, 0644);
	chmod(f.dir, 0755);
	cr_expect_eq(look(true), 1);
	fixture_reopen(&f);
	fixture_close(&f);
}

static bool add_units(const struct spool_domain *row, void *arg)
{
	*(uint64_t *)arg += row->units;
	return true;
}

static void *look_from_a_thread(void *arg)
{
	static uint64_t units;

	units = 0;
	if (spool_domains(arg, SPAN_LIT(""), add_units, &units) != MX_OK)
		return NULL;
	return &units;
}

/* A reload asks on its own thread, and again later, what waits. */
Test(spool_reader, a_view_for_another_thread)
{
	fixture_open(&f);
	struct spool *view = spool_view(f.sp);

	for (uint64_t n = 1; n <= 3; n++) {
		pthread_t thread;
		void *units = NULL;

		put_simple(&f, "a.example");
		cr_assert_eq(
			pthread_create(&thread, NULL, look_from_a_thread, view),
			0);
		cr_assert_eq(pthread_join(thread, &units), 0);
		cr_assert_not_null(units);
		cr_expect_eq(*(uint64_t *)units, n);
	}
	spool_view_free(&view);
	cr_expect_null(view);
	fixture_close(&f);
}
