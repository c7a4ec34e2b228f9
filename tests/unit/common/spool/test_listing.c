/* Domains whose line went while their mail waited. */
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

TestSuite(spool_listing, .init = setup, .fini = teardown, .timeout = 60);

static const struct span name = { "a.example", 9 };

static size_t ready_now(void)
{
	uint64_t ids[8];

	return ready_in(f.sp, name, 0, ids, 8);
}

static struct spool_domain row_of(void)
{
	struct spool_domain d = { 0 };

	(void)spool_domain_get(f.sp, name, &d);
	return d;
}

static size_t ended(void)
{
	struct spool_expiry e[8];

	return expired_by(f.sp, NOW + DAYS(1), NULL, e, 8);
}

static void let_all_end(void)
{
	int64_t at;

	while (spool_next_expiry(f.sp, &at) == MX_OK) {
		cr_assert_eq(ended(), 0);
		ev_run(f.loop, EVRUN_ONCE);
	}
}

static void unlist(void)
{
	spool_unlisted(f.sp, name, on_counted, &f);
	(void)wait_count(&f);
}

static void list_again(void)
{
	spool_listed(f.sp, name, NOW + DAYS(2), on_counted, &f);
	(void)wait_count(&f);
}

Test(spool_listing, mail_is_held_and_does_not_age)
{
	struct spool_domain d;

	put_simple(&f, "a.example");
	put_simple(&f, "a.example");
	spool_unlisted(f.sp, name, on_counted, &f);
	cr_assert_eq(wait_count(&f), 2);
	cr_assert_eq(ready_now(), 0);
	let_all_end();
	spool_close(&f.sp);
	fixture_reopen(&f);
	spool_subscribe(f.sp, on_ready, &f);
	d = row_of();
	cr_assert(d.is_held && d.is_unlisted);
	cr_assert_str_eq(d.hold_reason, SPOOL_UNLISTED);
	/* listed again: all may go, and each has its time */
	f.announced = 0;
	list_again();
	turn_until(&f, &f.announced, 1);
	cr_assert_eq(ready_now(), 2);
	d = row_of();
	cr_assert_not(d.is_held || d.is_unlisted);
	cr_assert_eq(ended(), 0);
	struct spool_expiry e[8];

	cr_assert_eq(expired_by(f.sp, NOW + DAYS(2), NULL, e, 8), 2);
}

Test(spool_listing, what_is_released_does_not_age_either)
{
	put_simple(&f, "a.example");
	unlist();
	f.announced = 0;
	spool_release(f.sp, (struct spool_selection){ .domain = name },
		      on_counted, &f);
	cr_assert_eq(wait_count(&f), 1);
	turn_until(&f, &f.announced, 1);
	cr_assert_eq(ready_now(), 1);
	cr_assert(row_of().is_unlisted);
	let_all_end();
}

Test(spool_listing, what_the_operator_held_stays_held)
{
	uint64_t id = put_simple(&f, "a.example");

	put_simple(&f, "a.example");
	spool_hold(f.sp, (struct spool_selection){ .id = id }, SPAN_LIT(""),
		   on_counted, &f);
	(void)wait_count(&f);
	unlist();
	list_again();
	check_domain(&f, "a.example", 1, 0, 1);
	/* and so does the whole domain */
	spool_hold(f.sp, (struct spool_selection){ .domain = name },
		   SPAN_LIT("his"), on_counted, &f);
	(void)wait_count(&f);
	unlist();
	cr_assert_str_eq(row_of().hold_reason, "his");
	list_again();
	cr_assert(row_of().is_held && !row_of().is_unlisted);
	cr_assert_eq(ready_now(), 0);
}

/* Nothing waits: there is nothing to remember. */
Test(spool_listing, the_mark_goes_with_the_last_unit)
{
	struct spool_domain d;

	put_simple(&f, "a.example");
	unlist();
	spool_remove(f.sp, (struct spool_selection){ .domain = name },
		     on_counted, &f);
	cr_assert_eq(wait_count(&f), 1);
	cr_assert_eq(spool_domain_get(f.sp, name, &d), MX_ENOENT);
	unlist(); /* too late: it was removed meanwhile */
	cr_assert_eq(spool_domain_get(f.sp, name, &d), MX_ENOENT);
}
