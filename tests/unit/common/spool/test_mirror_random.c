/*
 * Anything, in any order, with faults anywhere: once the mirror is in step it
 * has what the spool has; and what leaves without a lease it never has.
 */
#include "common/spool/arrears.h"
#include "common/spool/look.h"
#include "common/spool/note.h"
#include "tests/unit/common/spool/mirrored.h"

enum { STEPS = 300, DOMAINS = 4, OPEN_MAX = 3 };

struct world {
	struct mirrored w;
	uint64_t state; /* of the generator */
	struct spool_draft *open[OPEN_MAX];
	struct fake_mirror before; /* a standby that is behind */
	bool has_before;
	enum spool_mirror_away away;
};

static struct world world;
static struct mirrored *const w = &world.w;
static struct fixture *const f = &world.w.f;

static uint64_t below(uint64_t n)
{
	uint64_t x = world.state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	world.state = x;
	return (x * UINT64_C(0x2545f4914f6cdd1d) >> 33) % n;
}

static const char *a_domain(void)
{
	static const char *const all[DOMAINS] = { "a.example", "b.example",
						  "sub.b.example",
						  "c.example" };

	return all[below(DOMAINS)];
}

/* All that was asked for is done, and what it left in doubt is noted. */
static void settle_down(void)
{
	for (unsigned i = 0; i < 2; i++) {
		spool_flush(f->sp,
			    (struct spool_selection){
				    .domain = SPAN_LIT("none.example") },
			    on_counted, f);
		cr_assert_eq(counted(w), MX_OK);
	}
}

/* ---- What may happen ---- */

static void seal(struct spool_draft *d)
{
	struct spool_rcpt rcpts[3];
	struct envelope env = an_envelope();
	unsigned want = f->committed + 1;
	size_t n = 1 + below(3);

	for (size_t i = 0; i < n; i++)
		rcpts[i] = a_rcpt("user@x", a_domain());
	if (below(4) == 0)
		spool_draft_hold(d, SPAN_LIT("quarantine"));
	spool_commit(&d, &env, rcpts, n, on_commit, f);
	turn_until(f, &f->committed, want);
	cr_assert(f->err == MX_OK || (f->err == MX_EMIRROR) ||
			  (f->err == MX_EIO && world.away == SPOOL_AWAY_REFUSE),
		  "%s", mx_strerror(f->err));
}

static void put(void)
{
	static const size_t sizes[] = { 0, 300, 300, 300, 9000, 90000, 200000 };

	seal(draft_behind(f, below(100), 0, sizes[below(COUNT(sizes))]));
}

static void arrive(void)
{
	struct spool_draft **d = &world.open[below(OPEN_MAX)];
	char bytes[70000];

	memset(bytes, 'x', sizeof(bytes));
	if (*d == NULL)
		cr_assert_eq(spool_draft_new(f->sp, NOW, 0, d), MX_OK);
	spool_draft_write(*d, span_of(bytes, 1 + below(sizeof(bytes))));
}

static void arrived(void)
{
	struct spool_draft **slot = &world.open[below(OPEN_MAX)];
	struct spool_draft *d = *slot;

	*slot = NULL;
	if (d == NULL)
		return;
	if (below(3) == 0) {
		spool_draft_discard(&d);
		return;
	}
	if (below(2) == 0)
		spool_draft_prefix(d, SPAN_LIT("Received: by me\r\n"));
	seal(d);
}

struct choice {
	uint64_t id, left;
	char domain[256];
	uint32_t numbers[8];
	size_t n;
	enum unit_state state;
};

static bool choose(const struct unit *u, void *arg)
{
	struct choice *c = arg;

	c->id = u->envelope.id;
	c->state = u->state;
	c->n = 0;
	snprintf(c->domain, sizeof(c->domain), "%.*s", SPAN_ARG(u->domain));
	for (size_t i = 0; i < u->rcpt_count && i < 8; i++)
		c->numbers[c->n++] = u->rcpts[i].number;
	return c->left-- > 0;
}

/* Some unit; its id is 0: there is none. */
static struct choice a_unit(void)
{
	struct choice c = { .left = below(20) };

	cr_assert_eq(spool_list(f->sp, SPAN_LIT(""), 0, choose, &c), MX_OK);
	return c;
}

static void settle(void)
{
	struct choice c = a_unit();
	struct settlement set[8];
	unsigned want = f->done + 1;

	if (c.id == 0 || c.state != UNIT_READY)
		return;
	for (size_t i = 0; i < c.n; i++)
		set[i] = (struct settlement){
			.number = c.numbers[i],
			.outcome = (enum outcome)below(OUTCOME_WAITING + 1),
			.reply = SPAN_LIT("450 4.2.1 wait"),
			.until_ms = NOW + (int64_t)below(1000),
		};
	spool_settle(f->sp, c.id, span_str(c.domain), set, c.n, NOW + 5,
		     NOW + (int64_t)below(1000), NULL, on_settled, f);
	turn_until(f, &f->done, want);
}

