/* Mail of another node: from its rows in the mirror into the spool. */
#include "common/spool/find.h"
#include "common/spool/look.h"
#include "common/spool/spool_priv.h"
#include "tests/unit/common/spool/mirrored.h"

static struct mirrored w;
static struct fixture *const f = &w.f;

static void setup(void)
{
	mirrored_open(&w);
	mirror_start(&w, SPOOL_AWAY_ACCEPT);
	cr_assert_eq(mirror_join(&w), MX_OK);
}

static void teardown(void)
{
	mirrored_close(&w);
}

TestSuite(spool_adopt, .init = setup, .fini = teardown, .timeout = 60);

static uint64_t fresh_ids(int64_t now_ms, size_t n)
{
	spool_mirror_ids(f->sp, now_ms, n, on_counted, f);
	cr_assert_eq(counted(&w), MX_OK);
	return f->units;
}

/*
 * All that is in the mirror is taken from this node, which loses its disk, and
 * given to another: under new ids, still to come.
 */
static void die_and_take(uint64_t *ids, size_t n)
{
	char path[100];
	uint64_t first;

	spool_close(&f->sp);
	snprintf(path, sizeof(path), "%s/data.mdb", f->dir);
	unlink(path);
	fixture_reopen(f);
	spool_subscribe(f->sp, on_ready, f);
	w.m.seq = 0;
	mirror_start(&w, SPOOL_AWAY_ACCEPT);
	spool_mirror_lease(f->sp, INT64_MAX, 0);
	first = fresh_ids(NOW + 1000, n);
	for (size_t i = 0; i < w.m.n; i++) {
		struct fake_row *r = &w.m.rows[i];

		r->is_incoming = r->kind == PARCEL_MESSAGE;
		for (size_t k = 0; k < n; k++)
			if (r->id == ids[k]) {
				r->id = first + k;
				break;
			}
	}
	for (size_t k = 0; k < n; k++)
		ids[k] = first + k;
	cr_assert_eq(mirror_join(&w), MX_OK);
}

/* Its units, as they stand in the mirror. */
static size_t units_of(uint64_t id, struct spool_adopted *units)
{
	size_t n = 0;

	for (size_t i = 0; i < w.m.n; i++) {
		const struct fake_row *r = &w.m.rows[i];

		if (r->kind == PARCEL_UNIT && r->id == id)
			units[n++] = (struct spool_adopted){
				.domain = span_str(r->domain),
				.state = buf_span(&r->state),
				.row = buf_span(&r->row),
			};
	}
	return n;
}

static struct spool_adoption *begin(uint64_t id)
{
	struct spool_adoption *a = NULL;
	struct buf content = { 0 };
	struct span left;

	cr_assert_eq(spool_adopt_new(f->sp, id, &a), MX_OK);
	fake_mirror_content(&w.m, id, &content);
	for (left = buf_span(&content); left.n > 0;
	     left = span_skip(left, 10000))
		spool_adopt_content(
			a, span_of(left.p, left.n < 10000 ? left.n : 10000));
	buf_fini(&content);
	return a;
}

static struct span message_of(uint64_t id)
{
	struct fake_row *r =
		fake_mirror_find(&w.m, PARCEL_MESSAGE, id, 0, "");

	cr_assert_not_null(r);
	return buf_span(&r->row);
}

static enum mx_err finish(struct spool_adoption **a, uint64_t id,
			  const struct spool_adopted *units, size_t n)
{
	unsigned want = f->done + 1;

	spool_adopt_commit(a, message_of(id), units, n, on_settled, f);
	cr_assert_null(*a);
	turn_until(f, &f->done, want);
	return f->err;
}

static enum mx_err adopt(uint64_t id)
{
	struct spool_adopted units[8];
	struct spool_adoption *a = begin(id);

	return finish(&a, id, units, units_of(id, units));
}

static bool is_incoming(uint64_t id)
{
	return fake_mirror_find(&w.m, PARCEL_MESSAGE, id, 0, "")->is_incoming;
}

static struct unit *unit_of(uint64_t id, const char *domain)
{
	struct unit *u = NULL;

	cr_assert_eq(spool_unit_load(f->sp, id, span_str(domain), &u), MX_OK);
	return u;
}

