/* Near full: no domain holds more than is left for all others. */
#include "common/spool/fair.h"
#include "common/spool/spool_priv.h"
#include "common/spool/room.h"
#include "tests/unit/common/spool/fixture.h"

enum { SIZE = 8 << 20, BODY = 100000 };

static struct fixture f;

static void setup(void)
{
	fixture_open(&f);
	spool_set_limits(f.sp, SIZE, 0);
}

static void teardown(void)
{
	fixture_audit(&f);
	fixture_close(&f);
}

TestSuite(spool_fair, .init = setup, .fini = teardown, .timeout = 120);

/* RCPT is not asked: the writer alone decides. */
static enum mx_err put(const char *domain, enum spool_claim claim, size_t bytes)
{
	struct spool_rcpt r = a_rcpt("x@x", domain);
	struct spool_draft *d = draft_with(&f, 1, bytes);
	struct envelope env = an_envelope();
	unsigned want = f.committed + 1;

	r.claim = claim;
	spool_commit(&d, &env, &r, 1, on_commit, &f);
	turn_until(&f, &f.committed, want);
	return f.err;
}

static enum mx_err ask(const char *domain, enum spool_claim claim, size_t bytes)
{
	return spool_domain_room(f.sp, span_str(domain), bytes, claim);
}

/* As many as are taken, and why no more. */
static unsigned fill(const char *domain, enum spool_claim claim,
		     enum mx_err *why)
{
	unsigned n = 0;

	while ((*why = put(domain, claim, BODY)) == MX_OK)
		n++;
	return n;
}

static void expect_used(unsigned from_percent, unsigned to_percent)
{
	struct spool_space s;

	spool_space_get(f.sp, &s);
	/* a sixteenth of the quota is kept for deletions */
	cr_expect_geq(s.used_bytes, SIZE / 16 * 15 / 100 * from_percent);
	cr_expect_leq(s.used_bytes, SIZE / 16 * 15 / 100 * to_percent);
}

Test(spool_fair, one_domain_leaves_room_for_others)
{
	enum mx_err why;
	unsigned a, b, c;

	a = fill("a.example", SPOOL_CLAIM_SHARE, &why);
	cr_expect_eq(why, MX_ESHARE, "%s", mx_strerror(why));
	expect_used(70, 81);
	cr_expect_eq(ask("a.example", SPOOL_CLAIM_SHARE, BODY), MX_ESHARE);
	cr_expect_eq(ask("a.example", SPOOL_CLAIM_FLOW, BODY), MX_ESHARE);
	cr_expect_eq(ask("b.example", SPOOL_CLAIM_SHARE, BODY), MX_OK);
	b = fill("b.example", SPOOL_CLAIM_SHARE, &why);
	cr_expect_eq(why, MX_ESHARE);
	c = fill("c.example", SPOOL_CLAIM_SHARE, &why);
	cr_expect_eq(why, MX_ESHARE);
	cr_expect(a > b && b >= c && c >= 1, "%u %u %u", a, b, c);
	expect_used(82, 91);
}

/* The last tenth is for mail that passes through. */
Test(spool_fair, what_flows_is_taken_to_the_end)
{
	char name[32] = "a.example";
	enum mx_err why;
	unsigned n;

	do
		n = fill(name, SPOOL_CLAIM_SHARE, &why);
	while (n > 0 && name[0]++ < 'z');
	cr_expect_eq(n, 0, "somebody new always finds some");
	cr_expect_eq(ask("new.example", SPOOL_CLAIM_SHARE, BODY), MX_ESHARE);
	for (int i = 0; i < 100; i++) { /* and leaves */
		cr_assert_eq(ask("up.example", SPOOL_CLAIM_FLOW, BODY), MX_OK);
		cr_assert_eq(put("up.example", SPOOL_CLAIM_FLOW, BODY), MX_OK);
		settle_one_rcpt(&f, f.id, "up.example", OUTCOME_DELIVERED, 0);
	}
	/* when it does not it has its share, too */
	n = fill("up.example", SPOOL_CLAIM_FLOW, &why);
	cr_expect_eq(why, MX_ESHARE);
	cr_expect_gt(n, 0);
}

