/* Why a brake is pulled, and how that is stored. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "common/base/assert.h"
#include "common/status/braked.h"

static void add(struct braked *b, const char *reply)
{
	braked_add(b, span_str(reply));
}

Test(braked, what_says_the_same_is_counted_together)
{
	struct braked b = { .since_ms = 1000 };

	add(&b, "550 5.1.1 <a@b.example> unknown (1)");
	add(&b, "550 5.1.1 <c@b.example> unknown (22)");
	add(&b, "554 5.7.1 listed");
	cr_assert_eq(b.reply_count, 2);
	cr_expect_eq(b.replies[0].count, 2);
	cr_expect_eq(braked_refusals(&b), 3);
	cr_expect(span_eq(braked_most(&b),
			  SPAN_LIT("550 5.1.1 <a@b.example> unknown (1)")));
}

Test(braked, however_many_there_are_they_are_bounded)
{
	struct braked b = { .since_ms = 1 };
	char text[BRAKED_TEXT_MAX * 2];

	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "5%02d x\nx%*s", i,
			 BRAKED_TEXT_MAX, "y");
		add(&b, text);
	}
	cr_expect_eq(b.reply_count, BRAKED_REPLIES);
	cr_expect_eq(b.others, 100 - BRAKED_REPLIES);
	cr_expect_eq(braked_refusals(&b), 100);
	cr_expect_null(strchr(b.replies[0].text, '\n'));
}

Test(braked, is_read_as_it_was_written)
{
	struct braked b = { .since_ms = 1700000000123, .others = 3 }, back;
	struct buf value = { 0 };

	add(&b, "550 5.1.1 no");
	add(&b, "554");
	add(&b, "");
	braked_print(&value, &b);
	cr_assert(braked_parse(buf_span(&value), &back));
	cr_expect_eq(back.since_ms, b.since_ms);
	cr_expect_eq(back.others, 3);
	cr_assert_eq(back.reply_count, 3);
	for (size_t i = 0; i < 3; i++)
		cr_expect_str_eq(back.replies[i].text, b.replies[i].text);
	buf_fini(&value);
}

Test(braked, what_is_none)
{
	static const char *const values[] = { "",      "\n",	   "0 0\n",
					      "x 0\n", "1\n",	   "1 x\n",
					      "-1 0\n", "1 0\nx y\n" };
	struct braked b;

	for (size_t i = 0; i < COUNT(values); i++)
		cr_expect_not(braked_parse(span_str(values[i]), &b), "%s",
			      values[i]);
}

/* What a long key ends in is another one in each run. */
Test(braked, keys)
{
	struct buf a = { 0 }, b = { 0 };

	braked_destination_key(&a, SPAN_LIT("mx.example:25...#0123 tls=may"));
	braked_destination_key(&b, SPAN_LIT("mx.example:25...#4567 tls=may"));
	cr_expect_str_eq(buf_cstr(&a), buf_cstr(&b));
	buf_reset(&a);
	braked_domain_key(&a, SPAN_LIT("example.com"));
	cr_expect_str_eq(buf_cstr(&a), "brake:example.com");
	buf_fini(&a);
	buf_fini(&b);
}
