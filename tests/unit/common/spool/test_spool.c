#include "common/base/busy.h"
#include "common/base/clock.h"
#include "common/base/metrics.h"
#include "tests/unit/common/spool/fixture.h"

static struct fixture f;

static void setup(void)
{
	fixture_open(&f);
}

static void teardown(void)
{
	fixture_close(&f);
}

TestSuite(spool, .init = setup, .fini = teardown, .timeout = 60);

/* What spool_commit took is what spool_unit_load and spool_content give. */
Test(spool, message_comes_back_as_it_was)
{
	struct spool_rcpt r[] = { a_rcpt("b@example.com", "example.com") };
	struct unit *u;
	uint64_t id, ids[4];

	r[0].orcpt = SPAN_LIT("rfc822;b@example.com");
	spool_subscribe(f.sp, on_ready, &f);
	id = put_message(&f, 3, 5000, r, 1);
	cr_assert_eq(f.announced, 1);
	cr_assert_str_eq(f.domain, "example.com");
	cr_assert_eq(ready_in(f.sp, SPAN_LIT("example.com"), 0, ids, 4), 1);
	cr_assert_eq(ids[0], id);
	cr_assert_eq(spool_unit_load(f.sp, id, SPAN_LIT("example.com"), &u),
		     MX_OK);
	cr_expect_eq(u->envelope.id, id);
	cr_expect_eq(u->envelope.bytes, 5000);
	cr_expect(span_eq(u->envelope.from, SPAN_LIT("a@sender.example")));
	cr_expect(span_eq(u->envelope.envid, SPAN_LIT("QQ314159")));
	cr_expect_eq(u->envelope.ret, SMTP_RET_HDRS);
	cr_expect(u->envelope.smtputf8 && !u->envelope.is_dsn);
	cr_expect_eq(u->state, UNIT_READY);
	cr_expect_eq(u->expires_ms, NOW + 10000);
	cr_assert_eq(u->rcpt_count, 1);
	cr_expect(span_eq(u->rcpts[0].path, SPAN_LIT("b@example.com")));
	cr_expect(span_eq(u->rcpts[0].orcpt, SPAN_LIT("rfc822;b@example.com")));
	cr_expect_eq(u->rcpts[0].notify, SMTP_NOTIFY_FAILURE);
	unit_free(&u);
	check_content(&f, id, 3, 5000, 1000);
}

/* Not each request: what shares a batch waits for one. */
Test(spool, commits_are_timed)
{
	struct spool_rcpt r = a_rcpt("b@example.com", "example.com");
	const size_t all = metric_get(METRIC_COMMIT)->count;
	struct metrics before, after;

	metrics_read(&before);
	put_message(&f, 1, 100, &r, 1);
	metrics_read(&after);
	cr_expect_gt(metrics_up_to(&after, METRIC_COMMIT, all),
		     metrics_up_to(&before, METRIC_COMMIT, all));
	cr_expect_gt(metrics_sum(&after, METRIC_COMMIT),
		     metrics_sum(&before, METRIC_COMMIT));
}

static int64_t in_commits_us(void)
{
	struct metrics m;

	metrics_read(&m);
	return (int64_t)metrics_sum(&m, METRIC_COMMIT);
}

/* Several clients, then one: how long its commit is waited with. */
static int64_t one_behind_many_us(unsigned many)
{
	const struct envelope env = an_envelope();
	const struct spool_rcpt r = a_rcpt("b@example.com", "example.com");
	const unsigned before = f.committed;
	int64_t before_us, start_us;

	for (unsigned i = 0; i < many; i++) {
		struct spool_draft *d = draft_with(&f, i, 100);

		spool_commit(&d, &env, &r, 1, on_commit, &f);
	}
	turn_until(&f, &f.committed, before + many);
	before_us = in_commits_us();
	start_us = clock_mono_us();
	put_simple(&f, "example.com");
	return clock_mono_us() - start_us - (in_commits_us() - before_us);
}

/* While processors are short, others are waited for.  A batch before it may
 * have been of one message: then it is not one behind many. */
Test(spool, a_commit_is_for_many_while_processors_are_short)
{
	bool has_waited = false;

	busy_set(true);
	for (int i = 0; i < 5 && !has_waited; i++)
		has_waited = one_behind_many_us(20) >= 4900;
	busy_set(false);
	cr_expect(has_waited);
}

