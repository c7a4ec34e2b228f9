/* Recipients that failed, and what may become of them before they go. */
#include "common/spool/spool_priv.h"
#include "tests/unit/common/spool/fixture.h"

static struct fixture f;
static int64_t now_ms;

#define A SPAN_LIT("a.example")
#define WINDOW SECONDS(60)

static void setup(void)
{
	fixture_open(&f);
	now_ms = clock_wall_ms();
	spool_subscribe(f.sp, on_ready, &f);
}

static void teardown(void)
{
	fixture_audit(&f);
	fixture_close(&f);
}

TestSuite(spool_parked, .init = setup, .fini = teardown, .timeout = 60);

static uint64_t arrive(const char *domain, size_t rcpts)
{
	struct spool_rcpt r[3];

	for (size_t i = 0; i < rcpts; i++) {
		r[i] = a_rcpt("user@x", domain);
		r[i].expires_ms = now_ms + DAYS(14);
		r[i].warn_ms = now_ms + HOURS(4);
	}
	return put_message(&f, 1, 300, r, rcpts);
}

/* One recipient of a unit, at now_ms. */
static void settle(uint64_t id, uint32_t number, enum outcome outcome,
		   int64_t until_ms)
{
	struct settlement s = { .number = number,
				.outcome = outcome,
				.reply = SPAN_LIT("550 5.1.1 nobody"),
				.host = SPAN_LIT("mx1"),
				.until_ms = until_ms };
	unsigned want = f.done + 1;

	spool_settle(f.sp, id, A, &s, 1, now_ms, now_ms + HOURS(1), NULL,
		     on_settled, &f);
	turn_until(&f, &f.done, want);
	cr_assert_eq(f.err, MX_OK);
}

static enum mx_err settle_parked(uint64_t id, uint32_t number,
				 enum outcome outcome, int64_t until_ms)
{
	struct settlement s = { .number = number,
				.outcome = outcome,
				.reply = SPAN_LIT("not its words"),
				.until_ms = until_ms };
	unsigned want = f.done + 1;

	spool_settle_parked(f.sp, id, A, &s, 1, now_ms, NULL, on_settled, &f);
	turn_until(&f, &f.done, want);
	return f.err;
}

static uint64_t unrefuse(int64_t since_ms)
{
	unsigned want = f.counted + 1;

	spool_unrefuse(f.sp, A, since_ms, on_counted, &f);
	turn_until(&f, &f.counted, want);
	cr_assert_eq(f.err, MX_OK);
	return f.units;
}

static uint64_t release(struct spool_selection sel)
{
	unsigned want = f.counted + 1;

	spool_release(f.sp, sel, on_counted, &f);
	turn_until(&f, &f.counted, want);
	cr_assert_eq(f.err, MX_OK);
	return f.units;
}

static void check_row(uint64_t ready, uint64_t deferred, uint64_t held,
		      uint64_t refused)
{
	struct spool_domain d = { 0 };

	cr_assert_neq(spool_domain_get(f.sp, A, &d), MX_ECORRUPT);
	cr_expect_eq(d.ready, ready, "ready %lu", (unsigned long)d.ready);
	cr_expect_eq(d.deferred, deferred);
	cr_expect_eq(d.held, held);
	cr_expect_eq(d.refused, refused);
	cr_expect_eq(d.units, ready + deferred + held + refused);
}

/* How many of them are parked, and due by then. */
static size_t due_by(uint64_t id, int64_t at_ms)
{
	struct unit *u = NULL;
	size_t n = 0;

	if (spool_unit_parked(f.sp, id, A, at_ms, &u) == MX_OK)
		n = u->rcpt_count;
	unit_free(&u);
	return n;
}

/* What time brings by then: kinds, by their first letters. */
static void check_ends(int64_t at_ms, const char *want)
{
	struct spool_expiry e[8];
	size_t n;

	trusted_clock_believe(&f.sp->clock, at_ms, clock_mono_ms());
	n = expired_by(f.sp, at_ms, NULL, e, COUNT(e));

	cr_assert_eq(n, strlen(want), "%zu ends", n);
	for (size_t i = 0; i < n; i++)
		cr_expect_eq(want[i], e[i].is_parked	? 'p'
				      : e[i].is_warning ? 'w'
							: 'e');
}

