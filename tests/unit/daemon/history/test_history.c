/* Outages by a clock of ours; the rows are those that a spool would have. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/history/history.h"

#define T0 ((int64_t)1790000000000)
#define GONE MINUTES(12)
#define MX SPAN_LIT("mx.example:25")

enum { ROWS = HISTORY_ROWS_MAX + 8 };

static struct row {
	char key[OUTAGE_KEY_MAX], value[512];
} rows[ROWS];
static size_t count, writes;

static struct history *h;

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct row *)a)->key,
		      ((const struct row *)b)->key);
}

static void put(struct span key, struct span value, void *arg)
{
	size_t i;

	(void)arg;
	cr_assert_lt(key.n, sizeof(rows->key));
	cr_assert_lt(value.n, sizeof(rows->value));
	writes++;
	for (i = 0; i < count; i++)
		if (span_eq(key, span_str(rows[i].key)))
			break;
	if (value.n == 0) {
		cr_assert_lt(i, count, "what is not there is deleted");
		rows[i] = rows[--count];
		return;
	}
	cr_assert_lt(i, ROWS);
	count += i == count;
	snprintf(rows[i].key, sizeof(rows->key), "%.*s", SPAN_ARG(key));
	snprintf(rows[i].value, sizeof(rows->value), "%.*s", SPAN_ARG(value));
}

static void begin(void)
{
	h = history_new(&(struct history_options){ .put = put });
}

static void end(void)
{
	history_free(&h);
	cr_assert_null(h);
}

TestSuite(history, .init = begin, .fini = end, .timeout = 60);

/* kill -9, and the start after it: nothing is handed out. */
static void crash(void)
{
	static struct row kept[ROWS];
	size_t n = count;

	qsort(rows, count, sizeof(*rows), by_key);
	memcpy(kept, rows, sizeof(rows));
	history_free(&h);
	memcpy(rows, kept, sizeof(rows));
	count = n;
	begin();
	for (size_t i = 0; i < n; i++)
		history_load(h, span_str(kept[i].key), span_str(kept[i].value));
}

static void down_for(struct span name, int64_t since_ms, int64_t now_ms)
{
	history_down(h,
		     &(struct history_down){
			     .destination = name,
			     .reply = SPAN_LIT("(connect)\nrefused"),
			     .domains = SPAN_LIT("a.example b.example"),
			     .domain_count = 2,
			     .since_ms = since_ms,
			     .seen_ms = now_ms,
		     },
		     now_ms);
}

static void down(int64_t since_ms, int64_t now_ms)
{
	down_for(MX, since_ms, now_ms);
}

static struct outage row(size_t i)
{
	struct outage o;

	qsort(rows, count, sizeof(*rows), by_key);
	cr_assert_lt(i, count);
	cr_assert(
		outage_get(span_str(rows[i].key), span_str(rows[i].value), &o));
	return o;
}

static void tick(int64_t now_ms)
{
	history_tick(h, GONE, now_ms);
}

static void tick_for(int64_t ms, int64_t now_ms)
{
	for (; ms > 0; ms -= HISTORY_TICK_MS)
		tick(now_ms);
}

static void settled(int64_t arrived_ms, int64_t tried_ms, unsigned refused,
		    int64_t now_ms)
{
	history_settled(h,
			&(struct history_unit){
				.destination = MX,
				.arrived_ms = arrived_ms,
				.tried_ms = tried_ms,
				.refused = refused,
				.has_left = true,
			},
			now_ms);
}

Test(history, an_outage_is_written_when_it_begins_and_ends)
{
	struct outage o;

	down(T0, T0 + 1);
	tick(T0 + 9999);
	cr_expect_eq(count, 0, "it may be a blip yet");
	tick(T0 + 10000);
	o = row(0);
	cr_expect_eq(o.began_ms, T0);
	cr_expect_eq(o.ended_ms, 0);
	cr_expect(span_eq(o.destination, MX));
	cr_expect(span_eq(o.domains, SPAN_LIT("a.example b.example")));
	cr_expect(span_eq(o.reply, SPAN_LIT("(connect) refused")));
	history_up(h, MX, 3, T0 + HOURS(2));
	o = row(0);
	cr_expect_eq(count, 1);
	cr_expect_eq(o.ended_ms, T0 + HOURS(2));
	cr_expect_eq(o.messages, 3);
}

/* One failed probe between two that succeed. */
Test(history, a_blip_is_none)
{
	down(T0, T0);
	history_up(h, MX, 3, T0 + 9999);
	tick(T0 + MINUTES(1));
	cr_expect_eq(writes, 0);
	/* and it hides nothing of the one before */
	down(T0 + HOURS(1), T0 + HOURS(2));
	history_up(h, MX, 1, T0 + HOURS(3));
	down(T0 + HOURS(4), T0 + HOURS(4));
	history_up(h, MX, 1, T0 + HOURS(4) + 1);
	settled(T0 + HOURS(2), 0, 1, T0 + HOURS(4) + 2);
	tick(T0 + HOURS(4) + 3);
	cr_expect_eq(count, 1);
	cr_expect_eq(row(0).refused, 1);
	cr_expect_eq(row(0).worst_ms, HOURS(2) + 2);
}

