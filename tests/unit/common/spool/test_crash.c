/* kill -9 at any moment: what was acknowledged is there. */
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "tests/support/spool_audit.h"
#include "tests/unit/common/spool/fixture.h"

TestSuite(spool_crash, .timeout = 300);

enum { ROUNDS = 25, PATIENCE_MS = 60000, SLOTS = 1 << 18 };

static struct fixture f;
static int report_fd;

/* What the child tells before it dies. */
enum what { ARRIVED, SETTLING, SETTLED };
struct news {
	uint64_t id, n;
	enum what what;
};

static void tell(uint64_t id, uint64_t n, enum what what)
{
	struct news news = { id, n, what };

	if (write(report_fd, &news, sizeof(news)) != sizeof(news))
		_exit(3);
}

static void on_kept(enum mx_err err, uint64_t id, void *arg)
{
	if (err != MX_OK)
		_exit(4);
	tell(id, (uint64_t)(uintptr_t)arg, ARRIVED);
}

static void on_gone(enum mx_err err, void *arg)
{
	if (err != MX_OK)
		_exit(5);
	tell((uint64_t)(uintptr_t)arg, 0, SETTLED);
}

static const struct settlement both[] = {
	{ .number = 0, .outcome = OUTCOME_DELIVERED },
	{ .number = 1, .outcome = OUTCOME_PERMANENT },
};

/* The end of a refusal, unless that was undone. */
static void on_final(enum mx_err err, void *arg)
{
	if (err == MX_ENOENT)
		return;
	on_gone(err, arg);
}

static size_t recipients_of(uint64_t id)
{
	struct unit *u = NULL;
	size_t n = 0;

	if (spool_unit_load(f.sp, id, SPAN_LIT("a.example"), &u) == MX_OK)
		n = u->rcpt_count;
	unit_free(&u);
	return n;
}

static void on_refused(enum mx_err err, void *arg)
{
	uint64_t id = (uint64_t)(uintptr_t)arg;

	if (err != MX_OK)
		_exit(6);
	spool_settle_parked(f.sp, id, SPAN_LIT("a.example"), both,
			    recipients_of(id), NOW, NULL, on_final, arg);
}

/* Every third is refused before it goes. */
static void settle(uint64_t id)
{
	struct settlement refusal[] = { both[0], both[1] };
	void *arg = (void *)(uintptr_t)id;

	tell(id, 0, SETTLING);
	for (size_t i = 0; i < 2; i++) {
		refusal[i].outcome = OUTCOME_REFUSED;
		refusal[i].until_ms = clock_wall_ms();
	}
	if (id % 3 == 0)
		spool_settle(f.sp, id, SPAN_LIT("a.example"), refusal, 2, NOW,
			     0, NULL, on_refused, arg);
	else
		spool_settle(f.sp, id, SPAN_LIT("a.example"), both, 2, NOW, 0,
			     NULL, on_gone, arg);
}

static size_t size_of(uint64_t n)
{
	return n % 5 == 0 ? 200000 : 500 + n * 37 % 9000;
}

/* Of these, what is known only at the end: in one row with the rest, in a row
 * of its own, or nothing. */
static size_t prefix_of(uint64_t n)
{
	return n % 3 == 0 ? 0 : 100 + n % 300;
}

/* Arrivals, settlements and discarded drafts without end. */
static void child(uint64_t n)
{
	struct spool_rcpt r[] = { a_rcpt("x@a.example", "a.example"),
				  a_rcpt("y@a.example", "a.example") };
	struct envelope env = an_envelope();
	uint64_t ids[3] = { 0 };

	f.loop = ev_loop_new(0);
	fixture_reopen(&f);
	for (;; n++) {
		struct spool_draft *d =
			draft_behind(&f, n, prefix_of(n), size_of(n));
		size_t k = 0;

		if (n % 11 == 0)
			spool_draft_discard(&d);
		else if (n % 13 == 0)
			spool_draft_hold(d, SPAN_LIT("looked odd"));
		if (d != NULL)
			spool_commit(&d, &env, r, 1 + n % 2, on_kept,
				     (void *)(uintptr_t)n);
		if (n % 3 == 0)
			k = ready_in(f.sp, SPAN_LIT("a.example"), ids[2],
					ids, 3);
		for (size_t i = 0; i < k; i++)
			settle(ids[i]);
		if (n % 17 == 0)
			spool_unrefuse(f.sp, SPAN_LIT("a.example"), 0, NULL,
				       NULL);
		if (k > 0)
			ids[2] = ids[k - 1];
		do
			ev_run(f.loop, EVRUN_NOWAIT);
		while (spool_is_busy(f.sp));
	}
}