Test(spool_adopt, what_is_ready_is_ready_here)
{
	uint64_t id = put_simple(f, "a.example");
	struct unit *u;

	die_and_take(&id, 1);
	f->announced = 0;
	cr_assert_eq(adopt(id), MX_OK);
	cr_expect_not(is_incoming(id), "the mirror was told");
	expect_equal(&w);
	check_content(f, id, 1, 300, 100);
	cr_expect_eq(f->announced, 1);
	u = unit_of(id, "a.example");
	cr_expect_eq(u->envelope.arrived_ms, NOW);
	cr_expect_eq(u->expires_ms, NOW + 10000);
	cr_expect_eq(u->message_units, 1);
	cr_expect(span_eq(u->rcpts[0].path, SPAN_LIT("user@x")));
	unit_free(&u);
}

Test(spool_adopt, a_large_one_goes_in_pieces)
{
	struct spool_rcpt r = a_rcpt("user@x", "a.example");
	uint64_t id = put_message(f, 5, 700000, &r, 1);

	die_and_take(&id, 1);
	cr_assert_eq(adopt(id), MX_OK);
	check_content(f, id, 5, 700000, 100000);
	expect_equal(&w);
}

Test(spool_adopt, one_without_content)
{
	struct spool_rcpt r = a_rcpt("user@x", "a.example");
	uint64_t id = put_message(f, 5, 0, &r, 1);

	die_and_take(&id, 1);
	cr_assert_eq(adopt(id), MX_OK);
	expect_equal(&w);
}

static void settle_number(uint64_t id, const char *domain, uint32_t number,
			  enum outcome outcome, int64_t due_ms)
{
	struct settlement s = { .number = number,
				.outcome = outcome,
				.reply = SPAN_LIT("450 4.2.1 wait"),
				.host = SPAN_LIT("mx1"),
				.until_ms = NOW + HOURS(5) };
	unsigned want = f->done + 1;

	spool_settle(f->sp, id, span_str(domain), &s, 1, NOW + 5, due_ms, NULL,
		     on_settled, f);
	turn_until(f, &f->done, want);
	cr_assert_eq(f->err, MX_OK);
}

static void expect_parked(uint64_t id, const char *domain, int64_t at_ms)
{
	struct spool_expiry e[8];
	size_t n = expired_by(f->sp, at_ms, NULL, e, 8), hits = 0;

	for (size_t i = 0; i < n; i++)
		hits += e[i].id == id && e[i].is_parked &&
			strcmp(e[i].domain, domain) == 0;
	cr_expect_eq(hits, 1);
}

Test(spool_adopt, each_unit_stands_where_it_stood)
{
	struct spool_rcpt rcpts[] = {
		a_rcpt("u@a", "a.example"), a_rcpt("u@b", "b.example"),
		a_rcpt("u@c", "c.example"), a_rcpt("u@d", "d.example"),
		a_rcpt("v@d", "d.example"), a_rcpt("u@e", "e.example"),
	};
	uint64_t id = put_message(f, 1, 300, rcpts, COUNT(rcpts));
	struct spool_selection sel = { .id = id,
				       .domain = SPAN_LIT("c.example") };
	struct unit *u;

	settle_number(id, "a.example", 0, OUTCOME_DELIVERED, 0);
	settle_number(id, "b.example", 1, OUTCOME_TRANSIENT, NOW + 77);
	spool_hold(f->sp, sel, SPAN_LIT("look at it"), on_counted, f);
	cr_assert_eq(counted(&w), MX_OK);
	settle_number(id, "d.example", 3, OUTCOME_REFUSED, 0);
	settle_number(id, "e.example", 5, OUTCOME_SHELVED, 0);
	die_and_take(&id, 1);
	cr_assert_eq(adopt(id), MX_OK);
	expect_equal(&w);
	check_domain(f, "a.example", 0, 0, 0);
	check_domain(f, "b.example", 0, 1, 0);
	check_domain(f, "c.example", 0, 0, 1);
	check_domain(f, "d.example", 1, 0, 0);
	u = unit_of(id, "b.example");
	cr_expect_eq(u->state, UNIT_DEFERRED);
	cr_expect_eq(u->due_ms, NOW + 77);
	cr_expect_eq(u->rcpts[0].attempts, 1);
	cr_expect(span_eq(u->rcpts[0].last_reply, SPAN_LIT("450 4.2.1 wait")));
	cr_expect_eq(u->message_units, 4);
	unit_free(&u);
	u = unit_of(id, "c.example");
	cr_expect(span_eq(u->hold_reason, SPAN_LIT("look at it")));
	unit_free(&u);
	u = unit_of(id, "e.example");
	cr_expect_eq(u->state, UNIT_REFUSED);
	unit_free(&u);
	expect_parked(id, "d.example", NOW + HOURS(5));
	expect_parked(id, "e.example", NOW + HOURS(5));
}

