#include "common/spool/spool_priv.h"
#include "tests/unit/common/spool/fixture.h"

static struct fixture f;

static void setup(void)
{
	fixture_open(&f);
	spool_subscribe(f.sp, on_ready, &f);
}

static void teardown(void)
{
	fixture_audit(&f);
	fixture_close(&f);
}

TestSuite(spool_operator, .init = setup, .fini = teardown, .timeout = 60);

static struct spool_selection by_id(uint64_t id)
{
	return (struct spool_selection){ .id = id };
}

static struct spool_selection by_domain(const char *name)
{
	return (struct spool_selection){ .domain = span_str(name) };
}

static size_t ready_of(const char *domain)
{
	uint64_t ids[64];

	return ready_in(f.sp, span_str(domain), 0, ids, 64);
}

Test(spool_operator, one_message_is_held_and_released)
{
	struct spool_rcpt r[] = { a_rcpt("x@a.example", "a.example"),
				  a_rcpt("y@b.example", "b.example") };
	uint64_t id = put_message(&f, 1, 100, r, 2);
	struct spool_expiry e[4];

	spool_hold(f.sp, by_id(id), SPAN_LIT(""), on_counted, &f);
	cr_assert_eq(wait_count(&f), 2);
	check_domain(&f, "a.example", 0, 0, 1);
	check_domain(&f, "b.example", 0, 0, 1);
	cr_assert_eq(ready_of("a.example"), 0);
	/* what is held has no lifetime */
	cr_assert_eq(expired_by(f.sp, NOW + 20000, NULL, e, 4), 0);
	f.announced = 0;
	spool_release(f.sp,
		      (struct spool_selection){ id, SPAN_LIT("a.example") },
		      on_counted, &f);
	cr_assert_eq(wait_count(&f), 1);
	cr_assert_eq(f.announced, 1);
	check_domain(&f, "a.example", 1, 0, 0);
	check_domain(&f, "b.example", 0, 0, 1);
	cr_assert_eq(expired_by(f.sp, NOW + 20000, NULL, e, 4), 1);
	cr_assert_str_eq(e[0].domain, "a.example");
}

Test(spool_operator, a_domain_is_held_with_what_comes_later)
{
	struct spool_domain d;
	struct spool_expiry e[4];
	struct unit *u;
	int64_t at;
	uint64_t id = put_simple(&f, "a.example");

	put_simple(&f, "a.example");
	spool_hold(f.sp, by_domain("a.example"), SPAN_LIT("maintenance"),
		   on_counted, &f);
	cr_assert_eq(wait_count(&f), 2);
	f.announced = 0;
	put_simple(&f, "a.example");
	cr_assert_eq(f.announced, 0);
	cr_assert_eq(ready_of("a.example"), 0);
	check_domain(&f, "a.example", 0, 0, 3);
	cr_assert_eq(spool_domain_get(f.sp, SPAN_LIT("a.example"), &d), MX_OK);
	cr_assert(d.is_held);
	cr_assert_str_eq(d.hold_reason, "maintenance");
	cr_assert_eq(spool_unit_load(f.sp, id, SPAN_LIT("a.example"), &u),
		     MX_OK);
	cr_assert_eq(u->state, UNIT_HELD);
	unit_free(&u);
	/* no lifetime ends, and nobody is woken for it again and again */
	cr_assert_eq(expired_by(f.sp, NOW + 20000, NULL, e, 4), 0);
	while (spool_next_expiry(f.sp, &at) == MX_OK)
		ev_run(f.loop, EVRUN_ONCE);
	spool_release(f.sp, by_domain("a.example"), on_counted, &f);
	cr_assert_eq(wait_count(&f), 3);
	turn_until(&f, &f.announced, 1);
	check_domain(&f, "a.example", 3, 0, 0);
	cr_assert_eq(expired_by(f.sp, NOW + 20000, NULL, e, 4), 3);
}

static void check_unit(uint64_t id, enum unit_state state, const char *reason)
{
	struct unit *u;

	cr_assert_eq(spool_unit_load(f.sp, id, SPAN_LIT("a.example"), &u),
		     MX_OK);
	cr_expect_eq(u->state, state);
	cr_expect(span_eq(u->hold_reason, span_str(reason)), "%.*s",
		  SPAN_ARG(u->hold_reason));
	unit_free(&u);
}

