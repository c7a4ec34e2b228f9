/* The rows of the curve. */
#include "common/status/curve.h"

#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "common/base/clock.h"

Test(curve, a_key_is_read_as_it_was_written)
{
	struct buf key = { 0 };
	int64_t hour = 0;

	curve_key(&key, 497000);
	cr_expect(span_eq(buf_span(&key), SPAN_LIT("curve:00079568")));
	cr_assert(curve_key_get(buf_span(&key), &hour));
	cr_expect_eq(hour, 497000);
	buf_fini(&key);
	cr_expect_not(curve_key_get(SPAN_LIT("curve:0007956"), &hour));
	cr_expect_not(curve_key_get(SPAN_LIT("curve:0007956g"), &hour));
	cr_expect_not(curve_key_get(SPAN_LIT("curve:0007956\0"), &hour));
	cr_expect_not(curve_key_get(SPAN_LIT("outage:00079568"), &hour));
}

Test(curve, a_line_is_read_as_it_was_written)
{
	struct curve_sample s = { HOURS(10) + MINUTES(7) + 123, 53248, 12 };
	struct buf value = { 0 };
	struct span rest;

	curve_put(&value, &s);
	rest = buf_span(&value);
	cr_assert(curve_next(&rest, 10, &s));
	cr_expect_eq(s.at_ms, HOURS(10) + MINUTES(7));
	cr_expect_eq(s.used_bytes, 53248);
	cr_expect_eq(s.messages, 12);
	cr_expect_not(curve_next(&rest, 10, &s));
	buf_fini(&value);
}

Test(curve, what_is_no_line_ends_it)
{
	static const char *const bad[] = { "",	      "60 1 1\n", "1 1\n",
					   "1 1 x\n", "-1 1 1\n", "1 1 1 1\n",
					   "\n" };

	for (size_t i = 0; i < COUNT(bad); i++) {
		struct span rest = span_str(bad[i]);
		struct curve_sample s;

		cr_expect_not(curve_next(&rest, 1, &s), "%s", bad[i]);
	}
}
