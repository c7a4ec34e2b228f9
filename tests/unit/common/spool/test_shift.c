/* Mail that came by a clock that was a year behind, when that is set. */
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/spool/spool_priv.h"
#include "tests/unit/common/spool/fixture.h"

#define YEAR DAYS(365)
#define LIFETIME DAYS(5)

static struct fixture f;
static int64_t now_ms; /* by the clock that is right */

static void setup(void)
{
	fixture_open(&f);
	now_ms = clock_wall_ms();
}

static void teardown(void)
{
	fixture_audit(&f);
	fixture_close(&f);
}

/* From doubt() on the monotonic clock stands, so that what is moved is moved by
 * as much, to the millisecond, however long that takes. */
static struct timespec stood_at;
static atomic_bool stands;

int clock_gettime(clockid_t id, struct timespec *ts)
{
	if (id != CLOCK_MONOTONIC || !stands)
		return (int)syscall(SYS_clock_gettime, id, ts);
	*ts = stood_at;
	return 0;
}

TestSuite(spool_shift, .init = setup, .fini = teardown, .timeout = 60);

static uint64_t arrive(int64_t arrived_ms, const char *domain, size_t count)
{
	struct spool_rcpt r[3];
	struct spool_draft *d = draft_with(&f, 1, 100);
	struct envelope env = an_envelope();
	unsigned want = f.committed + 1;

	for (size_t i = 0; i < count; i++) {
		r[i] = a_rcpt("user@x", domain);
		r[i].expires_ms = arrived_ms + LIFETIME;
		r[i].warn_ms = arrived_ms + DAYS(4);
	}
	env.arrived_ms = arrived_ms;
	spool_commit(&d, &env, r, count, on_commit, &f);
	turn_until(&f, &f.committed, want);
	return f.id;
}

/* The clock was set ahead by so much a day ago, and has run well since. */
static void doubt(int64_t ahead_ms)
{
	int64_t mono_ms;

	if (!stands)
		clock_gettime(CLOCK_MONOTONIC, &stood_at);
	stands = true;
	mono_ms = clock_mono_ms();
	f.sp->clock = (struct trusted_clock){
		.wall_ms = now_ms - ahead_ms,
		.mono_ms = mono_ms,
		.is_doubting = true,
		.since_ms = now_ms - ahead_ms - DAYS(1),
		.odd_wall_ms = now_ms - DAYS(1),
		.odd_mono_ms = mono_ms - DAYS(1),
	};
}

/* What ends, and who is warned, by a time that is believed. */
static size_t ends_by(int64_t at_ms)
{
	static struct spool_expiry e[64];

	trusted_clock_believe(&f.sp->clock, at_ms, clock_mono_ms());
	return expired_by(f.sp, at_ms, NULL, e, COUNT(e));
}

/* Look at what ends, as the drain does, until nothing is to be moved. */
static void look(void)
{
	struct spool_expiry e;
	size_t n = expired_by(f.sp, now_ms, NULL, &e, 1);

	while (f.sp->is_shifting)
		ev_run(f.loop, EVRUN_ONCE);
	cr_expect_eq(n, 0, "nothing ends by a time that is in doubt");
}

static int64_t end_of(uint64_t id, const char *domain)
{
	struct unit *u = NULL;
	int64_t at;

	cr_assert_eq(spool_unit_load(f.sp, id, span_str(domain), &u), MX_OK);
	at = u->expires_ms;
	unit_free(&u);
	return at;
}

Test(spool_shift, what_came_before_has_what_was_left_to_it)
{
	int64_t then = now_ms - YEAR - DAYS(2);
	uint64_t behind = arrive(then, "a.example", 3);
	uint64_t right = arrive(now_ms - HOURS(3), "a.example", 1);

	doubt(YEAR);
	look();
	cr_expect_not(f.sp->clock.is_doubting);
	cr_expect_eq(end_of(behind, "a.example"), then + YEAR + LIFETIME);
	cr_expect_eq(end_of(right, "a.example"), now_ms - HOURS(3) + LIFETIME);
	cr_expect_eq(ends_by(now_ms + DAYS(2) - 1), 0);
	cr_expect_eq(ends_by(now_ms + DAYS(2)), 1, "the warning");
	cr_expect_eq(ends_by(now_ms + DAYS(3)), 2);
}