/* A hold of a domain and holds of its messages are two things. */
Test(spool_operator, release_of_a_domain_leaves_what_was_held_alone)
{
	uint64_t kept = put_simple(&f, "a.example");
	uint64_t deferred = put_simple(&f, "a.example");
	uint64_t ready = put_simple(&f, "a.example");

	settle_one_rcpt(&f, deferred, "a.example", OUTCOME_TRANSIENT,
			NOW + 60000);
	spool_hold(f.sp, by_id(kept), SPAN_LIT("evidence"), on_counted, &f);
	cr_assert_eq(wait_count(&f), 1);
	spool_hold(f.sp, by_domain("a.example"), SPAN_LIT("all of it"),
		   on_counted, &f);
	cr_assert_eq(wait_count(&f), 3);
	check_unit(kept, UNIT_HELD, "evidence");
	check_unit(ready, UNIT_HELD, "all of it");
	spool_release(f.sp, by_domain("a.example"), on_counted, &f);
	cr_assert_eq(wait_count(&f), 2);
	check_domain(&f, "a.example", 2, 0, 1);
	check_unit(kept, UNIT_HELD, "evidence");
	check_unit(ready, UNIT_READY, "");
	/* another reason, and no hold of the domain needed */
	spool_hold(f.sp, by_id(kept), SPAN_LIT("more of it"), on_counted, &f);
	cr_assert_eq(wait_count(&f), 0);
	spool_close(&f.sp);
	fixture_reopen(&f);
	check_unit(kept, UNIT_HELD, "more of it");
	spool_release(f.sp, by_id(kept), on_counted, &f);
	cr_assert_eq(wait_count(&f), 1);
	check_unit(kept, UNIT_READY, "");
}

/* All domains below, also those whose mail comes later; not itself. */
Test(spool_operator, a_pattern_is_held)
{
	struct spool_domain d;
	uint64_t id = put_simple(&f, "x.b.example");

	put_simple(&f, "b.example");
	spool_hold(f.sp, by_domain("*.b.example"), SPAN_LIT("why"), on_counted,
		   &f);
	cr_assert_eq(wait_count(&f), 0);
	put_simple(&f, "y.z.b.example");
	cr_expect_eq(ready_of("x.b.example"), 0);
	cr_expect_eq(ready_of("y.z.b.example"), 0);
	cr_expect_eq(ready_of("b.example"), 1);
	spool_close(&f.sp);
	fixture_reopen(&f);
	cr_expect_eq(ready_of("x.b.example"), 0);
	cr_assert_eq(spool_domain_get(f.sp, SPAN_LIT("x.b.example"), &d),
		     MX_OK);
	cr_expect(d.is_held && d.held == 1 && d.ready == 0);
	cr_expect_str_eq(d.hold_reason, "why");
	cr_expect_str_eq(d.hold_pattern, "*.b.example");
	/* its own hold ends without it */
	spool_hold(f.sp, by_domain("x.b.example"), SPAN_LIT("own"), on_counted,
		   &f);
	wait_count(&f);
	spool_release(f.sp, by_domain("x.b.example"), on_counted, &f);
	wait_count(&f);
	cr_expect_eq(ready_of("x.b.example"), 0);
	spool_release(f.sp, by_domain("*.b.example"), on_counted, &f);
	wait_count(&f);
	cr_expect_eq(ready_of("x.b.example"), 1);
	cr_expect_eq(ready_of("y.z.b.example"), 1);
	cr_expect_eq(spool_domain_get(f.sp, SPAN_LIT("*.b.example"), &d),
		     MX_ENOENT);
	spool_remove(f.sp, by_id(id), on_counted, &f);
	wait_count(&f);
}