Test(history, who_comes_and_goes_has_one)
{
	int64_t now = T0;

	for (int i = 0; i < 20; i++, now += MINUTES(2)) {
		down(now, now + 1);
		tick(now + MINUTES(1));
		history_up(h, MX, 0, now + MINUTES(1) + 1);
	}
	cr_expect_eq(count, 1);
	cr_expect_eq(row(0).ended_ms, now - MINUTES(1) + 1);
}

Test(history, a_pause_of_a_minute_ends_it)
{
	down(T0, T0 + MINUTES(1));
	history_up(h, MX, 0, T0 + MINUTES(2));
	down(T0 + MINUTES(3), T0 + MINUTES(4));
	cr_expect_eq(count, 2);
	cr_expect_eq(row(0).began_ms, T0 + MINUTES(3), "the newest is first");
	cr_expect_eq(row(1).ended_ms, T0 + MINUTES(2));
}

/* What waited for it counts when it leaves, and not what came later. */
Test(history, counts_what_it_made_wait)
{
	down(T0, T0 + MINUTES(1));
	settled(T0 - 5, 0, 0, T0 + MINUTES(2)); /* given up meanwhile */
	history_up(h, MX, 2, T0 + HOURS(1));
	cr_expect_eq(row(0).messages, 3, "known at once");
	settled(T0 - DAYS(1), T0 - HOURS(3), 2, T0 + HOURS(1) + 500);
	settled(T0 + 1000, 0, 0, T0 + HOURS(1) + 1000);
	settled(T0 + HOURS(1) + 1, 0, 1, T0 + HOURS(1) + 2000);
	settled(T0 - 5, T0 + HOURS(1) + 1, 1, T0 + HOURS(9));
	tick(T0 + HOURS(9));
	cr_expect_eq(row(0).messages, 3);
	cr_expect_eq(row(0).refused, 2);
	cr_expect_eq(row(0).worst_ms, HOURS(1) + 500,
		     "no more than the outage cost");
	/* more domains than are counted at its end */
	settled(T0 + 1000, 0, 0, T0 + HOURS(9) + 1);
	tick(T0 + HOURS(9) + 5000);
	cr_expect_eq(row(0).messages, 4);
}

Test(history, goes_on_behind_a_crash)
{
	down(T0, T0 + MINUTES(1));
	crash();
	tick(T0 + HOURS(1) + 5000);
	cr_expect_eq(row(0).ended_ms, 0, "nobody knows yet");
	down(T0 + HOURS(1) + 1000, T0 + HOURS(1) + 6000);
	tick(T0 + HOURS(1) + MINUTES(10));
	history_up(h, MX, 7, T0 + HOURS(2));
	cr_expect_eq(count, 1);
	cr_expect_eq(row(0).began_ms, T0);
	cr_expect_eq(row(0).messages, 7);
	crash(); /* while its mail goes out */
	for (int i = 0; i < 7; i++)
		settled(T0 + 1, 0, 0, T0 + HOURS(3));
	tick(T0 + HOURS(3));
	cr_expect_eq(row(0).messages, 7, "each once");
	cr_expect_eq(row(0).worst_ms, HOURS(3) - 1);
}

Test(history, ends_when_it_is_found_up_behind_a_crash)
{
	down(T0, T0 + MINUTES(1));
	crash();
	history_up(h, MX, 2, T0 + HOURS(1) + 500);
	cr_expect_eq(row(0).ended_ms, T0 + HOURS(1) + 500);
	cr_expect_eq(row(0).messages, 2);
}

/* Its mail was removed, its route is another one, nobody asks any more. */
Test(history, ends_when_nobody_asks)
{
	down(T0, T0 + MINUTES(1));
	down(T0, T0 + MINUTES(7));
	tick_for(GONE, T0 + DAYS(7)); /* a clock that was set ends none */
	cr_expect_eq(row(0).ended_ms, 0);
	tick(T0 + DAYS(7));
	cr_expect_eq(row(0).ended_ms, T0 + MINUTES(7), "last known to be down");
	/* the same when the daemon was away: it has had its chance */
	down(T0 + HOURS(1), T0 + HOURS(2));
	crash();
	tick_for(GONE, T0 + HOURS(9));
	cr_expect_eq(row(0).ended_ms, 0);
	tick(T0 + HOURS(9));
	cr_expect_eq(row(0).ended_ms, T0 + HOURS(2));
}

