/* What waits, by destination. */
#include "daemon/web/tally.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct tally t;

static void add(const char *name, const char *destination, uint64_t units,
		int64_t oldest_ms)
{
	struct spool_domain row = { .units = units,
				    .bytes = units * 100,
				    .oldest_ms = oldest_ms };

	snprintf(row.name, sizeof(row.name), "%s", name);
	snprintf(row.destination, sizeof(row.destination), "%s", destination);
	tally_add(&t, &row);
}

static void teardown(void)
{
	tally_fini(&t);
}

TestSuite(tally, .fini = teardown);

Test(tally, sums_up_and_puts_most_mail_first)
{
	struct web_destination *d;
	size_t n;

	t.most_names = 2;
	add("a.example", "one:25", 1, 50);
	add("b.example", "two:25", 5, 90);
	add("c.example", "one:25", 3, 40);
	add("d.example", "three:25", 0, 0);
	add("@one", "", 0, 0); /* a hold of a destination */
	d = tally_top(&t, 10, &n);
	cr_assert_eq(n, 2);
	cr_expect(span_eq(d[0].name, SPAN_LIT("two:25")));
	cr_expect_eq(d[1].messages, 4);
	cr_expect_eq(d[1].bytes, 400);
	cr_expect_eq(d[1].domain_count, 2);
	cr_expect_eq(d[1].oldest_ms, 40);
	cr_expect(span_eq(d[1].domain, SPAN_LIT("c.example")));
	cr_expect_eq(t.rows, 4);
	cr_assert_eq(t.name_count, 2);
	cr_expect(span_eq(t.names[1], SPAN_LIT("b.example")));
	(void)tally_top(&t, 1, &n);
	cr_expect_eq(n, 1);
}

Test(tally, what_the_loop_knows_of_its_way_joins_the_others)
{
	struct web_destination *d;
	size_t n;

	add("a.example", "one:25", 2, 70);
	add("b.example", "", 9, 60);
	add("c.example", "", 1, 50);
	add("d.example", "", 4, 40);
	d = tally_top(&t, 10, &n);
	cr_assert_eq(n, 4);
	d[0].state.name = SPAN_LIT("one:25"); /* b.example's */
	tally_settle(&t, d, &n);
	cr_assert_eq(n, 2);
	cr_expect(span_eq(d[0].name, SPAN_LIT("one:25")));
	cr_expect_eq(d[0].messages, 11);
	cr_expect_eq(d[0].domain_count, 2);
	cr_expect_eq(d[0].oldest_ms, 60);
	cr_expect(span_eq(d[1].name, TALLY_NO_ROUTE));
	cr_expect_eq(d[1].messages, 5);
}

Test(tally, names_of_rows_that_rise_are_not_all_kept)
{
	struct web_destination *d;
	char name[32];
	size_t n, before;

	add("d000000.example", "one:25", 1, 1);
	before = t.arena.bytes;
	for (unsigned i = 1; i < 100000; i++) {
		snprintf(name, sizeof(name), "d%06u.example", i);
		add(name, "one:25", i + 1, 1);
	}
	cr_expect_leq(t.arena.bytes, before + 4096);
	d = tally_top(&t, 1, &n);
	cr_assert_eq(n, 1);
	cr_expect(span_eq(d[0].domain, SPAN_LIT("d099999.example")));
	cr_expect_eq(d[0].domain_messages, 100000);
}

Test(tally, nothing_is_nothing)
{
	size_t n;

	(void)tally_top(&t, 10, &n);
	cr_expect_eq(n, 0);
}