/* What is held does not flow. */
Test(spool_fair, a_held_domain_does_not_flow)
{
	struct spool_selection b = { .domain = SPAN_LIT("b.example") };
	char name[32] = "c.example";
	enum mx_err why;

	spool_hold(f.sp, b, SPAN_LIT("a look"), on_counted, &f);
	while (fill(name, SPOOL_CLAIM_SHARE, &why) > 0)
		name[0]++;
	cr_expect_eq(ask("b.example", SPOOL_CLAIM_FLOW, BODY), MX_ESHARE);
	cr_expect_eq(put("b.example", SPOOL_CLAIM_FLOW, BODY), MX_ESHARE);
	cr_expect_eq(put("y.example", SPOOL_CLAIM_FLOW, BODY), MX_OK);
}

/* A first message may be larger than any share. */
Test(spool_fair, the_first_message_is_taken_where_it_fits)
{
	const size_t large = SIZE / 11;
	enum mx_err why;

	fill("a.example", SPOOL_CLAIM_SHARE, &why);
	cr_expect_eq(put("b.example", SPOOL_CLAIM_SHARE, large), MX_OK);
	cr_expect_eq(put("b.example", SPOOL_CLAIM_SHARE, 100), MX_ESHARE);
	cr_expect_eq(put("c.example", SPOOL_CLAIM_FLOW, large / 2), MX_OK);
}

Test(spool_fair, a_domain_alone_has_all)
{
	enum mx_err why;

	fill("a.example", SPOOL_CLAIM_ALL, &why);
	cr_expect_eq(why, MX_ESPACE, "%s", mx_strerror(why));
	expect_used(95, 100);
	cr_expect_eq(ask("a.example", SPOOL_CLAIM_ALL, 100), MX_OK);
}

/* ---- Quotas ---- */

static enum mx_err put_quota(const char *domain, uint64_t quota, size_t bytes)
{
	struct spool_rcpt r[2] = { a_rcpt("x@x", domain),
				   a_rcpt("y@y", "other.example") };
	struct spool_draft *d = draft_with(&f, 1, bytes);
	struct envelope env = an_envelope();
	unsigned want = f.committed + 1;

	r[0].quota_bytes = quota;
	spool_commit(&d, &env, r, 2, on_commit, &f);
	turn_until(&f, &f.committed, want);
	return f.err;
}

/* Exact to the byte, however empty the spool is, and whole: the other domain
 * of the message has nothing of it. */
Test(spool_fair, quota)
{
	struct spool_domain row;

	cr_expect_eq(put_quota("a.example", 100, 101), MX_EQUOTA);
	cr_expect_eq(put_quota("a.example", 100, 60), MX_OK);
	cr_expect_eq(put_quota("a.example", 100, 41), MX_EQUOTA);
	cr_expect_eq(put_quota("a.example", 100, 40), MX_OK);
	cr_expect_eq(put_quota("a.example", 100, 1), MX_EQUOTA);
	cr_expect_eq(put_quota("b.example", 100, 100), MX_OK);
	cr_expect_eq(put_quota("a.example", 0, 1000), MX_OK);
	cr_assert_eq(spool_domain_get(f.sp, SPAN_LIT("other.example"), &row),
		     MX_OK);
	cr_expect_eq(row.bytes, 60 + 40 + 100 + 1000);
}

/* Refused, once: on the shelf. */
static void shelve(uint64_t id, const char *domain)
{
	struct settlement s = { .outcome = OUTCOME_SHELVED,
				.reply = SPAN_LIT("550 5.7.1 spam"),
				.host = SPAN_LIT("mx1"),
				.until_ms = NOW + DAYS(7) };
	unsigned want = f.done + 1;

	spool_settle(f.sp, id, span_str(domain), &s, 1, NOW, 0, NULL,
		     on_settled, &f);
	turn_until(&f, &f.done, want);
}

