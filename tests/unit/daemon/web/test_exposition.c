/* The metrics as Prometheus and OpenMetrics read them. */
#include "daemon/web/exposition.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "common/base/assert.h"

static struct buf out;

static void make(const struct web_facts *f, enum exposition how)
{
	buf_reset(&out);
	exposition_make(&out, f, how);
	buf_cstr(&out);
}

static bool has(const char *line)
{
	char with_ends[400];

	snprintf(with_ends, sizeof(with_ends), "\n%s\n", line);
	return strstr(out.p, with_ends) != NULL;
}

static void teardown(void)
{
	buf_fini(&out);
}

TestSuite(exposition, .fini = teardown);

Test(exposition, a_counter_has_its_ending_where_the_format_wants_it)
{
	struct web_facts f = { 0 };

	f.metrics.numbers[METRIC_ACCEPTED][0] = 7;
	make(&f, EXPOSITION_OPENMETRICS);
	cr_expect(has("# TYPE mx20_messages_accepted counter"));
	cr_expect(has("mx20_messages_accepted_total 7"));
	cr_expect(has("# UNIT mx20_commit_seconds seconds"));
	make(&f, EXPOSITION_TEXT);
	cr_expect(has("# TYPE mx20_messages_accepted_total counter"));
	cr_expect(has("mx20_messages_accepted_total 7"));
	cr_expect_not(has("# UNIT mx20_commit_seconds seconds"));
	cr_expect_str_eq(out.p + out.n - 6, "# EOF\n");
}

Test(exposition, a_histogram_is_in_seconds)
{
	struct web_facts f = { 0 };

	f.metrics.numbers[METRIC_COMMIT][0] = 2; /* up to 250 us */
	f.metrics.numbers[METRIC_COMMIT][2] = 1;
	f.metrics.numbers[METRIC_COMMIT][metric_get(METRIC_COMMIT)->count + 1] =
		1400;
	make(&f, EXPOSITION_OPENMETRICS);
	cr_expect(has("mx20_commit_seconds_bucket{le=\"0.00025\"} 2"));
	cr_expect(has("mx20_commit_seconds_bucket{le=\"0.0005\"} 2"));
	cr_expect(has("mx20_commit_seconds_bucket{le=\"0.001\"} 3"));
	cr_expect(has("mx20_commit_seconds_bucket{le=\"+Inf\"} 3"));
	cr_expect(has("mx20_commit_seconds_sum 0.0014"));
	cr_expect(has("mx20_commit_seconds_count 3"));
}

Test(exposition, without_a_certificate_it_has_no_end)
{
	struct web_facts f = { 0 };

	make(&f, EXPOSITION_TEXT);
	cr_expect_null(strstr(out.p, "\nmx20_certificate_expiry_timestamp_"
				     "seconds "));
	f.metrics.numbers[METRIC_CERTIFICATE][0] = 1790000000;
	make(&f, EXPOSITION_TEXT);
	cr_expect(has("mx20_certificate_expiry_timestamp_seconds 1790000000"));
}

Test(exposition, a_destination_is_up_down_or_not_known)
{
	struct braked braked = { .since_ms = 40000 };
	struct web_destination all[] = {
		{ .name = SPAN_LIT("up"),
		  .messages = 4,
		  .state = { .state = "up" } },
		{ .name = SPAN_LIT("down"),
		  .messages = 3,
		  .state = { .state = "probing",
			     .is_down = true,
			     .since_ms = 90000 } },
		{ .name = SPAN_LIT("braked"),
		  .messages = 2,
		  .state = { .state = "up", .braked = &braked } },
		{ .name = SPAN_LIT("new"),
		  .messages = 1,
		  .state = { .state = "unknown" } },
	};
	struct web_facts f = { .now_ms = 100000,
			       .destinations = all,
			       .destination_count = COUNT(all) };

	make(&f, EXPOSITION_OPENMETRICS);
	cr_expect(has("mx20_destination_up{destination=\"up\"} 1"));
	cr_expect(has("mx20_destination_up{destination=\"down\"} 0"));
	cr_expect(has("mx20_destination_up{destination=\"braked\"} 0"));
	cr_expect_null(strstr(out.p, "_up{destination=\"new\"}"));
	cr_expect(has("mx20_destination_down_seconds{destination=\"up\"} 0"));
	cr_expect(
		has("mx20_destination_down_seconds{destination=\"down\"} 10"));
	cr_expect(has(
		"mx20_destination_down_seconds{destination=\"braked\"} 60"));
	cr_expect(has("mx20_destination_messages{destination=\"new\"} 1"));
}