/* The clock of the machine begins behind at each boot. */
Test(spool_shift, nobody_is_moved_twice)
{
	uint64_t id = arrive(now_ms - YEAR - DAYS(2), "a.example", 1);

	doubt(YEAR);
	look();
	doubt(YEAR);
	look();
	cr_expect_eq(end_of(id, "a.example"), now_ms - DAYS(2) + LIFETIME);
}

Test(spool_shift, a_few_days_are_moved_as_well)
{
	uint64_t id = arrive(now_ms - DAYS(4), "a.example", 1);

	doubt(DAYS(2));
	look();
	cr_expect_eq(end_of(id, "a.example"), now_ms - DAYS(2) + LIFETIME);
}

/* It is the operator's, but it is released one day. */
Test(spool_shift, what_is_held)
{
	uint64_t id = arrive(now_ms - YEAR - DAYS(2), "a.example", 1);
	struct spool_selection one = { .id = id };

	spool_hold(f.sp, one, SPAN_LIT("why"), on_counted, &f);
	turn_until(&f, &f.counted, 1);
	doubt(YEAR);
	look();
	spool_release(f.sp, one, on_counted, &f);
	turn_until(&f, &f.counted, 2);
	cr_expect_eq(end_of(id, "a.example"), now_ms - DAYS(2) + LIFETIME);
	cr_expect_eq(ends_by(now_ms), 0);
}

/* Who was parked before has what was left to him; who was behind the jump has
 * his time from the new clock. */
Test(spool_shift, what_is_parked)
{
	uint64_t before = arrive(now_ms - YEAR - DAYS(2), "a.example", 1);
	uint64_t behind = arrive(now_ms - YEAR - DAYS(2), "a.example", 1);
	uint64_t again = arrive(now_ms - YEAR - DAYS(2), "a.example", 1);
	struct settlement s = { .outcome = OUTCOME_SHELVED,
				.until_ms = now_ms - YEAR + DAYS(5) };

	spool_settle(f.sp, before, SPAN_LIT("a.example"), &s, 1,
		     now_ms - YEAR - DAYS(2), 0, NULL, on_settled, &f);
	s.until_ms = now_ms + DAYS(7);
	spool_settle(f.sp, behind, SPAN_LIT("a.example"), &s, 1, now_ms, 0,
		     NULL, on_settled, &f);
	/* refused before, on the shelf behind it */
	s.outcome = OUTCOME_REFUSED;
	s.until_ms = now_ms - YEAR - DAYS(1);
	spool_settle(f.sp, again, SPAN_LIT("a.example"), &s, 1,
		     now_ms - YEAR - DAYS(2), 0, NULL, on_settled, &f);
	turn_until(&f, &f.done, 3);
	s.outcome = OUTCOME_SHELVED;
	s.until_ms = now_ms + DAYS(7);
	spool_settle_parked(f.sp, again, SPAN_LIT("a.example"), &s, 1, now_ms,
			    NULL, on_settled, &f);
	turn_until(&f, &f.done, 4);
	doubt(YEAR);
	look();
	cr_expect_eq(ends_by(now_ms + DAYS(5) - 1), 0);
	cr_expect_eq(ends_by(now_ms + DAYS(5)), 1);
	cr_expect_eq(ends_by(now_ms + DAYS(7) - 1), 1);
	cr_expect_eq(ends_by(now_ms + DAYS(7)), 3);
}

/* More than one transaction takes, and a stop between two of them. */
Test(spool_shift, goes_on_after_a_restart)
{
	enum { MANY = 300 };
	static uint64_t ids[MANY];
	struct spool_expiry e;
	struct shift_row was;

	for (size_t i = 0; i < MANY; i++)
		ids[i] = arrive(now_ms - YEAR - DAYS(2), "a.example", 1);
	doubt(YEAR);
	expired_by(f.sp, now_ms, NULL, &e, 1);
	cr_assert(f.sp->is_shifting);
	spool_close(&f.sp);
	fixture_reopen(&f);
	was = f.sp->shift;
	cr_expect_eq(was.by_ms / DAYS(1), 365);
	cr_expect(was.pos >= ids[0] && was.pos < ids[MANY - 1]);
	doubt(YEAR);
	f.sp->clock.odd_mono_ms += HOURS(1); /* it need not be steady again */
	look();
	cr_expect_not(f.sp->clock.is_doubting);
	for (size_t i = 0; i < MANY; i++)
		cr_assert_eq(end_of(ids[i], "a.example"),
			     now_ms - DAYS(2) + LIFETIME);
}