/* All that was ever told, by id. */
static struct news known[SLOTS];
static uint64_t last_n;

static void learn(const struct news *news)
{
	size_t at = (news->id * 0x9e3779b97f4a7c15) >> 46;

	while (known[at].id != 0 && known[at].id != news->id)
		at = (at + 1) % SLOTS;
	known[at].id = news->id;
	if (news->what == ARRIVED)
		known[at].n = news->n;
	if (news->what > known[at].what)
		known[at].what = news->what;
	if (news->n > last_n)
		last_n = news->n;
}

static void listen_until(int fd, int64_t end_ms)
{
	struct pollfd p = { fd, POLLIN, 0 };

	for (;;) {
		int64_t left = end_ms - clock_mono_ms();
		struct news news;
		ssize_t n;

		if (end_ms != 0 && (left <= 0 || poll(&p, 1, (int)left) <= 0))
			return;
		n = read(fd, &news, sizeof(news));
		if (n == 0)
			return;
		cr_assert_eq(n, sizeof(news));
		learn(&news);
	}
}

/* The moment counts from the child's first news, or (early) from its start:
 * then it falls into the opening, too. */
static void crash_once(int64_t after_ms, bool early)
{
	int fds[2], status;
	struct pollfd p = { -1, POLLIN, 0 };
	pid_t pid;

	cr_assert_eq(pipe(fds), 0);
	p.fd = fds[0];
	pid = fork();
	if (pid == 0) {
		report_fd = fds[1];
		child(last_n + 1000); /* past whatever was under way */
	}
	close(fds[1]);
	if (!early)
		cr_assert_eq(poll(&p, 1, PATIENCE_MS), 1, "no news");
	listen_until(fds[0], clock_mono_ms() + after_ms);
	kill(pid, SIGKILL);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFSIGNALED(status), "the child ended: %x", status);
	listen_until(fds[0], 0);
	close(fds[0]);
}

static void check_one(struct news *news, bool whole)
{
	struct unit *u = NULL;
	enum mx_err err =
		spool_unit_load(f.sp, news->id, SPAN_LIT("a.example"), &u);

	switch (news->what) {
	case ARRIVED:
		cr_assert_eq(err, MX_OK, "acknowledged, and lost");
		break;
	case SETTLING: /* its commit may have happened unheard */
		if (err == MX_ENOENT)
			news->what = SETTLED;
		else if (news->n != 0)
			news->what = ARRIVED;
		break;
	case SETTLED:
		cr_assert_eq(err, MX_ENOENT, "settled, and back");
		break;
	}
	if (u != NULL && news->n != 0) {
		cr_assert_eq(u->envelope.bytes, size_of(news->n));
		cr_assert_eq(u->rcpt_count, 1 + news->n % 2);
		cr_assert(u->state ==
				  (news->n % 13 == 0 ? UNIT_HELD : UNIT_READY) ||
			  (u->state == UNIT_REFUSED && news->id % 3 == 0));
		if (whole)
			check_content(&f, news->id, news->n, size_of(news->n),
				      65536);
	}
	unit_free(&u);
}

Test(spool_crash, killed_at_random)
{
	unsigned seed = 7;

	fixture_open(&f);
	spool_close(&f.sp);
	for (int i = 0; i < ROUNDS; i++) {
		struct buf why = { 0 };

		/* some of them while the leavings of the last are swept */
		seed = seed * 1664525 + 1013904223;
		crash_once(1 + (seed >> 8) % 80, i % 4 == 3);
		fixture_reopen(&f);
		cr_assert(spool_audit(f.sp, &why), "round %d: %s", i,
			  buf_cstr(&why));
		for (size_t k = 0; k < SLOTS; k++)
			if (known[k].id != 0)
				check_one(&known[k], i == ROUNDS - 1);
		spool_close(&f.sp);
		buf_fini(&why);
	}
	fixture_reopen(&f);
	fixture_close(&f);
}