Test(exposition, no_more_than_a_hundred_have_labels)
{
	static struct web_destination all[WEB_LABELLED + 1];
	static char names[COUNT(all)][16];
	struct web_facts f = { .destinations = all,
			       .destination_count = COUNT(all) };

	for (size_t i = 0; i < COUNT(all); i++) {
		snprintf(names[i], sizeof(names[i]), "host%zu:25", i);
		all[i].name = span_str(names[i]);
		all[i].state.state = "up";
	}
	make(&f, EXPOSITION_TEXT);
	cr_expect(has("mx20_destination_up{destination=\"host99:25\"} 1"));
	cr_expect_null(strstr(out.p, "host100:25"));
}

Test(exposition, hosts_of_domains_that_are_not_listed_have_one_label)
{
	struct web_destination rows[3] = {
		{ .name = SPAN_LIT("mx.sender.test:25"), .messages = 5 },
		{ .name = SPAN_LIT("mx.a.test:25"), .messages = 4 },
		{ .name = SPAN_LIT("mx.forged.test:25"), .messages = 3 },
	};
	struct web_facts f = { .destinations = rows, .destination_count = 3 };

	for (size_t i = 0; i < COUNT(rows); i++) {
		rows[i].state.state = "up";
		rows[i].state.is_strangers = i != 1;
	}
	make(&f, EXPOSITION_OPENMETRICS);
	cr_expect(has("mx20_destination_messages{destination="
		      "\"(not listed)\"} 8"));
	cr_expect(has("mx20_destination_messages{destination="
		      "\"mx.a.test:25\"} 4"));
	cr_expect(has("mx20_destination_up{destination=\"mx.a.test:25\"} 1"));
	cr_expect_null(strstr(out.p, "sender.test"));
	cr_expect_null(strstr(out.p, "forged.test"));
	cr_expect_null(strstr(out.p, "up{destination=\"(not"));
}

Test(exposition, names_of_strangers_do_no_harm)
{
	struct web_destination d = {
		.name = SPAN_LIT("a\"\\\n\x1b[31m\xff\xe2\x80\xae\xc3\xa4"),
		.state = { .state = "up" },
	};
	struct web_facts f = { .destinations = &d, .destination_count = 1 };

	make(&f, EXPOSITION_TEXT);
	cr_expect(has("mx20_destination_up{destination=\"a\\\"\\\\"
		      "\xef\xbf\xbd\xef\xbf\xbd[31m\xef\xbf\xbd\xef\xbf\xbd"
		      "\xc3\xa4\"} 1"));
}

Test(exposition, the_format_is_the_one_that_is_wanted)
{
	static const struct {
		const char *accept;
		enum exposition how;
	} cases[] = {
		{ NULL, EXPOSITION_TEXT },
		{ "", EXPOSITION_TEXT },
		{ "*/*", EXPOSITION_TEXT },
		{ "text/plain;version=0.0.4", EXPOSITION_TEXT },
		{ "application/openmetrics-text", EXPOSITION_OPENMETRICS },
		{ "application/openmetrics-text;version=1.0.0;q=0.5,"
		  "text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
		  EXPOSITION_OPENMETRICS },
		{ "text/html, Application/OpenMetrics-Text ; q=0.001",
		  EXPOSITION_OPENMETRICS },
		{ "application/openmetrics-text;q=0", EXPOSITION_TEXT },
		{ "application/openmetrics-text; q=0.000, */*",
		  EXPOSITION_TEXT },
		{ "application/openmetrics-textual", EXPOSITION_TEXT },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(exposition_wanted(cases[i].accept), cases[i].how,
			     "%s", cases[i].accept);
}
