/* What is in a mirror does not go while others may have it. */
#include "common/base/assert.h"
#include "tests/unit/common/spool/mirrored.h"

static struct mirrored w;
static struct fixture *const f = &w.f;
static int64_t boot_ms;

enum { LEASE = 30000, PATIENCE = 900000 };

static int64_t boot(void)
{
	return boot_ms;
}

static const struct span a_example = { "a.example", 9 };

static void start(void)
{
	boot_ms = 1000000;
	mirror_start(&w, SPOOL_AWAY_ACCEPT);
	spool_mirror_set_clock(f->sp, boot);
	spool_mirror_lease(f->sp, boot_ms + LEASE, PATIENCE);
}

static void setup(void)
{
	mirrored_open(&w);
	start();
}

static void teardown(void)
{
	mirrored_close(&w);
}

TestSuite(spool_lease, .init = setup, .fini = teardown, .timeout = 60);

static size_t ready_now(uint64_t *ids)
{
	return ready_in(f->sp, a_example, 0, ids, 64);
}

static size_t ready_count(void)
{
	uint64_t ids[64], down[64];
	size_t n = ready_now(ids);

	cr_assert_eq(newest_in(f->sp, a_example, 0, down, 64), n);
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(ids[i], down[n - 1 - i]);
	return n;
}

static bool is_shown(uint64_t id)
{
	struct unit *u = NULL;
	enum mx_err err = spool_unit_load(f->sp, id, a_example, &u);

	cr_assert(err == MX_OK || err == MX_ENOENT);
	unit_free(&u);
	return err == MX_OK;
}

Test(spool_lease, with_a_lease_all_goes)
{
	put_simple(f, "a.example");
	mirror_in_step(&w);
	put_simple(f, "a.example");
	boot_ms += LEASE - 1;
	cr_expect_eq(ready_count(), 2);
	cr_expect(is_shown(f->id));
}

Test(spool_lease, over_only_what_the_mirror_never_had_goes)
{
	uint64_t in, out, ids[64];

	mirror_in_step(&w);
	in = put_simple(f, "a.example");
	boot_ms += LEASE;
	cr_expect_eq(ready_count(), 0);
	cr_expect_not(is_shown(in));
	w.m.fault = FAKE_LOST;
	put_simple(f, "a.example"); /* in doubt: it may be there */
	cr_expect_eq(ready_count(), 0);
	out = put_simple(f, "a.example");
	cr_expect_eq(ready_count(), 1);
	cr_expect_eq(ready_now(ids), 1);
	cr_expect_eq(ids[0], out);
	cr_expect(is_shown(out));
	cr_expect_not(is_shown(in));
	/* the lists of the operator have all */
	check_domain(f, "a.example", 3, 0, 0);
}

Test(spool_lease, what_leaves_is_to_be_told)
{
	const enum fake_fault faults[] = { FAKE_LOST, FAKE_UNSENT };
	uint64_t in, alone;

	for (size_t i = 0; i < COUNT(faults); i++) {
		mirror_in_step(&w);
		in = put_simple(f, "a.example");
		cr_expect(is_shown(in));
		w.m.fault = faults[i];
		put_simple(f, "b.example");
		cr_expect_not(is_shown(in), "though the lease runs");
		alone = put_simple(f, "a.example");
		cr_expect_eq(ready_count(), 1);
		cr_expect(is_shown(alone));
		w.m.fault = FAKE_WELL;
		f->announced = 0;
		spool_mirror_lease(f->sp, boot_ms + LEASE, PATIENCE);
		cr_expect(is_shown(in), "there was an answer");
		turn_until(f, &f->announced, 2);
		settle_one_rcpt(f, in, "a.example", OUTCOME_DELIVERED, 0);
		settle_one_rcpt(f, alone, "a.example", OUTCOME_DELIVERED, 0);
	}
}

