/* Command lines: only CR LF ends one, and none is kept without bound. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "common/base/assert.h"
#include "common/base/buf.h"
#include "daemon/intake/line.h"

/* One letter a line: o(k), l(ong), b(are).  cut feeds in pieces of `step`. */
static const char *cut(struct span all, size_t step)
{
	static char seen[64];
	struct buf have = { 0 };
	bool skipping = false;
	size_t n = 0, fed = 0;

	while (fed < all.n) {
		size_t part = all.n - fed < step ? all.n - fed : step;

		buf_add(&have, span_of(all.p + fed, part));
		fed += part;
		for (;;) {
			struct span line;
			size_t used;
			enum line_kind kind = line_cut(buf_span(&have),
						       &skipping, &line, &used);

			buf_consume(&have, used);
			if (kind == LINE_MORE)
				break;
			seen[n++] = "?olb"[kind];
		}
		cr_assert_lt(have.n, LINE_MAX_BYTES);
	}
	seen[n] = '\0';
	buf_fini(&have);
	return seen;
}

Test(line, ends_with_crlf_only)
{
	static const struct {
		const char *in, *kinds;
	} cases[] = {
		{ "NOOP\r\n", "o" },
		{ "\r\n", "o" },
		{ "NOOP\r\nRSET\r\n", "oo" },
		{ "NOOP", "" },
		{ "NOOP\r", "" },
		{ "NOOP\n", "b" },
		{ "\n", "b" },
		{ "NOOP\nRSET\r\n", "bo" },
		{ "NO\rOP\r\n", "b" },
		{ "NOOP\r\r\n", "b" },
		{ "NOOP \x01\r\n", "b" },
		{ "NOOP \x7f\r\n", "b" },
		{ "NOOP\tx\r\n", "o" },
		{ "NOOP \xc3\xa4\r\n", "o" },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		for (size_t step = 1; step < 20; step++)
			cr_expect_str_eq(cut(span_str(cases[i].in), step),
					 cases[i].kinds, "case %zu by %zu", i,
					 step);
}

/* RFC 5321 section 4.1.1: white space before the CRLF is tolerated. */
Test(line, blanks_at_the_end_are_dropped)
{
	static const struct {
		const char *in, *line;
	} cases[] = {
		{ "RSET\r\n", "RSET" },	     { "RSET \r\n", "RSET" },
		{ "RSET\t \t\r\n", "RSET" }, { " \tRSET x\t\r\n", " \tRSET x" },
		{ " \t\r\n", "" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		bool skipping = false;
		struct span line;
		size_t used;

		cr_assert_eq(line_cut(span_str(cases[i].in), &skipping, &line,
				      &used),
			     LINE_OK);
		cr_expect(span_eq(line, span_str(cases[i].line)), "%s",
			  cases[i].in);
		cr_expect_eq(used, strlen(cases[i].in));
	}
}

Test(line, nul_is_no_part_of_a_command)
{
	cr_expect_str_eq(cut(SPAN_LIT("NO\0P\r\n"), 100), "b");
}

/* Said once however long it is, and the next line is a line again. */
Test(line, a_long_line_is_refused_once)
{
	static const size_t sizes[] = { LINE_MAX_BYTES - 1, LINE_MAX_BYTES,
					LINE_MAX_BYTES + 1, 100 * 1000 };
	static const char *const kinds[] = { "oo", "oo", "lo", "lo" };
	static const size_t steps[] = { 1, 7, 1000, LINE_MAX_BYTES, 1 << 20 };

	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct buf b = { 0 };

		memset(buf_reserve(&b, sizes[i]), 'x', sizes[i]);
		b.n = sizes[i] - 2;
		buf_adds(&b, "\r\nNOOP\r\n");
		for (size_t j = 0; j < COUNT(steps); j++)
			cr_expect_str_eq(cut(buf_span(&b), steps[j]), kinds[i],
					 "%zu bytes by %zu", sizes[i],
					 steps[j]);
		buf_fini(&b);
	}
}
