/* Two copies: in step, behind, and at odds. */
#include <stdatomic.h>

#include "common/spool/spool_priv.h"
#include "common/spool/note.h"
#include "common/spool/look.h"
#include "tests/unit/common/spool/mirrored.h"

static struct mirrored w;
static struct fixture *const f = &w.f;

static void setup(void)
{
	mirrored_open(&w);
}

static void teardown(void)
{
	mirrored_close(&w);
}

TestSuite(spool_mirror, .init = setup, .fini = teardown, .timeout = 60);

static bool meta_has(const char *name, struct buf *out)
{
	struct span value;
	MDB_txn *txn;
	enum mx_err err = read_begin(f->sp, &txn);

	cr_assert_eq(err, MX_OK);
	err = table_get_name(&f->sp->tables[T_META], txn, span_str(name),
			     &value);
	if (err == MX_OK && out != NULL)
		buf_add(out, value);
	read_end(f->sp);
	return err == MX_OK;
}

static char schema(void)
{
	struct buf value = { 0 };
	char digit;

	cr_assert(meta_has("schema", &value));
	digit = value.p[0];
	buf_fini(&value);
	return digit;
}

static void start_in_step(enum spool_mirror_away away)
{
	mirror_start(&w, away);
	mirror_in_step(&w);
	cr_assert(lag_of(&w).is_in_step);
}

/* Commit one and say how it ended. */
static enum mx_err try_message(const char *domain)
{
	struct spool_draft *d = draft_with(f, 1, 300);
	struct envelope env = an_envelope();
	struct spool_rcpt r = a_rcpt("user@x", domain);
	unsigned want = f->committed + 1;

	spool_commit(&d, &env, &r, 1, on_commit, f);
	turn_until(f, &f->committed, want);
	return f->err;
}

static void put_many(unsigned n)
{
	struct spool_rcpt r = a_rcpt("user@x", "a.example");
	unsigned want = f->committed + n;

	for (unsigned i = 0; i < n; i++) {
		struct spool_draft *d = draft_with(f, i, 300);
		struct envelope env = an_envelope();

		spool_commit(&d, &env, &r, 1, on_commit, f);
	}
	turn_until(f, &f->committed, want);
	cr_assert_eq(f->err, MX_OK);
}

static void settle_number(uint64_t id, const char *domain, uint32_t number,
			  enum outcome outcome)
{
	struct settlement s = { .number = number, .outcome = outcome };
	unsigned want = f->done + 1;

	spool_settle(f->sp, id, span_str(domain), &s, 1, NOW + 5, 0, NULL,
		     on_settled, f);
	turn_until(f, &f->done, want);
	cr_assert_eq(f->err, MX_OK);
}

static void hold(const char *domain, const char *reason)
{
	struct spool_selection sel = { .domain = span_str(domain) };

	spool_hold(f->sp, sel, span_str(reason), on_counted, f);
	cr_assert_eq(counted(&w), MX_OK);
}

static void release(const char *domain)
{
	struct spool_selection sel = { .domain = span_str(domain) };

	spool_release(f->sp, sel, on_counted, f);
	cr_assert_eq(counted(&w), MX_OK);
}

Test(spool_mirror, without_one_nothing_is_written)
{
	put_simple(f, "a.example");
	hold("a.example", "");
	settle_one_rcpt(f, f->id, "a.example", OUTCOME_TRANSIENT, NOW + 1);
	cr_expect_not(meta_has("mirror", NULL));
	cr_expect_eq(schema(), '1');
	cr_expect_eq(lag_of(&w).lacking, 0);
	cr_expect_not(lag_of(&w).is_in_step);
}

