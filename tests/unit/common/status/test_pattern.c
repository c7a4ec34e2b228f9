/* What an operator writes to find addresses. */
#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "common/status/pattern.h"

Test(pattern, meanings)
{
	static const struct {
		const char *word, *mailbox;
		bool matches;
	} cases[] = {
		{ "a@b.example", "a@b.example", true },
		{ "<a@b.example>", "A@B.Example", true },
		{ "a@b.example", "\"a\"@b.example", true },
		{ "a@b.example", "xa@b.example", false },
		{ "a@b.example", "a@b.example.org", false },
		{ "a@m\xc3\xbcnchen.example", "a@xn--mnchen-3ya.example", true },
		{ "@b.example", "anyone@B.example", true },
		{ "@b.example", "anyone@sub.b.example", false },
		{ "@b.example", "", false },
		{ "<>", "", true },
		{ "<>", "a@b.example", false },
		{ "EXAMP", "a@b.example", true },
		{ "b.example", "", false },
		{ "bounce+", "bounce+1@b.example", true },
		{ "a@[192.0.2.1]", "xa@[192.0.2.1]", true }, /* a part */
		{ "a@[192.0.2.1]", "a@[192.0.2.2]", false },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct pattern p;

		cr_assert(pattern_take(&p, span_str(cases[i].word)), "%s",
			  cases[i].word);
		cr_expect_eq(pattern_matches(&p, span_str(cases[i].mailbox)),
			     cases[i].matches, "%s of %s", cases[i].word,
			     cases[i].mailbox);
		pattern_fini(&p);
	}
}

Test(pattern, what_means_nothing)
{
	static const char *const words[] = { "", "@", "@a..b", "@a b" };
	struct pattern p;

	for (size_t i = 0; i < COUNT(words); i++) {
		cr_expect_not(pattern_take(&p, span_str(words[i])), "%s",
			      words[i]);
		pattern_fini(&p);
	}
}

Test(pattern, a_word_is_whole)
{
	struct span text = SPAN_LIT("250 2.0.0 Ok: queued as 4XyZ12 (4XyZ)");

	cr_expect(pattern_contains_word(text, SPAN_LIT("4xyz12")));
	cr_expect(pattern_contains_word(text, SPAN_LIT("4XYZ")));
	cr_expect(pattern_contains_word(text, SPAN_LIT("250")));
	cr_expect_not(pattern_contains_word(text, SPAN_LIT("4xyz1")));
	cr_expect_not(pattern_contains_word(text, SPAN_LIT("queue")));
	cr_expect_not(pattern_contains_word(text, SPAN_LIT("")));
	cr_expect_not(pattern_contains_word(SPAN_LIT(""), SPAN_LIT("a")));
}