/* A destination that is down for long costs a row in five minutes. */
Test(history, is_not_written_all_the_time)
{
	for (int64_t t = MINUTES(1); t < HOURS(1); t += MINUTES(1)) {
		down(T0, T0 + t);
		tick(T0 + t);
	}
	cr_expect_leq(writes, 13);
	cr_expect_geq(row(0).seen_ms, T0 + MINUTES(54));
}

static void down_nth(int i, int64_t since_ms)
{
	char name[32];

	snprintf(name, sizeof(name), "mx%d.example:25", i);
	down_for(span_str(name), since_ms, since_ms + 10000);
}

static void up_nth(int i, int64_t now_ms)
{
	char name[32];

	snprintf(name, sizeof(name), "mx%d.example:25", i);
	history_up(h, span_str(name), 0, now_ms);
}

Test(history, the_oldest_go_when_there_are_too_many)
{
	int i = 0;

	for (; i < 10; i++) {
		down_nth(i, T0 + i);
		up_nth(i, T0 + SECONDS(20));
	}
	for (; i < HISTORY_ROWS_MAX; i++)
		down_nth(i, T0 + i);
	cr_assert_eq(count, HISTORY_ROWS_MAX);
	for (; i < HISTORY_ROWS_MAX + 15; i++)
		down_nth(i, T0 + SECONDS(30) + i);
	cr_expect_eq(count, HISTORY_ROWS_MAX, "but none that goes on");
	cr_expect_eq(row(count - 1).began_ms, T0 + 10);
	up_nth(10, T0 + HOURS(1));
	down_nth(i, T0 + HOURS(2));
	cr_expect_eq(count, HISTORY_ROWS_MAX);
	cr_expect_eq(row(0).began_ms, T0 + HOURS(2));
}

Test(history, names_some_and_counts_all)
{
	struct buf names = { 0 };
	struct outage o;

	for (int i = 0; i < OUTAGE_DOMAINS_MAX + 20; i++)
		buf_addf(&names, "%sd%d.example", i > 0 ? " " : "", i);
	rows[0].value[0] = '\0';
	history_down(h,
		     &(struct history_down){ .destination = MX,
					     .domains = SPAN_LIT("z.example"),
					     .domain_count = 1,
					     .since_ms = T0,
					     .seen_ms = T0 },
		     T0 + SECONDS(10));
	cr_expect_eq(row(0).domains_left_out, 0);
	history_down(h,
		     &(struct history_down){ .destination = MX,
					     .domains = { names.p, 40 },
					     .domain_count = 10000,
					     .since_ms = T0,
					     .seen_ms = T0 },
		     T0 + SECONDS(20));
	tick(T0 + SECONDS(20));
	o = row(0);
	cr_expect(outage_names(&o, SPAN_LIT("z.example")));
	cr_expect(outage_names(&o, SPAN_LIT("d2.example")));
	cr_expect_not(outage_names(&o, SPAN_LIT("example")));
	cr_expect_eq(o.domains_left_out, 10000 - 5);
	buf_fini(&names);
}

/* Damaged rows, and rows that are none. */
Test(history, takes_only_its_own_rows)
{
	static const struct {
		const char *key, *value;
	} cases[] = {
		{ "outage:", "1 0 1 0 0 0 0 0\nmx\n\n\n" },
		{ "outage:ffffe9123456789z", "1 0 1 0 0 0 0 0\nmx\n\n\n" },
		{ "outage:ffffe91234567890", "" },
		{ "outage:ffffe91234567890", "1 0 1 0 0 0 0\nmx\n\n\n" },
		{ "outage:ffffe91234567890", "1 0 -1 0 0 0 0 0\nmx\n\n\n" },
		{ "outage:ffffe91234567890", "1 0 1 0 0 0 0 0\n" },
		{ "outage:ffffe91234567890",
		  "1 0 9999999999999999999 0 0 0 0 0\nmx\n\n\n" },
		{ "outagee:ffffe91234567890", "1 0 1 0 0 0 0 0\nmx\n\n\n" },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		history_load(h, span_str(cases[i].key),
			     span_str(cases[i].value));
	tick(T0 + DAYS(1));
	cr_expect_eq(writes, 0);
	for (size_t i = 0; i < 7; i++)
		cr_expect(outage_is_over(span_str(cases[i].key),
					 span_str(cases[i].value), T0),
			  "%zu is forgotten", i);
	cr_expect_not(outage_is_over(span_str(cases[7].key), SPAN_LIT(""), T0));
}

Test(history, is_kept_a_year)
{
	struct outage o;

	down(T0, T0 + MINUTES(1));
	history_up(h, MX, 0, T0 + MINUTES(2));
	o = row(0);
	cr_expect_eq(o.ended_ms, T0 + MINUTES(2));
	cr_expect_not(outage_is_over(span_str(rows[0].key),
				     span_str(rows[0].value), T0 + DAYS(365)));
	cr_expect(outage_is_over(span_str(rows[0].key), span_str(rows[0].value),
				 T0 + DAYS(367)));
}