Test(spool_mirror, a_first_one_lacks_all_that_was_there)
{
	put_many(1200);
	hold("a.example", "moving");
	mirror_start(&w, SPOOL_AWAY_ACCEPT);
	cr_assert_eq(mirror_join(&w), MX_EBUSY);
	while (lag_of(&w).lacking < 1200)
		ev_run(f->loop, EVRUN_ONCE);
	cr_expect_eq(lag_of(&w).oldest_ms, NOW);
	cr_expect_eq(schema(), '4', "earlier versions would not note a thing");
	cr_expect(spool_mirror_knows(f->sp, 0), "a new one needs no compare");
	spool_mirror_note_holds(f->sp, SPAN_LIT(""), on_counted, f);
	cr_assert_eq(counted(&w), MX_OK);
	mirror_in_step(&w);
	cr_expect_eq(lag_of(&w).lacking, 0);
	cr_expect_lt(w.m.largest, 2 * PARCEL_SIZE);
	expect_equal(&w);
}

Test(spool_mirror, in_step_each_change_is_there_with_the_answer)
{
	struct spool_rcpt two[] = { a_rcpt("u@a", "a.example"),
				    a_rcpt("v@b", "b.example") };
	uint64_t id;

	start_in_step(SPOOL_AWAY_ACCEPT);
	id = put_message(f, 1, 300, two, 2);
	expect_equal(&w);
	cr_expect_eq(w.m.seq, spool_mirror_seq(f->sp));
	settle_one_rcpt(f, id, "a.example", OUTCOME_TRANSIENT, NOW + 9);
	expect_equal(&w);
	hold("a.example", "moving");
	hold("*.c.example", "");
	expect_equal(&w);
	cr_expect_eq(fake_mirror_count(&w.m, PARCEL_HOLD), 2);
	release("a.example");
	release("*.c.example");
	expect_equal(&w);
	cr_expect_eq(fake_mirror_count(&w.m, PARCEL_HOLD), 0);
	settle_number(id, "b.example", 1, OUTCOME_DELIVERED);
	expect_equal(&w);
	cr_expect_eq(fake_mirror_count(&w.m, PARCEL_UNIT), 1);
	settle_one_rcpt(f, id, "a.example", OUTCOME_REFUSED, 0);
	expect_equal(&w);
	settle_one_rcpt(f, id, "a.example", OUTCOME_PERMANENT, 0);
	cr_expect_eq(w.m.n, 0);
	cr_expect_eq(lag_of(&w).lacking, 0);
	cr_expect_eq(atomic_load(&w.m.joined), 1);
}

Test(spool_mirror, in_step_a_large_content_goes_as_it_comes)
{
	struct spool_draft *d, *gone;
	struct envelope env = an_envelope();
	struct spool_rcpt r = a_rcpt("user@x", "a.example");

	start_in_step(SPOOL_AWAY_ACCEPT);
	d = draft_behind(f, 3, 200, 3 << 20);
	gone = draft_with(f, 4, 1 << 20);
	while (fake_mirror_count(&w.m, PARCEL_CONTENT) < 12)
		ev_run(f->loop, EVRUN_ONCE);
	cr_expect_eq(fake_mirror_count(&w.m, PARCEL_MESSAGE), 0);
	spool_draft_discard(&gone);
	spool_commit(&d, &env, &r, 1, on_commit, f);
	turn_until(f, &f->committed, 1);
	expect_equal(&w);
	put_simple(f, "a.example"); /* behind the end of the other */
	cr_expect_lt(fake_mirror_count(&w.m, PARCEL_CONTENT), 52);
	cr_expect_lt(w.m.largest, 5 << 20);
}

Test(spool_mirror, behind_it_is_noted_and_sent_later)
{
	uint64_t ids[3];

	mirror_start(&w, SPOOL_AWAY_ACCEPT);
	for (size_t i = 0; i < 3; i++)
		ids[i] = put_simple(f, "a.example");
	cr_expect_eq(lag_of(&w).lacking, 3);
	settle_one_rcpt(f, ids[0], "a.example", OUTCOME_DELIVERED, 0);
	cr_expect_eq(lag_of(&w).lacking, 2, "the mirror never heard of it");
	mirror_in_step(&w);
	expect_equal(&w);
	cr_expect_eq(w.m.offered, 0);
}