/* A hold of a domain without mail is kept, too. */
Test(spool_operator, an_empty_domain_is_held)
{
	spool_hold(f.sp, by_domain("a.example"), SPAN_LIT("x"), on_counted, &f);
	cr_assert_eq(wait_count(&f), 0);
	spool_close(&f.sp);
	fixture_reopen(&f);
	put_simple(&f, "a.example");
	check_domain(&f, "a.example", 0, 0, 1);
	cr_assert_eq(ready_of("a.example"), 0);
	spool_release(f.sp, by_domain("a.example"), on_counted, &f);
	cr_assert_eq(wait_count(&f), 1);
	cr_assert_eq(ready_of("a.example"), 1);
}

Test(spool_operator, flush_makes_deferred_ready_but_not_held)
{
	uint64_t a = put_simple(&f, "a.example");
	uint64_t b = put_simple(&f, "a.example");

	settle_one_rcpt(&f, a, "a.example", OUTCOME_TRANSIENT, NOW + 60000);
	settle_one_rcpt(&f, b, "a.example", OUTCOME_HELD, 0);
	check_domain(&f, "a.example", 0, 1, 1);
	spool_flush(f.sp, by_domain("a.example"), on_counted, &f);
	cr_assert_eq(wait_count(&f), 1);
	check_domain(&f, "a.example", 1, 0, 1);
}

/* A recipient that failed for good stays beside one that is tried again. */
Test(spool_operator, held_recipients_are_not_tried)
{
	struct spool_rcpt r[] = { a_rcpt("x@a.example", "a.example"),
				  a_rcpt("y@a.example", "a.example") };
	struct settlement s[] = {
		{ .number = 0,
		  .outcome = OUTCOME_HELD,
		  .reply = SPAN_LIT("550 5.1.1 no") },
		{ .number = 1,
		  .outcome = OUTCOME_TRANSIENT,
		  .reply = SPAN_LIT("450 4.2.1 wait") },
	};
	uint64_t id = put_message(&f, 1, 100, r, 2);
	struct unit *u;

	spool_settle(f.sp, id, SPAN_LIT("a.example"), s, 2, NOW, NOW + 100,
		     NULL, on_settled, &f);
	turn_until(&f, &f.done, 1);
	check_domain(&f, "a.example", 0, 1, 0);
	cr_assert_eq(spool_unit_load(f.sp, id, SPAN_LIT("a.example"), &u),
		     MX_OK);
	cr_assert_eq(u->rcpt_count, 1);
	cr_assert_eq(u->rcpts[0].number, 1);
	unit_free(&u);
	s[1].outcome = OUTCOME_DELIVERED;
	spool_settle(f.sp, id, SPAN_LIT("a.example"), s + 1, 1, NOW, 0, NULL,
		     on_settled, &f);
	turn_until(&f, &f.done, 2);
	check_domain(&f, "a.example", 0, 0, 1);
	spool_release(f.sp, by_id(id), on_counted, &f);
	cr_assert_eq(wait_count(&f), 1);
	cr_assert_eq(spool_unit_load(f.sp, id, SPAN_LIT("a.example"), &u),
		     MX_OK);
	cr_assert_eq(u->rcpt_count, 1);
	cr_assert_eq(u->rcpts[0].state, RECIPIENT_PENDING);
	cr_assert(span_eq(u->rcpts[0].last_reply, SPAN_LIT("550 5.1.1 no")));
	unit_free(&u);
}

/* The drain has the others in hand and does not know of the one released
 * meanwhile: it must hear of it. */
Test(spool_operator, recipient_released_meanwhile_is_announced)
{
	struct spool_rcpt r[] = { a_rcpt("x@a.example", "a.example"),
				  a_rcpt("y@a.example", "a.example") };
	struct settlement s[] = {
		{ .number = 0, .outcome = OUTCOME_HELD },
		{ .number = 1, .outcome = OUTCOME_UNTRIED },
	};
	uint64_t id = put_message(&f, 1, 100, r, 2);

	spool_settle(f.sp, id, SPAN_LIT("a.example"), s, 2, NOW, 0, NULL,
		     on_settled, &f);
	turn_until(&f, &f.done, 1);
	spool_release(f.sp, by_id(id), on_counted, &f);
	wait_count(&f);
	f.announced = 0;
	s[1].outcome = OUTCOME_DELIVERED;
	spool_settle(f.sp, id, SPAN_LIT("a.example"), s + 1, 1, NOW, 0, NULL,
		     on_settled, &f);
	turn_until(&f, &f.done, 2);
	cr_assert_eq(f.announced, 1);
	check_domain(&f, "a.example", 1, 0, 0);
}