static void operate(void)
{
	struct spool_selection sel = { .domain = span_str(a_domain()) };
	struct choice c = a_unit();

	if (below(2) == 0 && c.id != 0)
		sel = (struct spool_selection){ .id = c.id };
	switch (below(5)) {
	case 0:
		spool_hold(f->sp, sel, SPAN_LIT("why"), NULL, NULL);
		break;
	case 1:
		spool_release(f->sp, sel, NULL, NULL);
		break;
	case 2:
		spool_flush(f->sp, sel, NULL, NULL);
		break;
	case 3:
		if (below(3) == 0)
			spool_remove(f->sp, sel, NULL, NULL);
		break;
	case 4:
		if (c.id != 0 && below(3) == 0)
			spool_mirror_drop(f->sp, &c.id, 1, NULL, NULL);
		break;
	}
}

static void pass_time(void)
{
	struct span domain = span_str(a_domain());

	switch (below(5)) {
	case 0:
		spool_requeue_due(f->sp, NOW + 500);
		break;
	case 1:
		spool_forgive(f->sp, domain, 0);
		break;
	case 2:
		spool_unrefuse(f->sp, domain, 0, NULL, NULL);
		break;
	case 3:
		spool_unlisted(f->sp, domain, NULL, NULL);
		break;
	case 4:
		spool_listed(f->sp, domain, NOW + DAYS(1), NULL, NULL);
		break;
	}
}

static void break_or_mend(void)
{
	w->m.fault = (enum fake_fault)below(FAKE_UNANSWERED + 1);
	if (below(3) == 0) {
		world.away = (enum spool_mirror_away)below(2);
		spool_mirror_set_away(f->sp, world.away);
	}
}

static void meet(void)
{
	w->m.fault = FAKE_WELL;
	settle_down();
	mirror_meet(w);
	expect_equal(w);
}

/* Some of it, and it may break off anywhere. */
static void catch_up_some(void)
{
	settle_down();
	if (!spool_mirror_knows(f->sp, w->m.seq) || !mirror_pick(w))
		return;
	if (below(3) > 0)
		mirror_send(w);
	else
		w->arrears->exported = 0;
	if (below(3) > 0)
		(below(2) == 0 ? operate : settle)();
	if (below(2) == 0)
		settle_down();
	if (w->arrears->exported > 0 && below(2) == 0)
		mirror_strike(w);
	else
		arrears_free(&w->arrears);
}

static void restart(void)
{
	for (size_t i = 0; i < OPEN_MAX; i++)
		spool_draft_discard(&world.open[i]);
	if (below(3) == 0) { /* a while without the setting */
		spool_close(&f->sp);
		fixture_reopen(f);
		operate();
		put();
	}
	mirror_restart(w, world.away);
	settle_down();
}

/* A standby takes over: what it had not heard of is lost. */
static void fail_over(void)
{
	settle_down();
	if (world.has_before && below(2) == 0) {
		fake_mirror_fini(&w->m);
		w->m = world.before;
		world.has_before = false;
		w->m.fault = FAKE_LOST; /* its number is not ours */
		put();
		settle_down();
		if (lag_of(w).is_in_step)
			spool_mirror_note(f->sp, NULL, 0, true, NULL, NULL);
		restart();
		return;
	}
	if (world.has_before)
		fake_mirror_fini(&world.before);
	fake_mirror_copy(&world.before, &w->m);
	world.has_before = true;
}

/* ---- What has to be true all the time ---- */

static void check_leases(void)
{
	MDB_txn *txn;

	if (!spool_mirror_knows(f->sp, w->m.seq))
		return;
	cr_assert_eq(read_begin(f->sp, &txn), MX_OK);
	for (size_t i = 0; i < w->m.n; i++) {
		const struct fake_row *r = &w->m.rows[i];
		struct note note;

		if (r->kind != PARCEL_MESSAGE)
			continue;
		cr_assert_eq(note_get(f->sp, txn, r->id, &note), MX_OK);
		cr_assert_neq(note.kind, NOTE_ABSENT,
			      "it would go without a lease");
	}
	read_end(f->sp);
}

static void step(void)
{
	static void (*const all[])(void) = {
		put,		 put,		put,	       settle,
		settle,		 settle,	operate,       operate,
		pass_time,	 arrive,	arrive,	       arrived,
		meet,		 meet,		meet,	       break_or_mend,
		break_or_mend,	 catch_up_some, catch_up_some, catch_up_some,
		catch_up_some,	 restart,	fail_over,
	};

	all[below(COUNT(all))]();
	settle_down();
	check_leases();
	if (lag_of(w).is_in_step && w->m.fault == FAKE_WELL)
		expect_equal(w);
}

static void run(uint64_t seed)
{
	world = (struct world){ .state = seed * 7919 + 1 };
	mirrored_open(w);
	for (size_t i = 0; i < seed % 3; i++)
		put();
	mirror_start(w, world.away);
	for (unsigned i = 0; i < STEPS; i++)
		step();
	for (size_t i = 0; i < OPEN_MAX; i++)
		spool_draft_discard(&world.open[i]);
	meet();
	if (world.has_before)
		fake_mirror_fini(&world.before);
	mirrored_close(w);
}

TestSuite(spool_mirror_random, .timeout = 120);

Test(spool_mirror_random, one)
{
	run(1);
}

Test(spool_mirror_random, two)
{
	run(2);
}

Test(spool_mirror_random, three)
{
	run(3);
}