Test(spool_mirror, what_changes_while_it_is_sent_is_sent_again)
{
	uint64_t id;

	mirror_start(&w, SPOOL_AWAY_ACCEPT);
	id = put_simple(f, "a.example");
	cr_assert(mirror_pick(&w));
	mirror_send(&w);
	settle_one_rcpt(f, id, "a.example", OUTCOME_DELIVERED, 0);
	mirror_strike(&w);
	cr_expect_eq(lag_of(&w).lacking, 1, "it has what is gone here");
	cr_assert_eq(mirror_join(&w), MX_EBUSY);
	mirror_in_step(&w);
	cr_expect_eq(w.m.n, 0);
}

Test(spool_mirror, a_large_content_is_sent_in_parts)
{
	struct spool_rcpt r = a_rcpt("user@x", "a.example");

	mirror_start(&w, SPOOL_AWAY_ACCEPT);
	put_message(f, 1, 2 << 20, &r, 1);
	put_message(f, 2, 50000, &r, 1);
	cr_assert(mirror_pick(&w));
	mirror_send(&w);
	cr_expect_eq(fake_mirror_count(&w.m, PARCEL_MESSAGE), 0,
		     "none that is not whole");
	mirror_strike(&w);
	mirror_in_step(&w);
	cr_expect_lt(w.m.largest, 2 * PARCEL_SIZE);
	expect_equal(&w);
}

static void draft_open_across(size_t before, size_t between, size_t behind)
{
	struct spool_draft *d;
	struct envelope env = an_envelope();
	struct spool_rcpt r = a_rcpt("user@x", "a.example");
	unsigned want = f->committed + 1;
	char *bytes = calloc(1, before + between + behind + 1);
	char *p = bytes;

	memset(bytes, 'x', before + between + behind);
	cr_assert_eq(spool_draft_new(f->sp, NOW, 0, &d), MX_OK);
	spool_draft_write(d, span_of(p, before));
	put_simple(f, "b.example"); /* its pieces go along */
	mirror_catch_up(&w);
	spool_draft_write(d, span_of(p += before, between));
	put_simple(f, "b.example");
	mirror_in_step(&w);
	spool_draft_write(d, span_of(p += between, behind));
	cr_assert_eq(spool_draft_prefix(d, SPAN_LIT("Received: by me\r\n")),
		     MX_OK);
	spool_commit(&d, &env, &r, 1, on_commit, f);
	turn_until(f, &f->committed, want + 2);
	expect_equal(&w);
	free(bytes);
	w.m.fault = FAKE_LOST;
	put_simple(f, "b.example");
	w.m.fault = FAKE_WELL;
}

Test(spool_mirror, content_that_still_arrives_is_carried_over)
{
	mirror_start(&w, SPOOL_AWAY_ACCEPT);
	draft_open_across(100000, 200000, 300000);
	draft_open_across(300000, 0, 0);
	draft_open_across(0, 300000, 10);
	draft_open_across(0, 0, 200000);
}

/* ---- What is not known ---- */

static void in_doubt(enum fake_fault fault)
{
	struct spool_rcpt r = a_rcpt("user@x", "b.example");
	uint64_t id, gone;

	start_in_step(SPOOL_AWAY_ACCEPT);
	id = put_simple(f, "a.example");
	gone = put_simple(f, "a.example");
	atomic_store(&w.m.fault, fault);
	settle_one_rcpt(f, id, "a.example", OUTCOME_TRANSIENT, NOW + 9);
	cr_assert_eq(f->err, MX_OK);
	cr_expect_eq(w.m.offered, 3);
	while (lag_of(&w).lacking == 0)
		ev_run(f->loop, EVRUN_NOWAIT);
	cr_expect_not(lag_of(&w).is_in_step);
	cr_expect(spool_mirror_knows(f->sp, w.m.seq));
	settle_one_rcpt(f, gone, "a.example", OUTCOME_DELIVERED, 0);
	hold("b.example", "");
	put_message(f, 2, 200000, &r, 1);
	cr_expect_eq(w.m.offered, 3, "nothing is offered while behind");
	cr_expect(spool_mirror_knows(f->sp, w.m.seq));
	mirror_restart(&w, SPOOL_AWAY_ACCEPT);
	cr_expect(spool_mirror_knows(f->sp, w.m.seq),
		  "what is noted survives");
	atomic_store(&w.m.fault, FAKE_WELL);
	mirror_in_step(&w);
	expect_equal(&w);
}