/* More than one step; what is in other domains stays. */
Test(spool_operator, a_domain_is_removed_in_steps)
{
	struct spool_rcpt r[] = { a_rcpt("x@a.example", "a.example"),
				  a_rcpt("y@b.example", "b.example") };
	struct spool_totals t;
	struct envelope env = an_envelope();
	unsigned n = 1700;

	for (unsigned i = 0; i < n; i++) {
		struct spool_draft *d = draft_with(&f, i, 200);

		spool_commit(&d, &env, r, i % 10 == 0 ? 2 : 1, on_commit, &f);
	}
	turn_until(&f, &f.committed, n);
	check_domain(&f, "a.example", n, 0, 0);
	spool_remove(f.sp, by_domain("a.example"), on_counted, &f);
	cr_assert_eq(wait_count(&f), n);
	check_domain(&f, "a.example", 0, 0, 0);
	check_domain(&f, "b.example", n / 10, 0, 0);
	cr_assert_eq(spool_totals(f.sp, &t), MX_OK);
	cr_assert_eq(t.messages, n / 10);
}

Test(spool_operator, what_is_not_there_is_said)
{
	spool_remove(f.sp, by_id(12345), on_counted, &f);
	turn_until(&f, &f.counted, 1);
	cr_assert_eq(f.err, MX_ENOENT);
	f.counted = 0;
	spool_remove(f.sp, by_domain("nobody.example"), on_counted, &f);
	cr_assert_eq(wait_count(&f), 0);
}

/* Removed twice before the first commit, as when an id is given twice or the
 * mail was delivered meanwhile: nothing is damaged. */
Test(spool_operator, what_has_just_gone_is_said)
{
	struct spool_selection unit = { put_simple(&f, "a.example"),
					SPAN_LIT("a.example") };

	spool_remove(f.sp, unit, on_counted, &f);
	spool_remove(f.sp, unit, on_counted, &f);
	turn_until(&f, &f.counted, 2);
	cr_assert_eq(f.err, MX_ENOENT);
	check_domain(&f, "a.example", 0, 0, 0);
}

static bool collect(const struct unit *u, void *arg)
{
	struct buf *b = arg;

	buf_addf(b, "%.*s:%zu ", SPAN_ARG(u->domain), u->rcpt_count);
	return b->n < 1000;
}

/* Lists go by id, ready and not ready alike. */
Test(spool_operator, lists_are_in_order)
{
	struct spool_rcpt r[] = { a_rcpt("x@a.example", "a.example"),
				  a_rcpt("y@b.example", "b.example"),
				  a_rcpt("z@b.example", "b.example") };
	uint64_t first = put_simple(&f, "a.example"), second;
	struct buf b = { 0 };

	second = put_message(&f, 1, 100, r, 3);
	put_simple(&f, "c.example");
	settle_one_rcpt(&f, first, "a.example", OUTCOME_TRANSIENT, NOW + 100);
	cr_assert_eq(spool_list(f.sp, SPAN_LIT(""), 0, collect, &b), MX_OK);
	cr_assert_str_eq(buf_cstr(&b), "a.example:1 a.example:1 b.example:2 "
				       "c.example:1 ");
	buf_reset(&b);
	cr_assert_eq(spool_list(f.sp, SPAN_LIT("a.example"), 0, collect, &b),
		     MX_OK);
	cr_assert_str_eq(buf_cstr(&b), "a.example:1 a.example:1 ");
	buf_reset(&b);
	cr_assert_eq(spool_list(f.sp, SPAN_LIT(""), second, collect, &b),
		     MX_OK);
	cr_assert_str_eq(buf_cstr(&b), "c.example:1 ");
	buf_reset(&b);
	cr_assert_eq(spool_message(f.sp, second, collect, &b), MX_OK);
	cr_assert_str_eq(buf_cstr(&b), "a.example:1 b.example:2 ");
	buf_fini(&b);
}