static char schema(void)
{
	struct span row;
	MDB_txn *txn;
	char c;

	cr_assert_eq(mdb_txn_begin(f.sp->env, NULL, MDB_RDONLY, &txn), 0);
	cr_assert_eq(table_get_name(&f.sp->tables[T_META], txn,
				    SPAN_LIT("schema"), &row),
		     MX_OK);
	c = row.p[0];
	mdb_txn_abort(txn);
	return c;
}

Test(spool_parked, a_refusal_waits_and_goes)
{
	uint64_t id = arrive("a.example", 1);
	struct unit *u;

	cr_expect_eq(schema(), '1');
	settle(id, 0, OUTCOME_REFUSED, now_ms + WINDOW);
	cr_expect_eq(schema(), '3', "earlier versions would misread it");
	check_row(0, 0, 0, 1);
	cr_assert_eq(spool_unit_load(f.sp, id, A, &u), MX_OK);
	cr_expect_eq(u->state, UNIT_REFUSED);
	cr_expect_eq(u->rcpts[0].state, RECIPIENT_REFUSED);
	cr_expect_eq(u->rcpts[0].until_ms, now_ms + WINDOW);
	cr_expect_eq(u->rcpts[0].attempt_ms, now_ms);
	cr_expect(span_eq(u->rcpts[0].last_host, SPAN_LIT("mx1")));
	unit_free(&u);
	cr_expect_eq(due_by(id, now_ms + WINDOW - 1), 0);
	cr_expect_eq(due_by(id, now_ms + WINDOW), 1);
	check_ends(now_ms + WINDOW - 1, "");
	check_ends(now_ms + WINDOW, "p");
	check_ends(now_ms + DAYS(1), "p");
	fixture_audit(&f);
	cr_assert_eq(settle_parked(id, 0, OUTCOME_PERMANENT, 0), MX_OK);
	check_row(0, 0, 0, 0);
	check_ends(now_ms + DAYS(1), "");
}

Test(spool_parked, all_of_it_survives_a_restart)
{
	uint64_t refused = arrive("a.example", 1);
	uint64_t shelved = arrive("a.example", 1);

	settle(refused, 0, OUTCOME_REFUSED, now_ms + WINDOW);
	settle(shelved, 0, OUTCOME_SHELVED, now_ms + DAYS(7));
	spool_close(&f.sp);
	fixture_reopen(&f);
	check_row(0, 0, 0, 2);
	cr_expect_eq(due_by(refused, now_ms + WINDOW), 1);
	cr_expect_eq(due_by(shelved, now_ms + DAYS(7) - 1), 0);
	cr_expect_eq(due_by(shelved, now_ms + DAYS(7)), 1);
}

/* Its words and its count are those of the refusal. */
Test(spool_parked, from_a_refusal_to_the_shelf)
{
	uint64_t id = arrive("a.example", 1);
	struct unit *u;

	settle(id, 0, OUTCOME_REFUSED, now_ms + WINDOW);
	cr_assert_eq(settle_parked(id, 0, OUTCOME_SHELVED, now_ms + DAYS(7)),
		     MX_OK);
	check_row(0, 0, 0, 1);
	check_ends(now_ms + WINDOW, "");
	cr_assert_eq(spool_unit_load(f.sp, id, A, &u), MX_OK);
	cr_expect_eq(u->rcpts[0].state, RECIPIENT_SHELVED);
	cr_expect_eq(u->rcpts[0].attempts, 1);
	cr_expect(span_eq(u->rcpts[0].last_reply,
			  SPAN_LIT("550 5.1.1 nobody")));
	unit_free(&u);
	cr_expect_eq(unrefuse(0), 0, "it is final");
	check_row(0, 0, 0, 1);
}