Test(spool_mirror, a_parcel_that_is_lost_is_noted)
{
	in_doubt(FAKE_LOST);
}

Test(spool_mirror, a_parcel_that_is_not_sent_is_noted)
{
	in_doubt(FAKE_UNSENT);
}

Test(spool_mirror, a_parcel_without_an_answer_is_noted)
{
	in_doubt(FAKE_UNANSWERED);
}

Test(spool_mirror, new_mail_in_doubt_is_not_doubled_nor_lost)
{
	static const enum fake_fault faults[] = { FAKE_LOST, FAKE_UNSENT,
						  FAKE_UNANSWERED };
	struct spool_rcpt r = a_rcpt("user@x", "a.example");

	start_in_step(SPOOL_AWAY_ACCEPT);
	for (size_t i = 0; i < COUNT(faults); i++) {
		w.m.fault = faults[i];
		put_message(f, 1, 400, &r, 1);
		put_message(f, 1, 400000, &r, 1);
		settle_one_rcpt(f, f->id, "a.example", OUTCOME_DELIVERED, 0);
		w.m.fault = FAKE_WELL;
		mirror_in_step(&w);
		expect_equal(&w);
	}
}

/* ---- The mirror comes first ---- */

Test(spool_mirror, refuse_takes_no_mail_without_it)
{
	uint64_t id;

	start_in_step(SPOOL_AWAY_REFUSE);
	cr_assert_eq(try_message("a.example"), MX_OK);
	id = f->id;
	atomic_store(&w.m.fault, FAKE_LOST);
	cr_expect_eq(try_message("a.example"), MX_EMIRROR);
	cr_expect_not(lag_of(&w).is_in_step);
	cr_expect_eq(try_message("a.example"), MX_EMIRROR);
	cr_expect_eq(w.m.offered, 2, "once is enough");
	cr_expect_eq(w.m.waited, 2, "nobody waits twice for one");
	/* what is there goes on */
	settle_one_rcpt(f, id, "a.example", OUTCOME_DELIVERED, 0);
	cr_expect_eq(f->err, MX_OK);
	atomic_store(&w.m.fault, FAKE_WELL);
	cr_expect_eq(try_message("a.example"), MX_EMIRROR, "not yet");
	mirror_in_step(&w);
	cr_expect_eq(try_message("a.example"), MX_OK);
	expect_equal(&w);
}

Test(spool_mirror, refused_mail_does_not_stay_in_the_mirror)
{
	struct spool_draft *d;
	struct envelope env = an_envelope();
	struct spool_rcpt r = a_rcpt("user@x", "a.example");

	start_in_step(SPOOL_AWAY_REFUSE);
	atomic_store(&w.m.fault, FAKE_UNANSWERED);
	cr_expect_eq(try_message("a.example"), MX_EMIRROR);
	d = draft_with(f, 2, 500000);
	spool_commit(&d, &env, &r, 1, on_commit, f);
	turn_until(f, &f->committed, 2);
	cr_expect_neq(f->err, MX_OK);
	cr_expect_geq(fake_mirror_count(&w.m, PARCEL_MESSAGE), 1);
	atomic_store(&w.m.fault, FAKE_WELL);
	mirror_in_step(&w);
	put_simple(f, "a.example");
	expect_equal(&w);
	cr_expect_eq(fake_mirror_count(&w.m, PARCEL_MESSAGE), 1);
	cr_expect_eq(fake_mirror_count(&w.m, PARCEL_CONTENT), 1);
}

