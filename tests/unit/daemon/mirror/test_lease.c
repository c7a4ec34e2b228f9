#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/mirror/lease.h"

Test(lease, renewed_before_a_third_of_it_is_over)
{
	cr_expect_eq(lease_until(1000, SECONDS(30)), 31000);
	cr_expect_eq(lease_renew_at(1000, SECONDS(30)), 11000);
	/* a commit that takes its time, and a new connection, fit into it */
	cr_expect_leq(lease_renew_at(0, SECONDS(30)) +
			      lease_patience_ms(SECONDS(30)),
		      SECONDS(20));
}

/* Nobody who comes back gives the others time to think that he does not. */
Test(lease, backoff_grows_and_stays_below_the_lease)
{
	int64_t last = 0;

	for (unsigned tries = 1; tries < 40; tries++) {
		int64_t least = lease_backoff_ms(tries, SECONDS(30), 0);
		int64_t most = lease_backoff_ms(tries, SECONDS(30), UINT32_MAX);

		cr_expect_geq(least, last);
		cr_expect_leq(most, SECONDS(15));
		cr_expect_gt(least, 0);
		last = least;
	}
	cr_expect_leq(lease_backoff_ms(99, SECONDS(1), 7), 500);
}

/* The database was away for longer than every lease: when it is back all rows
 * are over, and nobody is dead for that. */
Test(lease, only_who_was_seen_silent_is_dead)
{
	struct lease_row row = { 7, 1000, SECONDS(30), true, false };
	struct lease_watch w = { 0 };

	cr_expect_not(lease_watch(&w, &row, SECONDS(100)));
	cr_expect_not(lease_watch(&w, &row, SECONDS(159)));
	cr_expect(lease_watch(&w, &row, SECONDS(160)));
	row.seen_ms = 2000; /* a sign of life */
	cr_expect_not(lease_watch(&w, &row, SECONDS(161)));
	row.is_over = false;
	cr_expect_not(lease_watch(&w, &row, SECONDS(999)));
	row.is_over = row.is_free = true; /* left, or given away */
	memset(&w, 0, sizeof(w));
	cr_expect(lease_watch(&w, &row, SECONDS(1000)));
}

/* Every course can lose its connection, and none is a dead end. */
Test(lease, courses_lead_back)
{
	for (int c = 0; c < COURSE_COUNT; c++) {
		enum course now = (enum course)c;

		cr_expect_eq(course_next(now, TURN_NONE), now);
		cr_expect_eq(course_next(now, TURN_LOST), COURSE_AWAY, "%d",
			     (int)now);
		cr_expect_neq(course_next(now, TURN_ASKED), COURSE_COUNT);
	}
	cr_expect_eq(course_next(COURSE_AWAY, TURN_REGISTERED),
		     COURSE_RETURNING);
	cr_expect_eq(course_next(COURSE_RETURNING, TURN_UNKNOWN),
		     COURSE_COMPARING);
	cr_expect_eq(course_next(COURSE_COMPARING, TURN_COMPARED),
		     COURSE_CATCHING);
	cr_expect_eq(course_next(COURSE_CATCHING, TURN_JOINED), COURSE_STEP);
	cr_expect_eq(course_next(COURSE_STEP, TURN_JOINED), COURSE_COUNT);
}

/*
 * ---- The model ----
 *
 * Two nodes, a database, one message, a clock.  Every order of these steps is
 * tried, without an end: time passes, requests are sent, arrive, are answered,
 * or get lost at either end, a node looks, takes, imports, comes back.  Each
 * may be put off for ever: so a database that is away is one at which nothing
 * arrives, and a node that stands still (SIGSTOP) one that does nothing.  The
 * rules are those of lease.c; what the database does is what sql.c says.
 *
 * Times are ages and what is left, and end where nothing depends on them any
 * more; of fences and signs of life it only matters whether they are still the
 * same.  So there are only so many worlds, and all of them are seen.
 */

enum { LENGTH = 2, OFF = -1, SOME_TIME = 100 };
enum request { NO_REQUEST, RENEW, REGISTER };
enum place { SENT, DONE, REFUSED };

struct row {
	int8_t left; /* of its lease; below 0: over for so long */
	bool tomb;   /* its message was taken, and it does not know yet */
};

struct node {
	bool registered, has_message;
	bool is_fence; /* the row still has the fence it knows */
	int8_t left;   /* of its lease, as it counts */
	int8_t request, place, asked_age;
	bool is_told; /* the same of the fence it is being told */
	bool returns; /* registered, and its tombstones unread */
	int8_t returns_age;
	bool is_seen;	  /* the other's row is as it was when it looked */
	int8_t since_age; /* for how long; OFF: it never looked */
};