Test(spool_lease, right_before_its_end_it_is_asked_for_again)
{
	uint64_t in, alone;

	mirror_in_step(&w);
	in = put_simple(f, "a.example");
	cr_expect(spool_mirror_lets_go(f->sp, in));
	boot_ms += LEASE;
	cr_expect_not(spool_mirror_lets_go(f->sp, in));
	w.m.fault = FAKE_UNSENT;
	alone = put_simple(f, "a.example");
	cr_expect(spool_mirror_lets_go(f->sp, alone));
	w.m.fault = FAKE_WELL;
	spool_mirror_lease(f->sp, boot_ms + LEASE, PATIENCE);
	cr_expect(spool_mirror_lets_go(f->sp, in));
	spool_mirror_drop(f->sp, &in, 1, on_counted, f);
	cr_assert_eq(counted(&w), MX_OK);
	cr_expect_not(spool_mirror_lets_go(f->sp, in), "another has it");
	cr_expect(spool_mirror_lets_go(f->sp, alone));
	boot_ms += LEASE + PATIENCE;
	cr_expect(spool_mirror_lets_go(f->sp, alone));
}

Test(spool_lease, over_what_was_not_sent_goes)
{
	uint64_t in, out;

	mirror_in_step(&w);
	in = put_simple(f, "a.example");
	boot_ms += LEASE;
	cr_expect_eq(ready_count(), 0);
	w.m.fault = FAKE_UNSENT;
	out = put_simple(f, "a.example"); /* the first without a connection */
	cr_expect_eq(ready_count(), 1);
	cr_expect(is_shown(out));
	cr_expect_not(is_shown(in));
	mirror_restart(&w, SPOOL_AWAY_ACCEPT);
	spool_mirror_set_clock(f->sp, boot);
	cr_expect(is_shown(out));
	cr_expect_not(is_shown(in));
}

Test(spool_lease, patience_ends)
{
	uint64_t id;

	mirror_in_step(&w);
	id = put_simple(f, "a.example");
	boot_ms += LEASE + PATIENCE - 1;
	cr_expect_eq(ready_count(), 0);
	boot_ms++;
	cr_expect_eq(ready_count(), 1);
	cr_expect(is_shown(id));
}

Test(spool_lease, what_is_picked_may_be_there)
{
	uint64_t id = put_simple(f, "a.example");

	boot_ms += LEASE;
	cr_expect_eq(ready_count(), 1);
	cr_assert(mirror_pick(&w));
	cr_expect_not(is_shown(id));
	cr_expect_eq(ready_count(), 0);
	arrears_free(&w.arrears); /* it was not sent; who knows */
	cr_expect_eq(ready_count(), 0);
}

Test(spool_lease, before_the_first_word_it_is_over)
{
	uint64_t id;

	mirror_in_step(&w);
	id = put_simple(f, "a.example");
	mirror_restart(&w, SPOOL_AWAY_ACCEPT);
	spool_mirror_set_clock(f->sp, boot);
	cr_expect_eq(ready_count(), 0);
	spool_mirror_lease(f->sp, boot_ms - DAYS(1), PATIENCE);
	boot_ms += PATIENCE - 1;
	cr_expect_eq(ready_count(), 0, "from the start on");
	boot_ms++;
	cr_expect(is_shown(id));
}

Test(spool_lease, mail_of_before_the_first_mirror_goes)
{
	uint64_t ids[3];

	mirrored_close(&w);
	mirrored_open(&w);
	for (size_t i = 0; i < 3; i++)
		ids[i] = put_simple(f, "a.example");
	start();
	boot_ms += LEASE;
	/* whether it is noted yet, or not */
	do {
		cr_expect_eq(ready_count(), 3);
		cr_expect(is_shown(ids[1]));
	} while (lag_of(&w).lacking < 3 && (ev_run(f->loop, EVRUN_ONCE), true));
}

Test(spool_lease, runs_of_ids_are_walked_from_one_to_the_next)
{
	uint64_t expected[64], ids[64];
	size_t n = 0;

	mirror_in_step(&w);
	for (unsigned run = 0; run < 4; run++) {
		for (unsigned i = 0; i < 5; i++)
			put_simple(f, i % 2 ? "a.example" : "b.example");
		w.m.fault = FAKE_LOST;
		put_simple(f, "b.example");
		for (unsigned i = 0; i < 5; i++) {
			put_simple(f, i % 2 ? "a.example" : "b.example");
			if (i % 2)
				expected[n++] = f->id;
		}
		w.m.fault = FAKE_WELL;
		if (run == 3)
			break;
		mirror_in_step(&w);
		n = 0;
	}
	boot_ms += LEASE;
	cr_assert_eq(ready_now(ids), n);
	for (size_t i = 0; i < n; i++)
		cr_expect_eq(ids[i], expected[i]);
	cr_expect_eq(ready_count(), n);
	cr_expect_eq(ready_in(f->sp, a_example, expected[0], ids, 64), n - 1);
	cr_expect_eq(newest_in(f->sp, a_example, expected[n - 1], ids, 64),
		     n - 1);
}

