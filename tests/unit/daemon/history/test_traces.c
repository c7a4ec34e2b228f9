/* A ring of rows about those that left, and what is found in it. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/control/control.h"
#include "daemon/history/traces.h"
#include "tests/unit/common/spool/fixture.h"

static struct fixture f;
static struct traces *t;
static size_t written, deletes, longest;

static void put(struct span key, struct span value, void *arg)
{
	(void)arg;
	if (value.n > 0)
		written++;
	else
		deletes++;
	if (value.n > longest)
		longest = value.n;
	spool_fact_put(f.sp, key, value);
}

static void setup(void)
{
	fixture_open(&f);
	t = traces_new(0, put, NULL);
	written = deletes = longest = 0;
}

static void teardown(void)
{
	traces_free(&t);
	fixture_close(&f);
}

TestSuite(traces, .init = setup, .fini = teardown, .timeout = 120);

static void add(uint64_t id, const char *to, const char *reply)
{
	traces_add(t, &(struct trace){ .left_ms = NOW + 5000,
				       .arrived_ms = NOW,
				       .id = id,
				       .how = SPAN_LIT("delivered"),
				       .from = SPAN_LIT("a@x.example"),
				       .to = span_str(to),
				       .host = SPAN_LIT("mx.example[192.0.2.1]:25"),
				       .reply = span_str(reply) });
}

/* All that is found by the word, with what is in memory or without; looks: how
 * many it took. */
static json_t *find(const char *word, bool in_memory, size_t *looks)
{
	json_t *all = json_array();
	struct trace_filter filter;
	struct trace_recent recent;
	struct buf after = { 0 };
	struct status_page p;

	cr_assert(trace_filter_take(&filter, span_str(word)));
	traces_recent(t, &recent);
	*looks = 0;
	do {
		cr_assert_eq(status_traces(f.sp, &filter, buf_span(&after),
					   in_memory ? &recent : NULL, &p),
			     MX_OK);
		json_array_extend(all, p.items);
		buf_reset(&after);
		buf_add(&after, buf_span(&p.next));
		status_page_fini(&p);
		++*looks;
	} while (after.n > 0);
	buf_fini(&after);
	trace_filter_fini(&filter);
	return all;
}

static size_t count(const char *word, bool in_memory)
{
	size_t looks;
	json_t *all = find(word, in_memory, &looks);
	size_t n = json_array_size(all);

	json_decref(all);
	return n;
}

/* The spool has taken what it was handed. */
static void settle(void)
{
	put_simple(&f, "sync.example");
}

Test(traces, found_at_once_and_once)
{
	add(7, "u@y.example", "250 2.0.0 Ok: queued as 4XyZ12");
	add(8, "v@y.example", "250 fine");
	cr_expect_eq(count("4xyz12", true), 1);
	cr_expect_eq(count("4xyz12", false), 0, "not written yet");
	traces_tick(t);
	settle();
	cr_expect_eq(count("4xyz12", true), 1);
	cr_expect_eq(count("4xyz12", false), 1);
	cr_expect_eq(count("4xyz", true), 0);
	cr_expect_eq(count("U@Y.example", true), 1);
	cr_expect_eq(count("@y.example", true), 2);
	cr_expect_eq(count("a@x.example", true), 2, "the sender");
	cr_expect_eq(count("0000000000007", true), 1);
	cr_expect_eq(count("0000000000009", true), 0);
	traces_tick(t);
	cr_expect_eq(written, 1, "nothing new");
}

Test(traces, members)
{
	size_t looks;
	json_t *all, *o;

	add(7, "u@y.example", "250 tab\there\nand line");
	all = find("u@y.example", true, &looks);
	cr_assert_eq(json_array_size(all), 1);
	o = json_array_get(all, 0);
	cr_expect(span_eq(control_get_text(o, "id"), SPAN_LIT("0000000000007")));
	cr_expect(span_eq(control_get_text(o, "outcome"), SPAN_LIT("delivered")));
	cr_expect(span_eq(control_get_text(o, "reply"),
			  SPAN_LIT("250 tab here and line")));
	cr_expect(span_eq(control_get_text(o, "to"), SPAN_LIT("u@y.example")));
	cr_expect_gt(control_get_text(o, "time").n, 0);
	json_decref(all);
}

/* The ring is bounded, its rows are pages, and looks are bounded. */
Test(traces, the_oldest_go)
{
	char to[300], long_reply[1000];
	size_t looks;
	json_t *all;

	memset(long_reply, 'x', sizeof(long_reply) - 1);
	long_reply[sizeof(long_reply) - 1] = '\0';
	for (int i = 0; i < 8 * TRACE_ROWS; i++) {
		snprintf(to, sizeof(to), "%0200d@y.example", i);
		add((uint64_t)i + 1, to, long_reply);
	}
	settle();
	cr_expect_leq(longest, TRACE_ROW_BYTES);
	cr_expect_gt(deletes, 0);
	cr_expect_leq(written - deletes, TRACE_ROWS);
	all = find("nobody@y.example", true, &looks);
	cr_expect_eq(json_array_size(all), 0);
	cr_expect_geq(looks, TRACE_ROWS / 100, "never all at a time");
	json_decref(all);
	cr_expect_eq(count("0000000000001", true), 0, "long gone");
	cr_expect_eq(count(to, true), 1);
}

Test(traces, go_on_behind_a_restart)
{
	add(1, "u@y.example", "250 first");
	traces_free(&t);
	settle();
	t = traces_new(1, put, NULL);
	add(2, "u@y.example", "250 second");
	cr_expect_eq(count("u@y.example", true), 2);
	cr_expect_eq(count("first", true), 1);
}

Test(traces, age)
{
	struct buf key = { 0 }, row = { 0 };

	trace_key(&key, 1);
	trace_add(&row, &(struct trace){ .left_ms = NOW });
	cr_expect_not(trace_is_over(buf_span(&key), buf_span(&row), NOW));
	cr_expect(trace_is_over(buf_span(&key), buf_span(&row),
				NOW + TRACE_KEPT_MS + 1));
	cr_expect(trace_is_over(buf_span(&key), SPAN_LIT("what?"), NOW));
	cr_expect_not(trace_is_over(SPAN_LIT("outage:1"), SPAN_LIT(""), NOW));
	buf_fini(&key);
	buf_fini(&row);
}