Test(spool_operator, newest_and_oldest_meet)
{
	uint64_t id[5], got[8];

	for (size_t i = 0; i < 5; i++)
		id[i] = put_simple(&f, "a.example");
	put_simple(&f, "b.example");
	cr_assert_eq(ready_in(f.sp, SPAN_LIT("a.example"), id[1], got, 8),
		     3);
	cr_assert(got[0] == id[2] && got[2] == id[4]);
	cr_assert_eq(newest_in(f.sp, SPAN_LIT("a.example"), 0, got, 2),
		     2);
	cr_assert(got[0] == id[4] && got[1] == id[3]);
	cr_assert_eq(
		newest_in(f.sp, SPAN_LIT("a.example"), id[2], got, 8),
		2);
	cr_assert(got[0] == id[1] && got[1] == id[0]);
	cr_assert_eq(
		ready_in(f.sp, SPAN_LIT("a.example"), UINT64_MAX, got, 8),
		0);
	cr_assert_eq(
		newest_in(f.sp, SPAN_LIT("a.example"), id[0], got, 8),
		0);
}

/* The report becomes a message in the commit that settles. */
Test(spool_operator, report_and_settlement_are_one)
{
	uint64_t id = put_simple(&f, "a.example"), report_id, ids[2];
	struct settlement s = { .number = 0, .outcome = OUTCOME_PERMANENT };
	struct spool_report report = {
		.envelope = { .is_dsn = true, .arrived_ms = NOW },
		.rcpt = a_rcpt("a@sender.example", "sender.example"),
	};

	cr_assert_eq(spool_draft_report(f.sp, NOW, 0, &report.draft), MX_OK);
	spool_draft_write(report.draft, SPAN_LIT("Subject: sorry\r\n"));
	report_id = spool_draft_id(report.draft);
	spool_settle(f.sp, id, SPAN_LIT("a.example"), &s, 1, NOW, 0, &report,
		     on_settled, &f);
	turn_until(&f, &f.done, 1);
	cr_assert_eq(f.err, MX_OK);
	check_domain(&f, "a.example", 0, 0, 0);
	cr_assert_eq(ready_in(f.sp, SPAN_LIT("sender.example"), 0, ids, 2),
		     1);
	cr_assert_eq(ids[0], report_id);
	/* a second settlement finds nothing, and its report goes, too */
	cr_assert_eq(spool_draft_report(f.sp, NOW, 0, &report.draft), MX_OK);
	spool_draft_write(report.draft, SPAN_LIT("Subject: sorry\r\n"));
	spool_settle(f.sp, id, SPAN_LIT("a.example"), &s, 1, NOW, 0, &report,
		     on_settled, &f);
	turn_until(&f, &f.done, 2);
	cr_assert_eq(f.err, MX_ENOENT);
	check_domain(&f, "sender.example", 1, 0, 0);
}

/* A delay warning is told once; the lifetime's end stays. */
Test(spool_operator, warning_is_struck_off)
{
	struct spool_rcpt r = a_rcpt("x@a.example", "a.example");
	struct spool_expiry e[4];
	uint64_t id;

	r.warn_ms = NOW + 100;
	id = put_message(&f, 1, 100, &r, 1);
	cr_assert_eq(expired_by(f.sp, NOW + 99, NULL, e, 4), 0);
	cr_assert_eq(expired_by(f.sp, NOW + 100, NULL, e, 4), 1);
	cr_assert(e[0].is_warning && e[0].id == id);
	spool_warned(f.sp, id, SPAN_LIT("a.example"), NULL,
		     on_settled, &f);
	turn_until(&f, &f.done, 1);
	cr_assert_eq(expired_by(f.sp, NOW + 100, NULL, e, 4), 0);
	cr_assert_eq(expired_by(f.sp, NOW + 10000, NULL, e, 4), 1);
	cr_assert_not(e[0].is_warning);
}

