/* What was counted, by quarter: right across quarters and restarts. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/history/tally_keeper.h"

#define T0 (1790000000000 / TALLY_QUARTER_MS * TALLY_QUARTER_MS)

enum { ROWS = 16 };

static struct {
	char key[32], value[4096];
} rows[ROWS];
static size_t count, writes;
static struct tally *t;
static struct metrics now;

static size_t find(struct span key)
{
	size_t i = 0;

	while (i < count && !span_eq(key, span_str(rows[i].key)))
		i++;
	return i;
}

static void put(struct span key, struct span value, void *arg)
{
	size_t i = find(key);

	(void)arg;
	cr_assert_lt(i, ROWS);
	cr_assert_lt(value.n, sizeof(rows->value));
	writes++;
	count += i == count;
	snprintf(rows[i].key, sizeof(rows->key), "%.*s", SPAN_ARG(key));
	snprintf(rows[i].value, sizeof(rows->value), "%.*s", SPAN_ARG(value));
}

static enum mx_err get(struct span key, struct buf *out, void *arg)
{
	size_t i = find(key);

	(void)arg;
	if (i == count)
		return MX_ENOENT;
	buf_adds(out, rows[i].value);
	return MX_OK;
}

static void start(int64_t wall_ms)
{
	t = tally_new(&(struct tally_options){ put, get, NULL }, &now, wall_ms);
}

static const char *row_of(int64_t wall_ms)
{
	struct buf key = { 0 };
	size_t i;

	tally_key(&key, wall_ms);
	i = find(buf_span(&key));
	buf_fini(&key);
	return i < count ? rows[i].value : "";
}

static size_t label(const char *reason)
{
	size_t i;

	cr_assert(metric_label(METRIC_RECIPIENTS_REJECTED, "reason",
			       span_str(reason), &i));
	return i;
}

Test(tally, growth_goes_to_its_quarter)
{
	now.numbers[METRIC_ACCEPTED][0] = 100; /* of before */
	start(T0);
	now.numbers[METRIC_ACCEPTED][0] += 3;
	now.numbers[METRIC_RECIPIENTS_REJECTED][label("quota")] += 2;
	now.numbers[METRIC_SESSIONS][0] = 7; /* no counter */
	now.numbers[METRIC_HANDSHAKES][HANDSHAKE_IN_OK] += 5;
	tally_look(t, &now, T0 + 5000);
	cr_expect_str_eq(row_of(T0), "messages_accepted 3\n"
				     "recipients_rejected.quota 2\n");
	tally_look(t, &now, T0 + 10000);
	cr_expect_eq(writes, 1, "nothing new, nothing written");
	now.numbers[METRIC_ACCEPTED][0] += 1;
	tally_look(t, &now, T0 + TALLY_QUARTER_MS + 1);
	now.numbers[METRIC_ACCEPTED][0] += 10;
	tally_look(t, &now, T0 + TALLY_QUARTER_MS + 2);
	cr_expect_str_eq(row_of(T0), "messages_accepted 4\n"
				     "recipients_rejected.quota 2\n");
	cr_expect_str_eq(row_of(T0 + TALLY_QUARTER_MS),
			 "messages_accepted 10\n");
	tally_free(&t);
}

Test(tally, goes_on_behind_a_restart)
{
	start(T0);
	now.numbers[METRIC_DELIVERED][0] = 5;
	tally_delivered(t, &(struct tally_slowest){ 90, 7, "a@x.example" });
	tally_look(t, &now, T0);
	tally_free(&t);
	memset(&now, 0, sizeof(now)); /* a process begins at 0 */
	start(T0 + 60000);
	now.numbers[METRIC_DELIVERED][0] = 2;
	tally_delivered(t, &(struct tally_slowest){ 80, 8, "b@x.example" });
	tally_look(t, &now, T0 + 60001);
	cr_expect_str_eq(row_of(T0),
			 "recipients_delivered 7\n"
			 "slowest 90 0000000000007 a@x.example\n");
	tally_free(&t);
}

Test(tally, counters_go_on_at_their_end)
{
	now.numbers[METRIC_ACCEPTED][0] = UINT64_MAX - 1;
	start(T0);
	now.numbers[METRIC_ACCEPTED][0] += 5;
	tally_look(t, &now, T0);
	cr_expect_str_eq(row_of(T0), "messages_accepted 5\n");
	tally_free(&t);
}

Test(tally, keys)
{
	struct buf key = { 0 };
	int64_t began_ms;

	tally_key(&key, T0 + 5);
	cr_assert(tally_key_parse(buf_span(&key), &began_ms));
	cr_expect_eq(began_ms, T0);
	cr_expect_not(tally_is_over(buf_span(&key), T0 + DAYS(300)));
	cr_expect(tally_is_over(buf_span(&key), T0 + DAYS(370)));
	cr_expect_not(tally_is_over(SPAN_LIT("trace:1"), T0 + DAYS(370)));
	cr_expect_not(tally_key_parse(SPAN_LIT("tally:1234567x"), &began_ms));
	buf_fini(&key);
}

Test(tally, what_is_not_known_is_left_alone)
{
	struct tally_slowest slowest = { .wait_s = -1 };
	struct span value = SPAN_LIT("new_thing 3\n\nx\nslowest 5 ? ?\n"
				     "messages_accepted -1\nslowest 7 "
				     "0000000000001 a b@c\n");
	struct span name;
	uint64_t n;

	cr_assert(tally_next(&value, &name, &n, &slowest));
	cr_expect(span_eq(name, SPAN_LIT("new_thing")));
	cr_assert(tally_next(&value, &name, &n, &slowest));
	cr_expect(span_eq(name, SPAN_LIT("slowest")));
	cr_expect_eq(slowest.wait_s, 7);
	cr_expect_str_eq(slowest.to, "a b@c");
	cr_expect_not(tally_next(&value, &name, &n, &slowest));
}