struct world {
	int8_t owner;
	struct row rows[2];
	struct node nodes[2];
};

/* What a careless node would do instead. */
enum rules { AS_BUILT, COUNTS_FROM_REPLY, TAKES_AT_ONCE, SKIPS_TOMBSTONES };

struct model {
	enum rules rules;
	struct world *all;
	size_t count, cap, taken, returned;
	uint32_t *index;
	size_t slots;
	bool is_broken;
};

static uint64_t hash_of(const struct world *w)
{
	const unsigned char *p = (const unsigned char *)w;
	uint64_t h = 1469598103934665603u;

	for (size_t i = 0; i < sizeof(*w); i++)
		h = (h ^ p[i]) * 1099511628211u;
	return h ^ h >> 29;
}

static void grow(struct model *m)
{
	m->slots = m->slots == 0 ? 1 << 16 : m->slots * 2;
	free(m->index);
	m->index = mx_alloc_array(m->slots, sizeof(*m->index));
	for (size_t i = 0; i < m->count; i++) {
		size_t at = hash_of(&m->all[i]) & (m->slots - 1);

		while (m->index[at] != 0)
			at = (at + 1) & (m->slots - 1);
		m->index[at] = (uint32_t)(i + 1);
	}
}

static void visit(struct model *m, const struct world *w)
{
	size_t at;

	if (m->count * 2 >= m->slots)
		grow(m);
	at = hash_of(w) & (m->slots - 1);
	while (m->index[at] != 0) {
		if (memcmp(&m->all[m->index[at] - 1], w, sizeof(*w)) == 0)
			return;
		at = (at + 1) & (m->slots - 1);
	}
	if (m->count == m->cap) {
		m->cap = m->cap == 0 ? 1024 : m->cap * 2;
		m->all = mx_realloc(m->all, m->cap * sizeof(*w));
	}
	m->all[m->count++] = *w;
	m->index[at] = (uint32_t)m->count;
}

static bool may_deliver(const struct world *w, int n)
{
	return w->nodes[n].has_message && w->nodes[n].left > 0;
}

/* The one rule: who delivers is the owner, and so there is one. */
static void check(struct model *m, const struct world *w)
{
	for (int n = 0; n < 2; n++)
		if (may_deliver(w, n) && w->owner != n)
			m->is_broken = true;
}

static int8_t most(int v, int limit)
{
	return (int8_t)(v < limit ? v : limit);
}

/* What is left of a lease that was asked for so long ago. */
static int8_t left_of(int age)
{
	int64_t left = lease_until(SOME_TIME - age, LENGTH) - SOME_TIME;

	return (int8_t)(left > 0 ? left : 0);
}

static void pass_time(struct model *m, struct world w)
{
	for (int n = 0; n < 2; n++) {
		struct node *a = &w.nodes[n];

		if (w.rows[n].left > -LENGTH - 1)
			w.rows[n].left--;
		a->left = (int8_t)(a->left - (a->left > 0));
		if (a->request != NO_REQUEST)
			a->asked_age = most(a->asked_age + 1, LENGTH);
		if (a->returns)
			a->returns_age = most(a->returns_age + 1, LENGTH);
		if (a->since_age != OFF)
			a->since_age = most(a->since_age + 1, 2 * LENGTH);
	}
	visit(m, &w);
}

static void ask(struct model *m, struct world w, int n)
{
	struct node *a = &w.nodes[n];

	if (a->request != NO_REQUEST || a->returns)
		return;
	a->request = a->registered ? RENEW : REGISTER;
	a->place = SENT;
	a->asked_age = 0;
	visit(m, &w);
}

static void arrive(struct model *m, struct world w, int n)
{
	struct node *a = &w.nodes[n];

	if (a->request == NO_REQUEST || a->place != SENT)
		return;
	a->place = a->request == RENEW && !a->is_fence ? REFUSED : DONE;
	if (a->place == DONE) {
		w.rows[n].left = LENGTH;
		w.nodes[1 - n].is_seen = false;
		if (a->request == REGISTER) {
			a->is_fence = false;
			a->is_told = true;
		}
	}
	visit(m, &w);
}

static void end_request(struct node *a)
{
	a->request = NO_REQUEST;
	a->place = SENT;
	a->asked_age = 0;
	a->is_told = false;
}

/* What was asked is not known any more: the node goes on until its own end. */
static void lose(struct model *m, struct world w, int n)
{
	struct node *a = &w.nodes[n];

	if (a->request == NO_REQUEST)
		return;
	end_request(a);
	a->registered = a->returns = a->is_fence = false;
	a->returns_age = 0;
	a->since_age = OFF;
	a->is_seen = false;
	visit(m, &w);
}