/* Units that cannot be ended now must not hide the ones behind them. */
Test(spool_operator, ends_are_listed_piece_by_piece)
{
	struct spool_rcpt r[] = { a_rcpt("x@a.example", "a.example"),
				  a_rcpt("y@b.example", "b.example") };
	struct spool_expiry e[4], last;
	uint64_t first = put_message(&f, 1, 100, r, 2);

	r[0].warn_ms = NOW + 100;
	put_message(&f, 1, 100, r, 1);
	cr_assert_eq(expired_by(f.sp, NOW + 20000, NULL, e, 4), 4);
	last = e[3];
	cr_assert_eq(expired_by(f.sp, NOW + 20000, NULL, e, 1), 1);
	cr_assert(e[0].is_warning);
	cr_assert_eq(expired_by(f.sp, NOW + 20000, &e[0], e, 2), 2);
	cr_assert(e[0].id == first && e[1].id == first);
	/* its row may be gone meanwhile */
	spool_remove(f.sp, by_id(first), on_counted, &f);
	cr_assert_eq(wait_count(&f), 2);
	cr_assert_eq(expired_by(f.sp, NOW + 20000, &e[1], e, 4), 1);
	cr_assert_eq(e[0].id, last.id);
	cr_assert_eq(expired_by(f.sp, NOW + 20000, &e[0], e, 4), 0);
}

/* Asked twice before the first commit: one warning, and one report. */
Test(spool_operator, warning_is_sent_once)
{
	struct spool_rcpt r = a_rcpt("x@a.example", "a.example");
	uint64_t id;

	r.warn_ms = NOW + 100;
	id = put_message(&f, 1, 100, &r, 1);
	for (int i = 0; i < 2; i++) {
		struct spool_report report = {
			.envelope = { .arrived_ms = NOW, .is_dsn = true },
			.rcpt = a_rcpt("a@sender.example", "sender.example"),
		};

		cr_assert_eq(spool_draft_report(f.sp, NOW, 0, &report.draft),
			     MX_OK);
		spool_draft_write(report.draft, SPAN_LIT("Subject: wait\r\n"));
		spool_warned(f.sp, id, SPAN_LIT("a.example"),
			     &report, on_settled, &f);
	}
	turn_until(&f, &f.done, 2);
	cr_assert_eq(f.err, MX_ENOENT);
	check_domain(&f, "sender.example", 1, 0, 0);
	check_domain(&f, "a.example", 1, 0, 0);
}

/* The primary says "later" to a unit that was held meanwhile. */
Test(spool_operator, held_in_hand_stays_held)
{
	uint64_t id = put_simple(&f, "a.example");

	spool_hold(f.sp, (struct spool_selection){ .id = id }, SPAN_LIT("why"),
		   on_counted, &f);
	turn_until(&f, &f.counted, 1);
	settle_one_rcpt(&f, id, "a.example", OUTCOME_TRANSIENT, NOW + 100);
	cr_assert_eq(f.err, MX_OK);
	check_domain(&f, "a.example", 0, 0, 1);
	settle_one_rcpt(&f, id, "a.example", OUTCOME_DELIVERED, 0);
	check_domain(&f, "a.example", 0, 0, 0);
}

static bool first_target(const struct spool_target *t, void *arg)
{
	*(struct spool_target *)arg = *t;
	return false;
}

Test(spool_operator, facts_survive_a_restart)
{
	struct spool_target t = { .name = "mx.a.example[192.0.2.1]:25",
				  .is_up = true,
				  .since_ms = NOW,
				  .last_reply = "250 ok",
				  .ehlo = "PIPELINING",
				  .latency_ms = 12 },
			    got;
	struct spool_domain d;
	struct buf b = { 0 };

	put_simple(&f, "a.example");
	spool_target_put(f.sp, &t);
	spool_domain_destination(f.sp, SPAN_LIT("a.example"),
				 SPAN_LIT("route"));
	spool_fact_put(f.sp, SPAN_LIT("rcpt:x@a.example"), SPAN_LIT("yes"));
	spool_fact_put(f.sp, SPAN_LIT("rcpt:y@a.example"), SPAN_LIT("no"));
	spool_fact_put(f.sp, SPAN_LIT("rcpt:y@a.example"), SPAN_LIT(""));
	spool_close(&f.sp);
	fixture_reopen(&f);
	cr_assert_eq(spool_target_get(f.sp, span_str(t.name), &got), MX_OK);
	cr_expect(got.is_up && got.latency_ms == 12 && got.since_ms == NOW);
	cr_expect_str_eq(got.ehlo, "PIPELINING");
	cr_assert_eq(spool_targets(f.sp, first_target, &got), MX_OK);
	cr_expect_str_eq(got.name, t.name);
	cr_assert_eq(spool_domain_get(f.sp, SPAN_LIT("a.example"), &d), MX_OK);
	cr_expect_str_eq(d.destination, "route");
	cr_assert_eq(spool_fact_get(f.sp, SPAN_LIT("rcpt:x@a.example"), &b),
		     MX_OK);
	cr_expect_str_eq(buf_cstr(&b), "yes");
	cr_assert_eq(spool_fact_get(f.sp, SPAN_LIT("rcpt:y@a.example"), &b),
		     MX_ENOENT);
	buf_fini(&b);
}

