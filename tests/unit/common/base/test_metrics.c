/* The table of what is counted, its numbers, and the log lines that count. */
#include "common/base/metrics.h"

#include <criterion/criterion.h>
#include <pthread.h>

#include "common/base/assert.h"
#include "common/base/log.h"

/* [a-z_][a-z0-9_]*, and by kind as OpenMetrics wants it. */
static bool is_legal(const struct metric *row)
{
	struct span s = span_str(row->name);
	bool is_total = s.n > 6 && strcmp(row->name + s.n - 6, "_total") == 0;

	return strspn(s.p, "abcdefghijklmnopqrstuvwxyz0123456789_") == s.n &&
	       span_starts(s, SPAN_LIT("mx20_")) &&
	       is_total == (row->kind == METRIC_COUNTER);
}

Test(metrics, names_are_legal_and_unique)
{
	for (unsigned i = 0; i < METRIC_COUNT; i++) {
		const struct metric *row = metric_get(i);

		cr_assert_not_null(row->name, "row %u", i);
		cr_expect(is_legal(row), "%s", row->name);
		cr_expect_gt(strlen(row->help), 0, "%s", row->name);
		for (unsigned k = 0; k < i; k++)
			cr_expect_str_neq(row->name, metric_get(k)->name);
	}
}

Test(metrics, labels_are_unique_and_all_there)
{
	for (unsigned i = 0; i < METRIC_COUNT; i++) {
		const struct metric *row = metric_get(i);
		size_t extra = row->kind == METRIC_HISTOGRAM ? 2 : 0;

		cr_assert_leq(row->count + extra, METRIC_NUMBERS);
		cr_expect_eq(row->kind == METRIC_HISTOGRAM,
			     row->bounds != NULL);
		for (size_t k = 0; row->labels != NULL && k < row->count; k++)
			for (size_t j = 0; j < k; j++)
				cr_expect_str_neq(row->labels[k],
						  row->labels[j], "%s",
						  row->name);
		for (size_t k = 1; row->bounds != NULL && k < row->count; k++)
			cr_expect_lt(row->bounds[k - 1], row->bounds[k]);
	}
}

Test(metrics, a_label_is_found_whole)
{
	size_t label = 99;

	cr_assert(metric_label(METRIC_MESSAGES_REJECTED, "reason",
			       SPAN_LIT("space"), &label));
	cr_expect_str_eq(metric_get(METRIC_MESSAGES_REJECTED)->labels[label],
			 "reason=\"space\"");
	cr_expect_not(metric_label(METRIC_MESSAGES_REJECTED, "reason",
				   SPAN_LIT("spac"), &label));
	cr_expect_not(metric_label(METRIC_MESSAGES_REJECTED, "reason",
				   SPAN_LIT(""), &label));
	cr_expect_not(metric_label(METRIC_MESSAGES_REJECTED, "rea",
				   SPAN_LIT("space"), &label));
	cr_expect_not(
		metric_label(METRIC_ACCEPTED, "reason", SPAN_LIT(""), &label));
}

static struct metrics now(void)
{
	struct metrics m;

	metrics_read(&m);
	return m;
}

static uint64_t count(enum metric_id id, size_t label)
{
	return now().numbers[id][label];
}

Test(metrics, a_snapshot_stays_as_it_is)
{
	struct metrics before = now(), after;

	metrics_count(METRIC_ACCEPTED);
	metrics_add(METRIC_HANDSHAKES, HANDSHAKE_OUT_FAILED, 3);
	metrics_set(METRIC_SESSIONS, 7);
	after = now();
	cr_expect_eq(before.numbers[METRIC_ACCEPTED][0], 0);
	cr_expect_eq(after.numbers[METRIC_ACCEPTED][0], 1);
	cr_expect_eq(after.numbers[METRIC_HANDSHAKES][HANDSHAKE_OUT_FAILED], 3);
	cr_expect_eq(after.numbers[METRIC_HANDSHAKES][HANDSHAKE_IN_FAILED], 0);
	cr_expect_eq(after.numbers[METRIC_SESSIONS][0], 7);
	metrics_set(METRIC_SESSIONS, 6);
	cr_expect_eq(count(METRIC_SESSIONS, 0), 6);
}

Test(metrics, a_counter_begins_anew_behind_its_end)
{
	metrics_add(METRIC_ACCEPTED, 0, UINT64_MAX);
	metrics_count(METRIC_ACCEPTED);
	metrics_count(METRIC_ACCEPTED);
	cr_expect_eq(count(METRIC_ACCEPTED, 0), 1);
}

/* A bound belongs to its own bucket; what is above them all has a bucket. */
Test(metrics, buckets)
{
	const struct metric *row = metric_get(METRIC_WAIT);
	const int64_t values[] = { 0,
				   row->bounds[0],
				   row->bounds[0] + 1,
				   row->bounds[row->count - 1],
				   row->bounds[row->count - 1] + 1,
				   -5 /* the clock was set back */ };
	struct metrics m;
	uint64_t sum = 0;

	for (size_t i = 0; i < COUNT(values); i++) {
		metrics_observe(METRIC_WAIT, values[i]);
		sum += values[i] > 0 ? (uint64_t)values[i] : 0;
	}
	m = now();
	cr_expect_eq(metrics_up_to(&m, METRIC_WAIT, 0), 3);
	cr_expect_eq(metrics_up_to(&m, METRIC_WAIT, 1), 4);
	cr_expect_eq(metrics_up_to(&m, METRIC_WAIT, row->count - 1), 5);
	cr_expect_eq(metrics_up_to(&m, METRIC_WAIT, row->count), 6);
	cr_expect_eq(metrics_sum(&m, METRIC_WAIT), sum);
	cr_expect_eq(metrics_up_to(&m, METRIC_COMMIT,
				   metric_get(METRIC_COMMIT)->count),
		     0);
}