Test(spool_parked, the_others_of_its_unit_stand_as_they_do)
{
	uint64_t id = arrive("a.example", 3);
	struct unit *u;

	settle(id, 1, OUTCOME_REFUSED, now_ms + WINDOW);
	check_row(1, 0, 0, 0);
	settle(id, 0, OUTCOME_TRANSIENT, 0);
	check_row(0, 1, 0, 0);
	cr_assert_eq(spool_unit_load(f.sp, id, A, &u), MX_OK);
	cr_expect_eq(u->rcpt_count, 2, "the refused one is not tried");
	unit_free(&u);
	fixture_audit(&f);
	cr_assert_eq(settle_parked(id, 1, OUTCOME_SHELVED, now_ms + 1), MX_OK);
	check_row(0, 1, 0, 0);
	cr_assert_eq(settle_parked(id, 1, OUTCOME_PERMANENT, 0), MX_OK);
	check_row(0, 1, 0, 0);
	check_ends(now_ms + DAYS(1), "w");
}

Test(spool_parked, refusals_are_undone)
{
	uint64_t before = arrive("a.example", 1);
	uint64_t within = arrive("a.example", 2);
	uint64_t held = arrive("a.example", 1);
	struct spool_selection one = { .id = held };
	struct unit *u;

	settle(before, 0, OUTCOME_REFUSED, now_ms + WINDOW);
	now_ms += 1000;
	settle(within, 0, OUTCOME_REFUSED, now_ms + WINDOW);
	settle(within, 1, OUTCOME_TRANSIENT, 0);
	settle(held, 0, OUTCOME_REFUSED, now_ms + WINDOW);
	spool_hold(f.sp, one, SPAN_LIT("why"), on_counted, &f);
	turn_until(&f, &f.counted, 1);
	f.announced = 0;
	cr_expect_eq(unrefuse(now_ms), 2);
	turn_until(&f, &f.announced, 1);
	check_row(1, 0, 1, 1);
	cr_assert_eq(spool_unit_load(f.sp, within, A, &u), MX_OK);
	cr_expect_eq(u->rcpt_count, 2);
	cr_expect_eq(u->rcpts[0].attempts, 0);
	cr_expect_eq(u->rcpts[0].attempt_ms, 0, "it waits for no retry");
	cr_expect_eq(u->rcpts[1].attempts, 1);
	unit_free(&u);
	fixture_audit(&f);
	cr_assert_eq(settle_parked(within, 0, OUTCOME_PERMANENT, 0), MX_ENOENT,
		     "it is about to be tried");
	check_row(1, 0, 1, 1);
	cr_expect_eq(unrefuse(0), 1);
	check_row(2, 0, 1, 0);
	check_ends(now_ms + DAYS(15), "wee");
	cr_expect_eq(release(one), 1);
	check_row(3, 0, 0, 0);
}

Test(spool_parked, a_thousand_refusals_are_undone)
{
	struct settlement s = { .outcome = OUTCOME_REFUSED,
				.until_ms = now_ms + WINDOW };
	unsigned n = 1200;

	for (unsigned i = 0; i < n; i++) {
		uint64_t id = arrive(i % 3 == 0 ? "b.example" : "a.example", 1);

		spool_settle(f.sp, id,
			     i % 3 == 0 ? SPAN_LIT("b.example") : A, &s, 1,
			     now_ms, 0, NULL, on_settled, &f);
	}
	turn_until(&f, &f.done, n);
	cr_expect_eq(unrefuse(now_ms), 800);
	check_row(800, 0, 0, 0);
}

Test(spool_parked, release_lets_go_what_failed)
{
	uint64_t shelved = arrive("a.example", 1);
	uint64_t refused = arrive("a.example", 1);
	uint64_t failed = arrive("a.example", 1);
	uint64_t kept = arrive("a.example", 1);
	struct spool_selection one = { .id = kept }, all = { .domain = A };

	settle(shelved, 0, OUTCOME_SHELVED, now_ms + DAYS(7));
	settle(refused, 0, OUTCOME_REFUSED, now_ms + WINDOW);
	settle(failed, 0, OUTCOME_HELD, 0);
	spool_hold(f.sp, one, SPAN_LIT("evidence"), on_counted, &f);
	turn_until(&f, &f.counted, 1);
	check_row(0, 0, 2, 2);
	cr_expect_eq(release(all), 3);
	check_row(3, 0, 1, 0);
	check_ends(now_ms + DAYS(15), "eee");
	cr_expect_eq(release(one), 1);
	check_row(4, 0, 0, 0);
}