/* ---- Forgetting ---- */

static bool count_target(const struct spool_target *t, void *arg)
{
	cr_expect_geq(t->checked_ms != 0 ? t->checked_ms : t->since_ms, NOW,
		      "%s", t->name);
	++*(unsigned *)arg;
	return true;
}

static bool says_old(struct span key, struct span value)
{
	return span_starts(key, SPAN_LIT("sts:")) &&
	       span_eq(value, SPAN_LIT("old"));
}

/* Every third was heard of lately; one row of an earlier version has no such
 * time. */
static void put_targets(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct spool_target t = { .since_ms = NOW - 1000 };

		snprintf(t.name, sizeof(t.name), "mx%u.test[192.0.2.1]:25", i);
		if (i > 0)
			t.checked_ms = i % 3 == 0 ? NOW + i : NOW - i;
		spool_target_put(f.sp, &t);
	}
}

/* More rows than one step has, in both tables. */
Test(spool_operator, what_nobody_needs_is_forgotten)
{
	struct buf b = { 0 };
	unsigned left = 0;

	put_targets(1500);
	for (unsigned i = 0; i < 700; i++) {
		buf_reset(&b);
		buf_addf(&b, "sts:d%u.test", i);
		spool_fact_put(f.sp, buf_span(&b),
			       i == 600 ? SPAN_LIT("new") : SPAN_LIT("old"));
	}
	spool_fact_put(f.sp, SPAN_LIT("last:a.test"), SPAN_LIT("old"));
	spool_forget(f.sp, NOW, says_old, on_counted, &f);
	turn_until(&f, &f.counted, 1);
	cr_expect_eq(f.err, MX_OK);
	cr_assert_eq(spool_targets(f.sp, count_target, &left), MX_OK);
	cr_expect_eq(left, 499);
	buf_reset(&b);
	cr_expect_eq(spool_fact_get(f.sp, SPAN_LIT("sts:d0.test"), &b),
		     MX_ENOENT);
	cr_expect_eq(spool_fact_get(f.sp, SPAN_LIT("sts:d699.test"), &b),
		     MX_ENOENT);
	cr_expect_eq(spool_fact_get(f.sp, SPAN_LIT("sts:d600.test"), &b),
		     MX_OK);
	cr_expect_eq(spool_fact_get(f.sp, SPAN_LIT("last:a.test"), &b), MX_OK);
	buf_fini(&b);
}

static bool in_order(const struct spool_domain *row, void *arg)
{
	struct spool_domain *last = arg;

	cr_assert_lt(strcmp(last->name, row->name), 0, "%s after %s", row->name,
		     last->name);
	cr_assert_eq(row->units, 1);
	*last = *row;
	return strcmp(row->name, "d199.example") != 0;
}

static bool count_row(const struct spool_domain *row, void *arg)
{
	(void)row;
	++*(unsigned *)arg;
	return true;
}