Test(spool_adopt, what_its_node_held_is_held)
{
	uint64_t id = put_simple(f, "a.example");
	struct spool_adopted unit;
	struct spool_adoption *a;
	struct unit *u;

	die_and_take(&id, 1);
	a = begin(id);
	cr_assert_eq(units_of(id, &unit), 1);
	unit.is_held = true;
	unit.hold_reason = SPAN_LIT("held at mx2a: moving");
	cr_assert_eq(finish(&a, id, &unit, 1), MX_OK);
	check_domain(f, "a.example", 0, 0, 1);
	u = unit_of(id, "a.example");
	cr_expect(span_eq(u->hold_reason, unit.hold_reason));
	unit_free(&u);
	expect_equal(&w);
}

Test(spool_adopt, while_behind_the_mirror_hears_later)
{
	uint64_t id = put_simple(f, "a.example");

	die_and_take(&id, 1);
	w.m.fault = FAKE_LOST;
	put_simple(f, "b.example");
	cr_assert_eq(adopt(id), MX_OK);
	cr_expect(is_incoming(id));
	w.m.fault = FAKE_WELL;
	mirror_in_step(&w);
	cr_expect_not(is_incoming(id));
	expect_equal(&w);
}

Test(spool_adopt, it_is_not_taken_twice)
{
	struct spool_adoption *a = NULL;
	uint64_t id = put_simple(f, "a.example");

	die_and_take(&id, 1);
	w.m.fault = FAKE_LOST;
	cr_assert_eq(adopt(id), MX_OK);
	cr_expect_eq(spool_adopt_new(f->sp, id, &a), MX_EBUSY);
	cr_expect_null(a);
	/* the mirror did not hear of it; nor that it has left since */
	settle_one_rcpt(f, id, "a.example", OUTCOME_DELIVERED, 0);
	cr_expect(is_incoming(id));
	cr_expect_eq(spool_adopt_new(f->sp, id, &a), MX_EBUSY);
	spool_mirror_note(f->sp, &id, 1, false, on_counted, f);
	cr_assert_eq(counted(&w), MX_OK);
	w.m.fault = FAKE_WELL;
	mirror_in_step(&w);
	cr_expect_eq(w.m.n, 0);
}

/* As after a crash between the two transactions. */
Test(spool_adopt, what_is_here_is_told_again)
{
	uint64_t id = put_simple(f, "a.example");

	die_and_take(&id, 1);
	cr_assert_eq(adopt(id), MX_OK);
	fake_mirror_find(&w.m, PARCEL_MESSAGE, id, 0, "")->is_incoming = true;
	spool_mirror_note(f->sp, &id, 1, false, on_counted, f);
	cr_assert_eq(counted(&w), MX_OK);
	cr_expect_eq(lag_of(&w).lacking, 1);
	cr_expect(lag_of(&w).is_in_step);
	settle_one_rcpt(f, id, "a.example", OUTCOME_TRANSIENT, NOW + 3);
	mirror_catch_up(&w);
	cr_expect_not(is_incoming(id));
	expect_equal(&w);
}

Test(spool_adopt, one_that_breaks_off_is_still_to_come)
{
	struct spool_rcpt r = a_rcpt("user@x", "a.example");
	uint64_t id = put_message(f, 5, 400000, &r, 1);
	size_t rows = w.m.n;
	struct spool_adoption *a;

	die_and_take(&id, 1);
	a = begin(id);
	put_simple(f, "b.example");
	spool_adopt_discard(&a);
	cr_expect_null(a);
	put_simple(f, "b.example");
	cr_expect_eq(w.m.n, rows + 6);
	cr_expect(is_incoming(id));
	/* and as after a crash: pieces without a message */
	a = begin(id);
	put_simple(f, "b.example");
	f->sp->mirror.ops = NULL;
	spool_adopt_discard(&a);
	mirror_restart(&w, SPOOL_AWAY_ACCEPT);
	mirror_meet(&w);
	cr_expect(is_incoming(id));
	cr_assert_eq(adopt(id), MX_OK);
	check_content(f, id, 5, 400000, 100000);
	expect_equal(&w);
}

Test(spool_adopt, what_does_not_decode_is_not_taken)
{
	uint64_t id = put_simple(f, "a.example");
	struct spool_adopted unit, bad;
	struct spool_adoption *a;

	die_and_take(&id, 1);
	cr_assert_eq(units_of(id, &unit), 1);
	for (unsigned i = 0; i < 5; i++) {
		bad = unit;
		if (i == 0)
			bad.row.n--;
		else if (i == 1)
			bad.row.n = 0;
		else if (i == 2)
			bad.state = SPAN_LIT("x");
		else if (i == 3)
			bad.domain = SPAN_LIT("");
		a = begin(id);
		if (i == 4)
			spool_adopt_content(a, SPAN_LIT("one more"));
		cr_expect_eq(finish(&a, id, &bad, 1), MX_EINVAL, "%u", i);
	}
	a = begin(id);
	cr_expect_eq(finish(&a, id, &unit, 0), MX_EINVAL);
	cr_expect(is_incoming(id));
	cr_assert_eq(adopt(id), MX_OK);
}