/* What is on the shelf does not wait, until it is let go. */
Test(spool_fair, quota_is_not_of_the_shelf)
{
	struct spool_selection all = { .domain = SPAN_LIT("a.example") };
	struct spool_domain row;
	unsigned want = f.counted + 1;

	for (int i = 0; i < 3; i++) {
		cr_assert_eq(put_quota("a.example", 100, 60), MX_OK, "%d", i);
		shelve(f.id, "a.example");
	}
	cr_assert_eq(put_quota("a.example", 100, 60), MX_OK);
	cr_expect_eq(put_quota("a.example", 100, 41), MX_EQUOTA);
	cr_assert_eq(spool_domain_get(f.sp, all.domain, &row), MX_OK);
	cr_expect_eq(row.bytes, 4 * 60);
	cr_expect_eq(spool_domain_waiting(&row), 60);
	spool_release(f.sp, all, on_counted, &f);
	turn_until(&f, &f.counted, want);
	cr_assert_eq(spool_domain_get(f.sp, all.domain, &row), MX_OK);
	cr_expect_eq(spool_domain_waiting(&row), 4 * 60);
	cr_expect_eq(put_quota("a.example", 100, 1), MX_EQUOTA);
}

/* The room that the shelf takes is gone for the others. */
Test(spool_fair, the_share_is_of_the_shelf_too)
{
	unsigned n = 0;

	while (n < 1000 && put("a.example", SPOOL_CLAIM_SHARE, BODY) == MX_OK) {
		shelve(f.id, "a.example");
		n++;
	}
	cr_expect_eq(f.err, MX_ESHARE, "%u", n);
	cr_expect_eq(put("b.example", SPOOL_CLAIM_SHARE, BODY), MX_OK);
}

/* Those that wait in one batch see each other. */
Test(spool_fair, quota_within_a_batch)
{
	unsigned want = f.committed + 8, taken;
	struct spool_domain row;

	for (int i = 0; i < 8; i++) {
		struct spool_rcpt r = a_rcpt("x@x", "a.example");
		struct spool_draft *d = draft_with(&f, 1, 40);
		struct envelope env = an_envelope();

		r.quota_bytes = 100;
		spool_commit(&d, &env, &r, 1, on_commit, &f);
	}
	turn_until(&f, &f.committed, want);
	cr_assert_eq(spool_domain_get(f.sp, SPAN_LIT("a.example"), &row),
		     MX_OK);
	taken = (unsigned)row.units;
	cr_expect_eq(taken, 2, "%u", taken);
}

/* Of several domains one has had its share: the message is refused whole, and
 * leaves no trace. */
Test(spool_fair, one_domain_of_several)
{
	struct spool_rcpt r[] = { a_rcpt("x@a.example", "a.example"),
				  a_rcpt("y@b.example", "b.example"),
				  a_rcpt("z@b.example", "b.example") };
	struct envelope env = an_envelope();
	struct spool_draft *d;
	struct spool_domain row;
	enum mx_err why;
	unsigned want;

	fill("a.example", SPOOL_CLAIM_SHARE, &why);
	for (size_t i = 0; i < COUNT(r); i++)
		r[i].claim = SPOOL_CLAIM_SHARE;
	d = draft_with(&f, 2, BODY);
	want = f.committed + 1;
	spool_commit(&d, &env, r, COUNT(r), on_commit, &f);
	turn_until(&f, &f.committed, want);
	cr_expect_eq(f.err, MX_ESHARE);
	cr_expect_eq(spool_domain_get(f.sp, SPAN_LIT("b.example"), &row),
		     MX_ENOENT);
}

/* A report lets mail leave: nobody's share is asked after. */
Test(spool_fair, reports_are_not_judged)
{
	struct spool_rcpt r = a_rcpt("x@a.example", "a.example");
	struct envelope env = an_envelope();
	struct spool_draft *d;
	enum mx_err why;
	unsigned want;

	fill("a.example", SPOOL_CLAIM_SHARE, &why);
	cr_assert_eq(spool_draft_report(f.sp, NOW, 1000, &d), MX_OK);
	spool_draft_write(d, SPAN_LIT("report\r\n"));
	r.claim = SPOOL_CLAIM_SHARE;
	want = f.committed + 1;
	spool_commit(&d, &env, &r, 1, on_commit, &f);
	turn_until(&f, &f.committed, want);
	cr_expect_eq(f.err, MX_OK);
}