/* Delivered is delivered, whatever is done to the rest. */
Test(spool_parked, what_was_taken_is_not_tried_again)
{
	uint64_t id = arrive("a.example", 2);
	struct spool_selection one = { .id = id }, all = { .domain = A };
	struct unit *u;

	settle(id, 0, OUTCOME_TAKEN, now_ms);
	settle(id, 1, OUTCOME_SHELVED, now_ms + DAYS(7));
	cr_assert_eq(spool_unit_load(f.sp, id, A, &u), MX_OK);
	cr_expect_eq(u->rcpt_count, 1);
	cr_expect_eq(u->rcpts[0].number, 1);
	unit_free(&u);
	cr_expect_eq(release(all), 1);
	check_row(1, 0, 0, 0);
	settle(id, 1, OUTCOME_DELIVERED, 0);
	check_row(0, 0, 0, 1);
	cr_expect_eq(release(one), 0);
	check_row(0, 0, 0, 1);
	cr_assert_eq(settle_parked(id, 0, OUTCOME_DELIVERED, 0), MX_OK);
	check_row(0, 0, 0, 0);
}

/* A hold strikes its time off; behind that it is looked at all the same. */
Test(spool_parked, what_was_taken_outlives_a_hold)
{
	uint64_t id = arrive("a.example", 1);
	struct spool_selection one = { .id = id }, all = { .domain = A };

	settle(id, 0, OUTCOME_TAKEN, now_ms);
	spool_hold(f.sp, all, SPAN_LIT("why"), on_counted, &f);
	turn_until(&f, &f.counted, 1);
	check_ends(now_ms, "");
	release(all);
	check_ends(now_ms, "p");
	spool_hold(f.sp, one, SPAN_LIT("why"), on_counted, &f);
	turn_until(&f, &f.counted, 3);
	check_row(0, 0, 1, 0);
	check_ends(now_ms, "");
	release(one);
	check_row(0, 0, 0, 1);
	check_ends(now_ms, "p");
}

/* No time ends while a domain is held or listed no longer. */
Test(spool_parked, an_unlisted_domain)
{
	uint64_t id = arrive("a.example", 1);

	settle(id, 0, OUTCOME_SHELVED, now_ms + DAYS(7));
	spool_unlisted(f.sp, A, on_counted, &f);
	turn_until(&f, &f.counted, 1);
	check_ends(now_ms + DAYS(8), "");
	spool_listed(f.sp, A, now_ms + DAYS(9), on_counted, &f);
	turn_until(&f, &f.counted, 2);
	check_row(0, 0, 0, 1);
	check_ends(now_ms + DAYS(9) - 1, "");
	check_ends(now_ms + DAYS(9), "p");
}

struct seen {
	uint64_t ids[2];
	size_t n;
};

static bool see(const struct unit *u, void *arg)
{
	struct seen *s = arg;

	cr_assert_lt(s->n, COUNT(s->ids));
	s->ids[s->n++] = u->envelope.id;
	return true;
}

Test(spool_parked, the_shelf_is_listed)
{
	uint64_t shelved, partly;
	struct seen s = { .n = 0 };

	arrive("a.example", 1);
	shelved = arrive("a.example", 1);
	settle(arrive("a.example", 1), 0, OUTCOME_REFUSED, now_ms + WINDOW);
	partly = arrive("a.example", 2);
	settle(shelved, 0, OUTCOME_SHELVED, now_ms + DAYS(7));
	settle(partly, 1, OUTCOME_SHELVED, now_ms + DAYS(7));
	cr_assert_eq(spool_list_shelved(f.sp, A, 0, see, &s), MX_OK);
	cr_expect(s.n == 2 && s.ids[0] == shelved && s.ids[1] == partly);
	s.n = 0;
	cr_assert_eq(spool_list_shelved(f.sp, SPAN_LIT(""), shelved, see, &s),
		     MX_OK);
	cr_expect(s.n == 1 && s.ids[0] == partly);
}

Test(spool_parked, is_removed)
{
	uint64_t id = arrive("a.example", 2);
	unsigned want = f.counted + 1;

	settle(id, 1, OUTCOME_REFUSED, now_ms + WINDOW);
	spool_remove(f.sp, (struct spool_selection){ .id = id }, on_counted,
		     &f);
	turn_until(&f, &f.counted, want);
	check_row(0, 0, 0, 0);
	check_ends(now_ms + DAYS(15), "");
}