static void hear(struct model *m, struct world w, int n)
{
	struct node *a = &w.nodes[n];
	int age = m->rules == COUNTS_FROM_REPLY ? 0 : a->asked_age;

	if (a->request == NO_REQUEST || a->place == SENT)
		return;
	if (a->place == REFUSED) {
		a->registered = false;
	} else if (a->request == RENEW) {
		a->left = left_of(age);
	} else {
		a->registered = a->returns = true;
		a->is_fence = a->is_told;
		a->returns_age = (int8_t)age;
	}
	end_request(a);
	visit(m, &w);
}

static void drop_taken(struct model *m, struct world w, int n)
{
	struct node *a = &w.nodes[n];

	if (!a->returns)
		return;
	if (w.rows[n].tomb && m->rules != SKIPS_TOMBSTONES) {
		a->has_message = w.rows[n].tomb = false;
		m->returned++;
	}
	a->left = left_of(a->returns_age);
	a->returns = false;
	a->returns_age = 0;
	visit(m, &w);
}

/* The transaction: both rows are looked at again. */
static void take(struct model *m, struct world *w, int n)
{
	struct node *other = &w->nodes[1 - n];

	if (w->owner != 1 - n || !w->nodes[n].is_fence || w->rows[n].left <= 0)
		return;
	other->is_fence = other->is_told = false;
	w->rows[1 - n].tomb = true;
	w->owner = (int8_t)n;
	m->taken++;
}

static void look(struct model *m, struct world w, int n)
{
	struct node *a = &w.nodes[n];
	int left = w.rows[1 - n].left;
	struct lease_row row = {
		.owner = 1,
		.seen_ms = 1,
		.length_ms = LENGTH,
		.is_over = left + LENGTH < 0,
	};
	struct lease_watch watch = {
		.owner = a->since_age == OFF ? 0 : 1,
		.seen_ms = a->is_seen,
		.since_ms = SOME_TIME - a->since_age,
	};
	bool may;

	if (!a->registered || a->returns)
		return;
	may = lease_watch(&watch, &row, SOME_TIME);
	if (m->rules == TAKES_AT_ONCE)
		may = left <= 1;
	a->is_seen = true;
	a->since_age = (int8_t)(SOME_TIME - watch.since_ms);
	if (may)
		take(m, &w, n);
	visit(m, &w);
}

/* What is ours there, and not here. */
static void import(struct model *m, struct world w, int n)
{
	struct node *a = &w.nodes[n];

	if (!a->registered || a->returns || w.owner != n || !a->is_fence)
		return;
	a->has_message = true;
	visit(m, &w);
}

static void steps(struct model *m, struct world w)
{
	pass_time(m, w);
	for (int n = 0; n < 2; n++) {
		ask(m, w, n);
		arrive(m, w, n);
		lose(m, w, n);
		hear(m, w, n);
		drop_taken(m, w, n);
		look(m, w, n);
		import(m, w, n);
	}
}

static struct model explore(enum rules rules)
{
	struct model m = { .rules = rules };
	struct world first;

	memset(&first, 0, sizeof(first)); /* holes are compared, too */
	first.nodes[0].has_message = true;
	first.nodes[0].since_age = first.nodes[1].since_age = OFF;
	first.rows[0].left = first.rows[1].left = -LENGTH - 1;
	visit(&m, &first);
	for (size_t i = 0; i < m.count && !m.is_broken; i++) {
		struct world w = m.all[i];

		check(&m, &w);
		steps(&m, w);
	}
	free(m.all);
	free(m.index);
	return m;
}

Test(lease, never_two_owners_whatever_happens, .timeout = 120)
{
	struct model m = explore(AS_BUILT);

	cr_expect_not(m.is_broken);
	/* it was no idle walk */
	cr_expect_gt(m.count, 100000, "%zu", m.count);
	cr_expect_gt(m.taken, 500, "%zu", m.taken);
	cr_expect_gt(m.returned, 1000, "%zu", m.returned);
}

/* The model sees what it is there to see. */
Test(lease, careless_rules_make_two_owners, .timeout = 120)
{
	static const enum rules careless[] = { COUNTS_FROM_REPLY, TAKES_AT_ONCE,
					       SKIPS_TOMBSTONES };

	for (size_t i = 0; i < COUNT(careless); i++)
		cr_expect(explore(careless[i]).is_broken, "rule %d",
			  (int)careless[i]);
}