static void *count_many(void *arg)
{
	for (int i = 0; i < 100000; i++)
		metrics_observe(METRIC_COMMIT, 1);
	return arg;
}

Test(metrics, threads_lose_nothing)
{
	const size_t all = metric_get(METRIC_COMMIT)->count;
	pthread_t threads[4];
	struct metrics m;

	for (size_t i = 0; i < COUNT(threads); i++)
		cr_assert_eq(
			pthread_create(&threads[i], NULL, count_many, NULL), 0);
	for (size_t i = 0; i < COUNT(threads); i++)
		pthread_join(threads[i], NULL);
	m = now();
	cr_expect_eq(metrics_up_to(&m, METRIC_COMMIT, all), 400000);
	cr_expect_eq(metrics_sum(&m, METRIC_COMMIT), 400000);
}

/* ---- Lines of the log ---- */

static uint64_t rejected(enum metric_id id, const char *reason)
{
	size_t label = METRIC_NUMBERS;

	cr_assert(metric_label(id, "reason", span_str(reason), &label));
	return count(id, label);
}

static void say_rejected(const char *stage, const char *reason)
{
	log_info(EV_REJECTED, LOG_HEX("sid", 1), LOG_STR("stage", stage),
		 LOG_STR("reason", reason));
}

Test(metrics_events, what_is_refused_counts_by_reason_and_stage)
{
	log_set_level(LOG_LEVEL_ERROR); /* a line that is not written counts */
	say_rejected("rcpt", "unknown_recipient");
	say_rejected("rcpt", "unknown_recipient");
	say_rejected("rcpt", "domain_room");
	say_rejected("mail", "space");
	say_rejected("data", "domain_room");
	say_rejected("bdat", "message_size");
	/* the session ends: that is no recipient */
	say_rejected("rcpt", "errors");
	say_rejected("connect", "connection_rate");
	say_rejected("command", "syntax");
	log_unsaid(EV_REJECTED, LOG_STR("stage", "rcpt"),
		   LOG_STR("reason", "foreign_domain"));
	cr_expect_eq(rejected(METRIC_RECIPIENTS_REJECTED, "unknown_recipient"),
		     2);
	cr_expect_eq(rejected(METRIC_RECIPIENTS_REJECTED, "foreign_domain"), 1);
	cr_expect_eq(rejected(METRIC_RECIPIENTS_REJECTED, "domain_room"), 1);
	cr_expect_eq(rejected(METRIC_RECIPIENTS_REJECTED, "syntax"), 0);
	cr_expect_eq(rejected(METRIC_MESSAGES_REJECTED, "domain_room"), 1);
	cr_expect_eq(rejected(METRIC_MESSAGES_REJECTED, "space"), 1);
	cr_expect_eq(rejected(METRIC_MESSAGES_REJECTED, "message_size"), 1);
}

Test(metrics_events, outcomes)
{
	struct metrics m;

	log_set_level(LOG_LEVEL_ERROR);
	log_info(EV_ACCEPTED, LOG_INT("rcpts", 3));
	log_info(EV_DELIVERED, LOG_STR("host", "mx.test"),
		 LOG_INT("wait_s", 100));
	log_info(EV_DELIVERED, LOG_STR("host", "mx.test"),
		 LOG_INT("wait_s", 2));
	log_debug(EV_DEFERRED, LOG_STR("host", "mx.test"),
		  LOG_INT("attempts", 1));
	m = now();
	cr_expect_eq(m.numbers[METRIC_ACCEPTED][0], 1);
	cr_expect_eq(m.numbers[METRIC_DELIVERED][0], 2);
	cr_expect_eq(metrics_sum(&m, METRIC_WAIT), 102);
	cr_expect_eq(metrics_up_to(&m, METRIC_WAIT, 1), 1);
	cr_expect_eq(m.numbers[METRIC_DEFERRED][0], 1);
}

Test(metrics_events, what_the_primary_refused)
{
	log_set_level(LOG_LEVEL_ERROR);
	log_info(EV_BOUNCED, LOG_STR("host", "mx.test"), LOG_STR("reason", ""));
	log_warn(EV_HELD, LOG_STR("host", "mx.test"), LOG_STR("reason", ""));
	/* and what it did not */
	log_info(EV_BOUNCED, LOG_STR("host", "mx.test"),
		 LOG_STR("reason", "lifetime"));
	log_info(EV_BOUNCED, LOG_STR("by", "operator"), LOG_INT("uid", 0));
	log_error(EV_HELD, LOG_STR("domain", "a.test"), LOG_INT("units", 3),
		  LOG_STR("reason", "unlisted"));
	cr_expect_eq(count(METRIC_REFUSED, 0), 2);
}

Test(metrics_events, a_reply_in_doubt_is_not_a_second_retry)
{
	log_set_level(LOG_LEVEL_ERROR);
	log_warn(EV_DEFERRED, LOG_STR("host", "mx.test"),
		 LOG_STR("note", "a duplicate is possible"));
	cr_expect_eq(count(METRIC_DEFERRED, 0), 0);
}
