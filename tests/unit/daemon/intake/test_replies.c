/* The words of the server, as RFC 5321 and RFC 2034 want them. */
#include <ctype.h>
#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "daemon/intake/replies.h"

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