/* Neither of the two has it. */
Test(spool_mirror, refused_mail_that_was_not_sent_is_nowhere)
{
	start_in_step(SPOOL_AWAY_REFUSE);
	atomic_store(&w.m.fault, FAKE_UNSENT);
	cr_expect_eq(try_message("a.example"), MX_EMIRROR);
	cr_expect_not(lag_of(&w).is_in_step);
	cr_expect_eq(lag_of(&w).lacking, 0);
	atomic_store(&w.m.fault, FAKE_WELL);
	cr_expect_eq(mirror_join(&w), MX_OK);
	cr_expect_eq(try_message("a.example"), MX_OK);
	expect_equal(&w);
}

Test(spool_mirror, refuse_can_become_accept)
{
	start_in_step(SPOOL_AWAY_REFUSE);
	atomic_store(&w.m.fault, FAKE_LOST);
	cr_expect_eq(try_message("a.example"), MX_EMIRROR);
	spool_mirror_set_away(f->sp, SPOOL_AWAY_ACCEPT);
	cr_expect_eq(try_message("a.example"), MX_OK);
	cr_expect_eq(lag_of(&w).lacking, 2);
	mirror_in_step(&w);
	expect_equal(&w);
}

/* ---- At odds ---- */

/* LMDB's commit was the last thing that happened, or the mirror lost some. */
Test(spool_mirror, a_mirror_that_lost_some_is_repaired)
{
	struct fake_mirror before;
	uint64_t id, other;

	start_in_step(SPOOL_AWAY_ACCEPT);
	id = put_simple(f, "a.example");
	other = put_simple(f, "a.example");
	fake_mirror_copy(&before, &w.m);
	put_simple(f, "b.example");
	settle_one_rcpt(f, id, "a.example", OUTCOME_DELIVERED, 0);
	settle_one_rcpt(f, other, "a.example", OUTCOME_TRANSIENT, NOW + 9);
	hold("b.example", "");
	fake_mirror_fini(&w.m);
	w.m = before;
	mirror_restart(&w, SPOOL_AWAY_ACCEPT);
	cr_assert_not(spool_mirror_knows(f->sp, w.m.seq));
	mirror_compare(&w);
	cr_expect_eq(lag_of(&w).lacking, 4);
	mirror_in_step(&w);
	expect_equal(&w);
}

Test(spool_mirror, what_happened_without_it_is_compared)
{
	uint64_t id;

	start_in_step(SPOOL_AWAY_ACCEPT);
	id = put_simple(f, "a.example");
	mirror_restart(&w, SPOOL_AWAY_ACCEPT);
	cr_assert(spool_mirror_knows(f->sp, w.m.seq));
	spool_close(&f->sp);
	fixture_reopen(f); /* the setting is gone */
	put_simple(f, "a.example");
	settle_one_rcpt(f, id, "a.example", OUTCOME_DELIVERED, 0);
	put_simple(f, "b.example");
	cr_expect_eq(lag_of(&w).lacking, 0);
	mirror_restart(&w, SPOOL_AWAY_ACCEPT);
	cr_assert_not(spool_mirror_knows(f->sp, w.m.seq));
	mirror_meet(&w);
	expect_equal(&w);
}

/* What the writer does by itself, as dropping what a crash left, waits. */
Test(spool_mirror, a_slow_start_is_no_time_without_it)
{
	start_in_step(SPOOL_AWAY_ACCEPT);
	put_simple(f, "a.example");
	spool_close(&f->sp);
	f->is_mirrored = true;
	fixture_reopen(f);
	usleep(50000);
	cr_expect_eq(spool_mirror_seq(f->sp), w.m.seq);
	mirror_start(&w, SPOOL_AWAY_ACCEPT);
	mirror_in_step(&w);
	cr_expect(spool_mirror_knows(f->sp, w.m.seq));
	expect_equal(&w);
}