/* Contents of many pieces, read from any place. */
Test(spool, large_content_is_whole)
{
	struct spool_rcpt r = a_rcpt("b@example.com", "example.com");
	static const size_t sizes[] = { 0,     1,     4079,  8176,   8177,
					65519, 65520, 65521, 300000, 3000000 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t id = put_message(&f, i, sizes[i], &r, 1);
		struct buf b = { 0 };

		check_content(&f, id, i, sizes[i], 100000);
		cr_assert_eq(spool_content(f.sp, id, sizes[i] / 2, 7, &b),
			     MX_OK);
		for (size_t k = 0; k < b.n; k++)
			cr_assert_eq(b.p[k], content_at(i, sizes[i] / 2 + k));
		buf_fini(&b);
	}
}

/* With its last unit a message goes, with all it has. */
Test(spool, message_goes_with_its_last_unit)
{
	struct spool_rcpt r[] = { a_rcpt("x@b.example", "b.example"),
				  a_rcpt("y@a.example", "a.example"),
				  a_rcpt("z@b.example", "b.example") };
	struct settlement s[] = {
		{ .number = 2, .outcome = OUTCOME_DELIVERED },
		{ .number = 0, .outcome = OUTCOME_DELIVERED },
	};
	struct spool_totals t;
	struct unit *u;
	uint64_t id = put_message(&f, 1, 100000, r, 3);

	cr_assert_eq(spool_unit_load(f.sp, id, SPAN_LIT("b.example"), &u),
		     MX_OK);
	cr_assert_eq(u->rcpt_count, 2);
	cr_expect_eq(u->rcpts[0].number, 0);
	cr_expect_eq(u->rcpts[1].number, 2);
	unit_free(&u);
	spool_settle(f.sp, id, SPAN_LIT("b.example"), s, 2, NOW, 0, NULL,
		     on_settled, &f);
	turn_until(&f, &f.done, 1);
	cr_assert_eq(f.err, MX_OK);
	check_domain(&f, "b.example", 0, 0, 0);
	check_domain(&f, "a.example", 1, 0, 0);
	cr_assert_eq(spool_totals(f.sp, &t), MX_OK);
	cr_expect_eq(t.messages, 1);
	cr_expect_eq(t.bytes, 100000);
	cr_expect_eq(t.oldest_ms, NOW);
	cr_assert_eq(spool_unit_load(f.sp, id, SPAN_LIT("b.example"), &u),
		     MX_ENOENT);
	/* a recipient of another unit is none of this one's */
	settle_one_rcpt(&f, id, "a.example", OUTCOME_PERMANENT, 0);
	check_domain(&f, "a.example", 1, 0, 0);
	s[0].number = 1;
	spool_settle(f.sp, id, SPAN_LIT("a.example"), s, 1, NOW, 0, NULL,
		     on_settled, &f);
	turn_until(&f, &f.done, 3);
	cr_assert_eq(spool_totals(f.sp, &t), MX_OK);
	cr_expect_eq(t.messages + t.bytes, 0);
}

Test(spool, settled_message_leaves_nothing)
{
	struct spool_totals t;
	struct buf b = { 0 };
	uint64_t id = put_simple(&f, "a.example");

	settle_one_rcpt(&f, id, "a.example", OUTCOME_DELIVERED, 0);
	cr_assert_eq(f.err, MX_OK);
	cr_assert_eq(spool_totals(f.sp, &t), MX_OK);
	cr_expect_eq(t.messages, 0);
	cr_expect_eq(t.bytes, 0);
	cr_expect_eq(t.oldest_ms, 0);
	cr_expect_eq(spool_content(f.sp, id, 0, 100, &b), MX_ENOENT);
	cr_expect_eq(spool_message(f.sp, id, NULL, NULL), MX_ENOENT);
	settle_one_rcpt(&f, id, "a.example", OUTCOME_DELIVERED, 0);
	cr_assert_eq(f.err, MX_ENOENT);
	buf_fini(&b);
}