Test(spool_adopt, ids_are_above_those_the_mirror_has)
{
	uint64_t far = (uint64_t)(NOW + DAYS(9)) << 20;

	spool_mirror_past(f->sp, far);
	cr_expect_gt(fresh_ids(NOW, 10), far);
	cr_expect_gt(put_simple(f, "a.example"), far + 10);
	spool_mirror_past(f->sp, 5);
	cr_expect_gt(fresh_ids(NOW, 1), far);
}

/* ---- A spool that lost some ---- */

static void copy_spool(const char *from, const char *to)
{
	char line[300];

	snprintf(line, sizeof(line), "cp %s/%s %s/%s", f->dir, from, f->dir,
		 to);
	cr_assert_eq(system(line), 0);
}

/* The spool is put back to what it was. */
static void keep_copy(void)
{
	spool_close(&f->sp);
	copy_spool("data.mdb", "old.mdb");
	fixture_reopen(f);
	mirror_start(&w, SPOOL_AWAY_ACCEPT);
	mirror_meet(&w);
}

static void open_copy(void)
{
	char path[100];

	spool_close(&f->sp);
	copy_spool("old.mdb", "data.mdb");
	snprintf(path, sizeof(path), "%s/old.mdb", f->dir);
	unlink(path);
	fixture_reopen(f);
	mirror_start(&w, SPOOL_AWAY_ACCEPT);
	spool_mirror_lease(f->sp, INT64_MAX, 0);
}

static void put_back(void)
{
	open_copy();
	cr_assert_not(spool_mirror_knows(f->sp, w.m.seq));
}

/* It crashed when they had been given to mail that is still to come. */
Test(spool_adopt, ids_are_not_given_out_again_after_a_crash)
{
	uint64_t last = fresh_ids(NOW, 500) + 499;

	copy_spool("data.mdb", "old.mdb");
	open_copy();
	cr_expect_gt(fresh_ids(NOW - DAYS(1), 1), last);
}

/* The mirror's commit was the last thing, the disk forgot some, or a backup was
 * put in its place: what the mirror has since is the only copy. */
Test(spool_adopt, mail_that_a_spool_lost_comes_back)
{
	const struct spool_selection sel = { .domain = SPAN_LIT("b.example") };
	uint64_t id = put_simple(f, "a.example"), late;

	keep_copy();
	late = put_simple(f, "b.example");
	settle_one_rcpt(f, id, "a.example", OUTCOME_DELIVERED, 0);
	spool_hold(f->sp, sel, SPAN_LIT("look at it"), on_counted, f);
	cr_assert_eq(counted(&w), MX_OK);
	expect_equal(&w);
	put_back();
	spool_mirror_past(f->sp, late);
	mirror_meet(&w);
	cr_expect(is_incoming(late));
	cr_assert_eq(adopt(late), MX_OK);
	expect_equal(&w);
	check_content(f, late, 1, 300, 100);
	cr_expect_eq(fake_mirror_count(&w.m, PARCEL_MESSAGE), 2,
		     "better twice than not at all");
	put_simple(f, "a.example");
	expect_equal(&w);
	cr_expect_eq(w.m.seq, spool_mirror_seq(f->sp), "numbers only grow");
}

/* It left here while the mirror was away: that it comes again is no loss. */
Test(spool_adopt, what_a_spool_noted_as_gone_stays_gone)
{
	uint64_t id = put_simple(f, "a.example");
	struct spool_adoption *a;

	w.m.fault = FAKE_UNSENT;
	settle_one_rcpt(f, id, "a.example", OUTCOME_DELIVERED, 0);
	w.m.fault = FAKE_WELL;
	w.m.seq = spool_mirror_seq(f->sp) + 5; /* of commits that are lost */
	mirror_restart(&w, SPOOL_AWAY_ACCEPT);
	mirror_compare(&w);
	cr_expect(is_incoming(id));
	cr_expect_eq(spool_adopt_new(f->sp, id, &a), MX_EBUSY);
	mirror_in_step(&w);
	cr_expect_null(fake_mirror_find(&w.m, PARCEL_MESSAGE, id, 0, ""));
}
