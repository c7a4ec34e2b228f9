/* The words of the server, as RFC 5321 and RFC 2034 want them. */
#include <ctype.h>
#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "common/base/metrics.h"
#include "daemon/intake/replies.h"
#include "daemon/policy/verdict.h"

/* RFC 5321 section 4.5.3.1.5: 512 octets; section 4.2: printable ASCII. */
Test(replies, every_line_is_short_and_plain)
{
	for (int id = SAY_NONE + 1; id < SAY_COUNT; id++) {
		struct span line = reply_text((enum reply_id)id);

		cr_expect_leq(line.n, 510);
		for (size_t i = 0; i < line.n; i++)
			cr_expect(line.p[i] >= ' ' && line.p[i] <= '~');
	}
}

/* RFC 2034 section 4: all but 3yz carry a code of the same class. */
Test(replies, enhanced_code_agrees_with_the_reply)
{
	for (int id = SAY_NONE + 1; id < SAY_COUNT; id++) {
		struct span t = reply_text((enum reply_id)id);

		cr_expect(isdigit(t.p[0]) && isdigit(t.p[1]) &&
			  isdigit(t.p[2]) && t.p[3] == ' ');
		if (t.p[0] == '3')
			continue;
		cr_expect_eq(t.p[4], t.p[0], "%.*s", SPAN_ARG(t));
		cr_expect_eq(t.p[5], '.');
	}
}

/* What is refused has a reason for the log; only 5yz is the client's error. */
Test(replies, refusals_have_a_reason)
{
	for (int id = SAY_NONE + 1; id < SAY_COUNT; id++) {
		const struct reply *r = reply_get((enum reply_id)id);
		bool refuses = r->line.p[0] >= '4';

		cr_expect_eq(refuses, *r->reason != '\0', "%s", r->line.p);
		cr_expect_eq(reply_is_error((enum reply_id)id),
			     r->line.p[0] == '5');
	}
}

/* Reasons that are about neither a recipient nor a message, but about a
 * command, a session or a node. */
static bool is_uncounted(const char *reason)
{
	static const char *const words[] = {
		"",
		"unknown_command",
		"not_smtp",
		"line_length",
		"line_ending",
		"not_implemented",
		"no_recipients",
		"pipelining",
		"early_talker",
		"errors",
		"chatter",
		"crowded",
		"timeout",
		"reload",
		"shutdown",
		"undecided",
		"etrn",
		"etrn_not_allowed",
		"not_a_proxy",
		"connections",
		"connection_rate",
		"connections_per_client",
	};

	for (size_t i = 0; i < COUNT(words); i++)
		if (strcmp(reason, words[i]) == 0)
			return true;
	return false;
}

static void expect_counted(const char *reason)
{
	size_t label;
	bool is_counted = metric_label(METRIC_RECIPIENTS_REJECTED, "reason",
				       span_str(reason), &label) ||
			  metric_label(METRIC_MESSAGES_REJECTED, "reason",
				       span_str(reason), &label);

	cr_expect_neq(is_counted, is_uncounted(reason), "%s", reason);
}

/* A new reason is added to common/base/metrics.c, or above. */
Test(replies, every_reason_is_counted_or_known_not_to_be)
{
	for (int id = SAY_NONE; id < SAY_COUNT; id++)
		expect_counted(reply_get((enum reply_id)id)->reason);
	for (int id = V_GO; id < V_COUNT; id++) {
		struct verdict v;

		verdict_set(&v, (enum verdict_id)id);
		expect_counted(v.reason);
	}
}