/* A list is read in pages, so that who shows it may take his time. */
Test(spool_operator, domains_are_listed_over_many_pages)
{
	struct spool_domain last = { 0 };
	struct envelope env = an_envelope();
	unsigned n = 0;

	for (unsigned i = 0; i < 200; i++) {
		char name[32];
		struct spool_rcpt r;
		struct spool_draft *d = draft_with(&f, i, 50);

		snprintf(name, sizeof(name), "d%03u.example", i);
		r = a_rcpt("x@y", name);
		spool_commit(&d, &env, &r, 1, on_commit, &f);
	}
	turn_until(&f, &f.committed, 200);
	cr_assert_eq(spool_domains(f.sp, SPAN_LIT(""), in_order, &last), MX_OK);
	cr_assert_str_eq(last.name, "d199.example");
	cr_assert_eq(
		spool_domains(f.sp, SPAN_LIT("d099.example"), count_row, &n),
		MX_OK);
	cr_assert_eq(n, 100);
	n = 0;
	cr_assert_eq(spool_domains(f.sp, SPAN_LIT("x"), count_row, &n), MX_OK);
	cr_assert_eq(n, 0);
}

/* What was tried since then is ready again, as if it had not been. */
Test(spool_operator, tries_are_given_back)
{
	uint64_t before = put_simple(&f, "a.example");
	uint64_t during = put_simple(&f, "a.example");
	uint64_t held = put_simple(&f, "a.example");
	uint64_t other = put_simple(&f, "b.example");
	struct settlement s = { .number = 0,
				.outcome = OUTCOME_TRANSIENT,
				.reply = SPAN_LIT("450 4.2.1 wait") };
	struct unit *u;

	spool_settle(f.sp, before, SPAN_LIT("a.example"), &s, 1, NOW,
		     NOW + 60000, NULL, on_settled, &f);
	spool_settle(f.sp, during, SPAN_LIT("a.example"), &s, 1, NOW + 10,
		     NOW + 60000, NULL, on_settled, &f);
	spool_settle(f.sp, other, SPAN_LIT("b.example"), &s, 1, NOW + 10,
		     NOW + 60000, NULL, on_settled, &f);
	turn_until(&f, &f.done, 3);
	settle_one_rcpt(&f, held, "a.example", OUTCOME_HELD, 0);
	f.announced = 0;
	spool_forgive(f.sp, SPAN_LIT("a.example"), NOW + 5);
	turn_until(&f, &f.announced, 1);
	check_domain(&f, "a.example", 1, 1, 1);
	check_domain(&f, "b.example", 0, 1, 0);
	cr_assert_eq(spool_unit_load(f.sp, during, SPAN_LIT("a.example"), &u),
		     MX_OK);
	cr_assert_eq(u->state, UNIT_READY);
	cr_assert_eq(u->rcpts[0].attempts, 0);
	cr_assert_eq(u->rcpts[0].attempt_ms, NOW + 10);
	cr_assert(span_eq(u->rcpts[0].last_reply, SPAN_LIT("450 4.2.1 wait")));
	unit_free(&u);
}

/*
 * More than a transaction's worth, and asked for at each success: one walk is
 * under way, and what was asked for meanwhile is done behind it.
 */
Test(spool_operator, tries_of_a_thousand_are_given_back)
{
	struct settlement s = { .number = 0, .outcome = OUTCOME_TRANSIENT };

	for (unsigned i = 0; i < 1200; i++) {
		uint64_t id = put_simple(&f, "a.example");

		spool_settle(f.sp, id, SPAN_LIT("a.example"), &s, 1, NOW,
			     NOW + 60000, NULL, on_settled, &f);
	}
	turn_until(&f, &f.done, 1200);
	cr_assert_eq(f.sp->queue.pending, 0);
	spool_forgive(f.sp, SPAN_LIT("a.example"), NOW + 1);
	for (int i = 0; i < 50; i++)
		spool_forgive(f.sp, SPAN_LIT("a.example"), NOW + i % 2);
	spool_forgive(f.sp, SPAN_LIT("b.example"), NOW);
	cr_assert_eq(f.sp->queue.pending, 2, "%zu walks",
		     f.sp->queue.pending);
	while (true) {
		struct spool_domain d;

		cr_assert_eq(spool_domain_get(f.sp, SPAN_LIT("a.example"), &d),
			     MX_OK);
		if (d.ready == 1200)
			break;
		cr_assert_eq(d.ready + d.deferred, 1200);
		ev_run(f.loop, EVRUN_ONCE);
	}
}
