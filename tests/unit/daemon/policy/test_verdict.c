/* Replies in words of others. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "common/base/assert.h"
#include "daemon/policy/verdict.h"

static const char *line_of(const struct verdict *v)
{
	static char line[VERDICT_LINE_MAX + 1];
	const struct span s = verdict_line(v, line);

	line[s.n] = '\0';
	return line;
}

Test(verdict, words_of_others_become_one_clean_line)
{
	static const struct {
		int code;
		const char *enhanced, *text, *line;
	} cases[] = {
		{ 550, "5.1.1", "No such user", "550 5.1.1 No such user" },
		{ 450, "4.7.1", "Greylisted", "450 4.7.1 Greylisted" },
		{ 550, "5.7.999", "x", "550 5.7.999 x" },
		/* lines are joined, what does not show is marked */
		{ 554, "5.7.1", "Spam\r\n250 Ok\r\n", "554 5.7.1 Spam 250 Ok" },
		{ 554, "5.7.1", " a \t\n b ", "554 5.7.1 a b" },
		{ 554, "5.7.1", "h\xc3\xa4\x1b[2J\x7f", "554 5.7.1 h???[2J?" },
		{ 554, "5.7.1", "100%s %n", "554 5.7.1 100%s %n" },
		{ 554, "5.7.1", "", "554 5.7.1 " },
		/* RFC 2034 section 4: of the same class */
		{ 550, "4.1.1", "x", "550 5.0.0 x" },
		{ 451, "5.1.1", "x", "451 4.0.0 x" },
		{ 550, "", "x", "550 5.0.0 x" },
		{ 550, "5.1", "x", "550 5.0.0 x" },
		{ 550, "5.1.1.1", "x", "550 5.0.0 x" },
		{ 550, "5.1111.1", "x", "550 5.0.0 x" },
		{ 550, "5.1.x", "x", "550 5.0.0 x" },
		{ 550, "5..1", "x", "550 5.0.0 x" },
		/* what is no refusal cannot be meant */
		{ 250, "2.0.0", "x", "451 4.0.0 x" },
		{ 354, "", "x", "451 4.0.0 x" },
		{ 600, "", "x", "451 4.0.0 x" },
		{ 0, "", "x", "451 4.0.0 x" },
		{ -550, "5.1.1", "x", "451 4.0.0 x" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct verdict v;
		char expect[100];

		verdict_say(&v, cases[i].code, span_str(cases[i].enhanced),
			    span_str(cases[i].text), "why", "");
		snprintf(expect, sizeof(expect), "%s\r\n", cases[i].line);
		cr_expect_str_eq(line_of(&v), expect, "%zu: %s", i,
				 line_of(&v));
	}
}

/* RFC 5321 section 4.5.3.1.5: 512 octets, whatever a peer says. */
Test(verdict, long_words_are_cut)
{
	static char text[100000];
	struct verdict v;
	size_t n;

	memset(text, 'x', sizeof(text));
	verdict_say(&v, 550, SPAN_LIT("5.123.123"), span_of(text, sizeof(text)),
		    "why", "");
	n = strlen(line_of(&v));
	cr_expect_leq(n, 512);
	cr_expect_gt(n, 490);
	cr_expect_str_eq(line_of(&v) + n - 3, "x\r\n");
	verdict_say(&v, 550, span_of(text, sizeof(text)), SPAN_LIT("a"), "why",
		    "");
	cr_expect_str_eq(line_of(&v), "550 5.0.0 a\r\n");
}

/* Ours: a refusal each, with a code of its class and a reason for the log. */
Test(verdict, own_words)
{
	for (enum verdict_id id = V_GO + 1; id < V_COUNT; id++) {
		struct verdict v;

		verdict_set(&v, id);
		cr_expect(v.code >= 400 && v.code <= 599);
		cr_expect_eq(v.enhanced[0], '0' + v.code / 100);
		cr_expect_gt(strlen(v.reason), 0);
		cr_expect_not_null(v.setting);
	}
}