Test(spool_lease, nothing_that_is_in_the_mirror_is_settled_by_time)
{
	struct spool_expiry e[8];
	struct unit *u = NULL;
	uint64_t id;

	mirror_in_step(&w);
	id = put_simple(f, "a.example");
	boot_ms += LEASE;
	settle_one_rcpt(f, id, "a.example", OUTCOME_REFUSED, 0);
	cr_assert_eq(expired_by(f->sp, NOW + 100, NULL, e, 8), 1);
	cr_expect_eq(spool_unit_parked(f->sp, id, a_example, NOW, &u),
		     MX_ENOENT);
	boot_ms -= LEASE;
	cr_expect_eq(spool_unit_parked(f->sp, id, a_example, NOW, &u), MX_OK);
	unit_free(&u);
}

Test(spool_lease, who_did_not_hear_of_mail_hears_when_the_lease_is_back)
{
	mirror_in_step(&w);
	put_simple(f, "a.example");
	put_simple(f, "b.example");
	f->announced = 0;
	boot_ms += LEASE;
	spool_mirror_lease(f->sp, boot_ms + LEASE, PATIENCE);
	cr_expect_eq(f->announced, 0, "nobody asked meanwhile");
	boot_ms += LEASE;
	cr_expect_eq(ready_count(), 0);
	spool_mirror_lease(f->sp, boot_ms + LEASE, PATIENCE);
	turn_until(f, &f->announced, 2);
	cr_expect_eq(ready_count(), 1);
}

Test(spool_lease, who_did_not_hear_of_mail_hears_when_patience_is_over)
{
	mirror_in_step(&w);
	put_simple(f, "a.example");
	f->announced = 0;
	boot_ms += LEASE;
	cr_expect_eq(ready_count(), 0);
	boot_ms += PATIENCE;
	turn_until(f, &f->announced, 1);
	cr_expect_str_eq(f->domain, "a.example");
}

static void *renew(void *arg)
{
	spool_mirror_lease(f->sp, boot_ms + LEASE, PATIENCE);
	return arg;
}

/* Who renews it has no business in the loop. */
Test(spool_lease, it_is_renewed_from_any_thread)
{
	pthread_t thread;

	mirror_in_step(&w);
	put_simple(f, "a.example");
	f->announced = 0;
	boot_ms += LEASE;
	cr_expect_eq(ready_count(), 0);
	cr_assert_eq(pthread_create(&thread, NULL, renew, NULL), 0);
	pthread_join(thread, NULL);
	cr_expect_eq(f->announced, 0, "that is for the loop");
	turn_until(f, &f->announced, 1);
	cr_expect_eq(ready_count(), 1);
}

static void put_one(const char *domain)
{
	struct spool_draft *d = draft_with(f, 1, 10);
	struct envelope env = an_envelope();
	struct spool_rcpt r = a_rcpt("user@x", domain);

	spool_commit(&d, &env, &r, 1, on_commit, f);
}

Test(spool_lease, all_of_many_domains_are_announced)
{
	enum { DOMAINS = 700 };
	char name[64];
	uint64_t id;

	for (unsigned i = 0; i < DOMAINS; i++) {
		snprintf(name, sizeof(name), "d%03u.example", i);
		put_one(name);
	}
	turn_until(f, &f->committed, DOMAINS);
	mirror_in_step(&w);
	f->announced = 0;
	boot_ms += LEASE;
	cr_expect_eq(ready_in(f->sp, span_str(name), 0, &id, 1), 0);
	spool_mirror_lease(f->sp, boot_ms + LEASE, PATIENCE);
	turn_until(f, &f->announced, DOMAINS);
	cr_expect_str_eq(f->domain, "d699.example");
}