/* Else it would always lack what came while the last of it was sent. */
Test(spool_mirror, mail_waits_while_it_joins)
{
	struct envelope env = an_envelope();
	struct spool_rcpt r = a_rcpt("user@x", "a.example");
	struct spool_draft *d;
	unsigned before;

	mirror_start(&w, SPOOL_AWAY_ACCEPT);
	put_simple(f, "a.example");
	f->sp->mirror.calm_ms = 60000;
	cr_assert(mirror_pick(&w));
	before = f->committed;
	d = draft_with(f, 1, 300);
	spool_commit(&d, &env, &r, 1, on_commit, f);
	mirror_send(&w);
	mirror_strike(&w);
	cr_assert_not(mirror_pick(&w));
	cr_expect_eq(f->committed, before);
	cr_assert_eq(mirror_join(&w), MX_OK);
	turn_until(f, &f->committed, before + 1);
	cr_expect(lag_of(&w).is_in_step);
	expect_equal(&w);
}

/* Nor for ever for one that left in the middle of it. */
Test(spool_mirror, mail_does_not_wait_long)
{
	mirror_start(&w, SPOOL_AWAY_ACCEPT);
	put_simple(f, "a.example");
	cr_assert(mirror_pick(&w));
	put_simple(f, "a.example");
	mirror_send(&w);
	mirror_strike(&w);
	mirror_in_step(&w);
	expect_equal(&w);
}

Test(spool_mirror, a_draft_that_a_crash_left_goes_there_too)
{
	struct spool_draft *d;

	start_in_step(SPOOL_AWAY_ACCEPT);
	d = draft_with(f, 1, 200000);
	put_simple(f, "a.example");
	cr_expect_gt(fake_mirror_count(&w.m, PARCEL_CONTENT), 1);
	/* as a crash: what it discards is refused by then */
	f->sp->mirror.ops = NULL;
	spool_draft_discard(&d);
	f->sp->mirror.is_counted = true;
	mirror_restart(&w, SPOOL_AWAY_ACCEPT);
	mirror_compare(&w);
	mirror_in_step(&w);
	cr_expect_eq(fake_mirror_count(&w.m, PARCEL_CONTENT), 1);
}

Test(spool_mirror, a_life_has_a_name)
{
	char first[SPOOL_UUID_SIZE], again[SPOOL_UUID_SIZE];

	mirror_start(&w, SPOOL_AWAY_ACCEPT);
	spool_mirror_uuid(f->sp, first);
	cr_expect_eq(strlen(first), 36);
	put_simple(f, "a.example");
	mirror_restart(&w, SPOOL_AWAY_ACCEPT);
	spool_mirror_uuid(f->sp, again);
	cr_expect_str_eq(first, again);
}

Test(spool_mirror, a_mirror_without_a_number_is_compared)
{
	mirror_start(&w, SPOOL_AWAY_ACCEPT);
	cr_expect_not(spool_mirror_knows(f->sp, UINT64_MAX));
	spool_mirror_compared(f->sp, UINT64_MAX, on_counted, f);
	cr_assert_eq(counted(&w), MX_OK);
	mirror_in_step(&w);
	put_simple(f, "a.example");
	cr_expect_eq(w.m.seq, 1);
	w.m.fault = FAKE_LOST;
	put_simple(f, "a.example");
	w.m.fault = FAKE_WELL;
	mirror_restart(&w, SPOOL_AWAY_ACCEPT);
	cr_expect(spool_mirror_knows(f->sp, w.m.seq));
	mirror_in_step(&w);
	expect_equal(&w);
}

/* ---- What others have ---- */

Test(spool_mirror, what_others_have_goes_without_a_report)
{
	uint64_t ids[3];

	start_in_step(SPOOL_AWAY_ACCEPT);
	ids[0] = put_simple(f, "a.example");
	ids[1] = put_simple(f, "b.example");
	put_simple(f, "b.example");
	ids[2] = 12345; /* gone long since */
	spool_mirror_drop(f->sp, ids, 3, on_counted, f);
	cr_assert_eq(counted(&w), MX_OK);
	cr_expect_eq(f->units, 2);
	check_domain(f, "a.example", 0, 0, 0);
	check_domain(f, "b.example", 1, 0, 0);
	expect_equal(&w);
}
