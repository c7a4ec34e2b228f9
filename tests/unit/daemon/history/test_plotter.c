/* How full the spool was: what is kept of it, and for how long. */
#include "daemon/history/plotter.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"

enum { ROWS = 9000 };

static struct row {
	int64_t hour;
	char value[1500];
} * rows; /* a spool */
static size_t count, writes;
static struct plotter *p;
static const int64_t T0 = HOURS(500000);

static struct row *find(int64_t hour)
{
	for (size_t i = 0; i < count; i++)
		if (rows[i].hour == hour)
			return &rows[i];
	return NULL;
}

static void put(struct span key, struct span value, void *arg)
{
	struct row *row;
	int64_t hour = 0;

	(void)arg;
	cr_assert(curve_key_get(key, &hour));
	cr_assert_lt(value.n, sizeof(row->value));
	row = find(hour);
	writes++;
	if (value.n == 0) {
		if (row != NULL)
			*row = rows[--count];
		return;
	}
	if (row == NULL) {
		cr_assert_lt(count, ROWS);
		row = &rows[count++];
	}
	row->hour = hour;
	snprintf(row->value, sizeof(row->value), "%.*s", SPAN_ARG(value));
}

static enum mx_err get(struct span key, struct buf *out, void *arg)
{
	int64_t hour = 0;
	struct row *row;

	(void)arg;
	cr_assert(curve_key_get(key, &hour));
	row = find(hour);
	if (row == NULL)
		return MX_ENOENT;
	buf_adds(out, row->value);
	return MX_OK;
}

static void start(int64_t now_ms)
{
	p = plotter_new(&(struct plotter_options){ put, get, NULL });
	for (size_t i = count; i-- > 0;) {
		struct buf key = { 0 };
		char value[sizeof(rows->value)];

		snprintf(value, sizeof(value), "%s", rows[i].value);
		curve_key(&key, rows[i].hour);
		plotter_load(p, buf_span(&key), span_str(value), now_ms);
		buf_fini(&key);
	}
}

static void setup(void)
{
	rows = calloc(ROWS, sizeof(*rows));
	cr_assert_not_null(rows);
	start(T0);
}

static void teardown(void)
{
	plotter_free(&p);
	free(rows);
}

static void add(int64_t at_ms, uint64_t used)
{
	plotter_add(p, &(struct curve_sample){ at_ms, used, used / 10 });
}

TestSuite(plotter, .init = setup, .fini = teardown);

Test(plotter, a_minute_counts_once_and_five_are_one_write)
{
	for (int i = 0; i < 60; i++) {
		add(T0 + MINUTES(1) * i, 100 + (uint64_t)i);
		add(T0 + MINUTES(1) * i + SECONDS(30), 9999);
	}
	cr_expect_leq(writes, 13, "%zu", writes);
	plotter_free(&p);
	cr_assert_not_null(find(curve_hour(T0)));
	cr_expect_eq(strncmp(find(curve_hour(T0))->value,
			     "00 100 10\n01 101 10\n", 20),
		     0);
	cr_expect_null(strstr(find(curve_hour(T0))->value, "9999"));
}

Test(plotter, what_does_not_change_is_written_once_an_hour)
{
	for (int i = 0; i < 240; i++)
		add(T0 + MINUTES(1) * i, 100);
	cr_expect_leq(writes, 5, "%zu", writes);
}

Test(plotter, an_hour_goes_on_after_a_restart)
{
	add(T0, 1);
	add(T0 + MINUTES(1), 2);
	plotter_free(&p);
	start(T0 + MINUTES(1));
	add(T0 + MINUTES(1), 3);
	add(T0 + MINUTES(2), 4);
	plotter_free(&p);
	cr_expect_str_eq(find(curve_hour(T0))->value,
			 "00 1 0\n01 2 0\n02 4 0\n");
}

Test(plotter, a_day_later_the_fullest_minute_is_left)
{
	for (int i = 0; i < 27 * 60; i++)
		add(T0 + MINUTES(1) * i, i == 30 ? 5000 : (uint64_t)i);
	plotter_free(&p);
	cr_expect_str_eq(find(curve_hour(T0))->value, "30 5000 500\n");
	cr_expect_gt(strlen(find(curve_hour(T0 + HOURS(3)))->value), 300);
	/* and the same when nobody was there at the hour */
	start(T0 + HOURS(200));
	cr_expect_eq(strlen(find(curve_hour(T0 + HOURS(3)))->value),
		     strlen("59 239 23\n"));
}

Test(plotter, after_a_year_it_is_forgotten)
{
	for (int i = 0; i < CURVE_KEPT_HOURS + 100; i++)
		add(T0 + HOURS(1) * i, (uint64_t)i);
	plotter_free(&p);
	cr_expect_leq(count, CURVE_KEPT_HOURS);
	cr_expect_null(find(curve_hour(T0)));
	start(T0 + 2 * HOURS(CURVE_KEPT_HOURS));
	cr_expect_leq(count, 100);
}

Test(plotter, a_clock_that_was_wrong_leaves_nothing)
{
	add(T0 + DAYS(1000), 1);
	plotter_free(&p);
	start(T0);
	cr_expect_eq(count, 0);
	add(T0, 2);
	plotter_free(&p);
	cr_expect_not_null(find(curve_hour(T0)));
}

Test(plotter, a_clock_set_back_is_waited_for)
{
	add(T0 + MINUTES(30), 1);
	add(T0 + MINUTES(10), 2);
	add(T0 + MINUTES(31), 3);
	add(T0 - DAYS(30), 4); /* too far: it goes on there */
	plotter_free(&p);
	cr_expect_str_eq(find(curve_hour(T0))->value, "30 1 0\n31 3 0\n");
	cr_expect_not_null(find(curve_hour(T0 - DAYS(30))));
}
