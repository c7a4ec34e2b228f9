/* What the page says. */
#include "daemon/web/page.h"

#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "common/base/clock.h"

#define NOW INT64_C(1795866000000)
#define U "\xc2\xa0"

static struct buf out;
static struct web_facts f;
static struct web_destination d[2];
static struct outage o[2];

static void setup(void)
{
	f = (struct web_facts){ .now_ms = NOW,
				.is_loop_well = true,
				.destinations = d,
				.outages = o };
	f.totals.space.size_bytes = 1 << 20;
	d[0] = (struct web_destination){ .name = SPAN_LIT("one:25 tls=may"),
					 .state = { .state = "up" } };
	d[1] = (struct web_destination){ .name = SPAN_LIT("two:25 tls=may"),
					 .state = { .state = "up" } };
}

static void teardown(void)
{
	buf_fini(&out);
}

static bool says(const char *words)
{
	buf_reset(&out);
	page_make(&out, &f);
	return strstr(buf_cstr(&out), words) != NULL;
}

TestSuite(page, .init = setup, .fini = teardown);

Test(page, the_title_is_the_worst_that_is)
{
	cr_expect(says("<h1 class=\"good\">All quiet. No mail waits.</h1>"));
	f.destination_count = 2;
	d[0].messages = f.totals.messages = 1;
	f.totals.oldest_ms = NOW;
	cr_expect(says("<h1 class=\"busy\">Delivering 1 message.</h1>"));
	d[0].held = 1;
	cr_expect(says("<h1 class=\"warn\">1 message is held.</h1>"));
	d[0].state.is_down = true;
	cr_expect(says("<h1 class=\"warn\">1 destination is down. 1 message "
		       "waits safely.</h1>"));
	d[1].state.braked = &(struct braked){ .since_ms = NOW };
	cr_expect(says("<h1 class=\"bad\">1 destination refused too much"));
	f.totals.space.pressure = SPOOL_FULL;
	cr_expect(says("<h1 class=\"bad\">The spool is full."));
	f.totals.space.pressure = SPOOL_FAILED;
	cr_expect(says("<h1 class=\"bad\">The disk failed."));
	f.is_loop_well = false;
	cr_expect(says("<h1 class=\"bad\">The daemon does not answer.</h1>"));
}

Test(page, a_drain_has_an_expected_end)
{
	f.destination_count = 1;
	d[0].messages = 50;
	f.outage_count = 1;
	o[0] = (struct outage){ .destination = d[0].name,
				.began_ms = NOW - HOURS(9),
				.ended_ms = NOW - HOURS(2),
				.messages = 150,
				.left = 100 };
	cr_expect(says("Catching up"));
	cr_expect(says(">67 %</span>"));
	cr_expect(says("done in about 1" U "h"));
	d[0].messages = 20; /* more cannot be left than waits */
	cr_expect(says("done in about 24" U "min"));
	o[0].left = 0;
	cr_expect(says("has just begun"));
	d[0].state.is_down = true;
	cr_expect_not(says("Catching up"), "it is down again");
	d[0].state.is_down = false;
	o[0].ended_ms = 0;
	cr_expect_not(says("Catching up"), "it goes on");
}

/* The newest outage alone is what is being drained. */
Test(page, a_drain_is_that_of_the_last_outage)
{
	f.destination_count = 1;
	d[0].messages = 50;
	f.outage_count = 2;
	o[0] = (struct outage){ .destination = d[0].name,
				.messages = 5,
				.left = 5,
				.began_ms = NOW - HOURS(2),
				.ended_ms = NOW - HOURS(1) };
	o[1] = (struct outage){ .destination = d[0].name,
				.messages = 150,
				.left = 100,
				.began_ms = NOW - HOURS(9),
				.ended_ms = NOW - HOURS(8) };
	cr_expect_not(says("Catching up"));
}

Test(page, refusals_are_summed_up_by_reason)
{
	size_t rcpt = 0, message = 0;

	cr_assert(metric_label(METRIC_RECIPIENTS_REJECTED, "reason",
			       SPAN_LIT("quota"), &rcpt));
	cr_assert(metric_label(METRIC_MESSAGES_REJECTED, "reason",
			       SPAN_LIT("quota"), &message));
	cr_expect(says("Nobody was refused."));
	f.metrics.numbers[METRIC_RECIPIENTS_REJECTED][0] = 1200;
	f.metrics.numbers[METRIC_RECIPIENTS_REJECTED][rcpt] = 3;
	f.metrics.numbers[METRIC_MESSAGES_REJECTED][message] = 4;
	cr_expect(says("unknown recipient</p><p class=\"mail\"><b>1,200</b>"));
	cr_expect(says("quota</p><p class=\"mail\"><b>7</b>"));
}

Test(page, a_curve_stops_where_nobody_was_there)
{
	struct curve_sample c[] = {
		{ NOW - HOURS(12), 1024, 1 },
		{ NOW - HOURS(12) + MINUTES(5), 2048, 1 },
		{ NOW - HOURS(6), 1024, 1 },
	};

	cr_expect(says("The curve begins now"));
	f.curve = c;
	f.curve_count = COUNT(c);
	cr_expect(says("The last day"));
	cr_expect(says("<path class=\"line\" d=\"M500.0 "));
	cr_expect(says("M750.0 "));
	cr_expect_not(says("The last week"));
	c[0].at_ms = NOW - DAYS(3);
	cr_expect(says("The last week"));
	c[0].at_ms = NOW - DAYS(300);
	cr_expect(says("The last year"));
}

Test(page, a_clock_that_was_set_back_breaks_nothing)
{
	struct curve_sample c[] = { { NOW + DAYS(2), 1 << 19, 1 },
				    { NOW + DAYS(3), 1 << 19, 1 } };

	f.curve = c;
	f.curve_count = COUNT(c);
	f.started_ms = NOW + DAYS(1);
	f.outage_count = 1;
	o[0] = (struct outage){ .destination = d[0].name,
				.began_ms = NOW + HOURS(1),
				.ended_ms = NOW + HOURS(2) };
	f.destination_count = 1;
	d[0].oldest_ms = NOW + HOURS(1);
	cr_expect(says("running for 0" U "s"));
	cr_expect_not(says("nan"));
	cr_expect_not(says("=\"-"), "no picture has a negative size");
}

Test(page, words_of_strangers_are_text)
{
	f.hostname = SPAN_LIT("<i>");
	f.destination_count = 1;
	d[0].name = SPAN_LIT("<script>1:25 tls=<b>");
	d[0].domain = SPAN_LIT("<img>");
	d[0].messages = 1;
	d[0].state.is_down = true;
	d[0].state.last_reply = SPAN_LIT("550 <iframe \"'>");
	f.outage_count = 1;
	o[0] = (struct outage){ .destination = d[0].name,
				.began_ms = NOW - HOURS(1),
				.reply = d[0].state.last_reply };
	cr_expect(says("550 &lt;iframe &quot;&#39;&gt;"));
	cr_expect_not(says("<script"));
	cr_expect_not(says("<img"));
	cr_expect_not(says("<iframe"));
	cr_expect_not(says("<i>"));
}