/* A transient failure waits for its own time, and keeps what was said. */
Test(spool, transient_failure_defers_the_unit)
{
	uint64_t id = put_simple(&f, "a.example"), ids[2];
	struct unit *u;
	int64_t due;

	cr_assert_eq(spool_next_due(f.sp, &due), MX_ENOENT);
	settle_one_rcpt(&f, id, "a.example", OUTCOME_TRANSIENT, NOW + 60000);
	check_domain(&f, "a.example", 0, 1, 0);
	cr_assert_eq(ready_in(f.sp, SPAN_LIT("a.example"), 0, ids, 2), 0);
	cr_assert_eq(spool_unit_load(f.sp, id, SPAN_LIT("a.example"), &u),
		     MX_OK);
	cr_expect_eq(u->state, UNIT_DEFERRED);
	cr_expect_eq(u->due_ms, NOW + 60000);
	cr_expect_eq(u->rcpts[0].attempts, 1);
	cr_expect_eq(u->rcpts[0].attempt_ms, NOW + 5);
	cr_expect(span_eq(u->rcpts[0].last_reply, SPAN_LIT("450 4.2.1 wait")));
	cr_expect(span_eq(u->rcpts[0].last_host, SPAN_LIT("mx1")));
	unit_free(&u);
	cr_assert_eq(spool_next_due(f.sp, &due), MX_OK);
	cr_expect_eq(due, NOW + 60000);
	spool_subscribe(f.sp, on_ready, &f);
	spool_requeue_due(f.sp, NOW + 60000);
	turn_until(&f, &f.announced, 1);
	check_domain(&f, "a.example", 1, 0, 0);
	cr_assert_eq(spool_next_due(f.sp, &due), MX_ENOENT);
}

/* Every state survives the end of the process. */
Test(spool, reopens_as_it_was_left)
{
	struct spool_rcpt r = a_rcpt("b@example.com", "example.com");
	uint64_t a = put_message(&f, 1, 200000, &r, 1);
	uint64_t b = put_simple(&f, "a.example");
	struct spool_draft *d;

	settle_one_rcpt(&f, b, "a.example", OUTCOME_TRANSIENT, NOW + 60000);
	d = draft_with(&f, 9, 500000); /* never sealed */
	spool_draft_discard(&d);
	spool_close(&f.sp);
	fixture_reopen(&f);
	check_content(&f, a, 1, 200000, 65536);
	check_domain(&f, "example.com", 1, 0, 0);
	check_domain(&f, "a.example", 0, 1, 0);
	cr_assert_gt(put_simple(&f, "a.example"), b);
}

/* An id is never used twice, whatever the clock says. */
Test(spool, ids_rise_when_the_clock_falls)
{
	struct spool_draft *d;
	uint64_t last = 0;
	static const int64_t clocks[] = { NOW, NOW,	NOW - DAYS(400),
					  0,   NOW + 1, NOW };

	for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
		cr_assert_eq(spool_draft_new(f.sp, clocks[i], 0, &d), MX_OK);
		cr_assert_gt(spool_draft_id(d), last);
		last = spool_draft_id(d);
		spool_draft_discard(&d);
	}
	put_simple(&f, "a.example");
	spool_close(&f.sp);
	fixture_reopen(&f);
	cr_assert_eq(spool_draft_new(f.sp, 0, 0, &d), MX_OK);
	cr_assert_gt(spool_draft_id(d), last);
	spool_draft_discard(&d);
}

Test(spool, second_daemon_is_refused)
{
	struct spool_options opt = { .path = f.dir, .size_bytes = 1 << 28 };
	struct spool *other;
	struct buf why = { 0 };

	cr_assert_eq(spool_open(&other, f.loop, &opt, &why), MX_EBUSY);
	cr_assert_not_null(strstr(buf_cstr(&why), "another mx20d"));
	buf_fini(&why);
}

static void leave_file(const char *name, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", f.dir, name);
	file = fopen(path, "w");
	cr_assert_not_null(file);
	fputs(text, file);
	fclose(file);
}

/* Power went while the spool was being made: it is made again. */
Test(spool, half_made_spool_is_made_again)
{
	char path[128];

	spool_close(&f.sp);
	fixture_remove_files(&f);
	snprintf(path, sizeof(path), "%s/new", f.dir);
	cr_assert_eq(mkdir(path, 0700), 0);
	leave_file("new/data.mdb", "half of a page");
	leave_file("data.mdb", "");
	fixture_reopen(&f);
	put_simple(&f, "a.example");
	check_domain(&f, "a.example", 1, 0, 0);
	cr_expect_neq(access(path, F_OK), 0, "its leavings are still there");
}
