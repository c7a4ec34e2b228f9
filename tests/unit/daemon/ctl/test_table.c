#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "daemon/ctl/table.h"

static const struct column columns[] = {
	{ "NAME", false, 4, 0 },
	{ "N", true, 0, 0 },
	{ "TEXT", false, 4, 0 },
};

static struct buf out;

static void add(struct table *t, const char *a, const char *b, const char *c)
{
	table_cell(t, span_str(a));
	table_cell(t, span_str(b));
	table_cell(t, span_str(c));
}

Test(ctl_table, columns_are_aligned)
{
	struct table t;

	table_init(&t, columns, COUNT(columns), 0);
	add(&t, "a", "1", "short");
	add(&t, "longer", "1000", "");
	table_print(&t, &out);
	cr_expect_str_eq(buf_cstr(&out), "NAME       N  TEXT\n"
					 "a          1  short\n"
					 "longer  1000\n");
	table_fini(&t);
}

Test(ctl_table, lines_fit_the_terminal)
{
	struct table t;

	table_init(&t, columns, COUNT(columns), 20);
	add(&t, "a-very-long-name-of-a-host", "1000",
	    "a very long reply of a host");
	table_print(&t, &out);
	cr_expect_str_eq(buf_cstr(&out), "NAME       N  TEXT\n"
					 "a-ver~  1000  a ver~\n");
	table_fini(&t);
}

/* A line for each cell; what has no name of its own belongs to what is above. */
Test(ctl_table, a_terminal_too_narrow_has_a_list)
{
	struct table t;

	table_init(&t, columns, COUNT(columns), 5);
	add(&t, "name-name", "123456", "text text");
	add(&t, "", "", "  more");
	add(&t, "b", "1", "");
	table_print(&t, &out);
	cr_expect_str_eq(buf_cstr(&out),
			 "NAME: name-name\nN: 123456\nTEXT: text text\n"
			 "TEXT: more\n\nNAME: b\nN: 1\n");
	table_fini(&t);
}

Test(ctl_table, columns_go_before_that)
{
	static const struct column some[] = { { "A", false, 0, 2 },
					      { "B", true, 4, 1 },
					      { "C", false, 0, 0 } };
	struct table t;

	table_init(&t, some, COUNT(some), 14);
	add(&t, "abcdef", "12345678", "x");
	table_print(&t, &out);
	cr_expect_str_eq(buf_cstr(&out), "A       C\nabcdef  x\n",
			 "the first to go makes room enough");
	table_fini(&t);
	buf_reset(&out);
	table_init(&t, some, COUNT(some), 15);
	add(&t, "abcdef", "12345678", "x");
	table_print(&t, &out);
	cr_expect_str_eq(buf_cstr(&out), "A          B  C\nabcdef  123~  x\n",
			 "none goes where cutting helps");
	table_fini(&t);
}

Test(ctl_table, pages_stay_aligned_and_have_one_title)
{
	struct table t;

	table_init(&t, columns, COUNT(columns), 0);
	add(&t, "longer", "1", "x");
	table_print(&t, &out);
	add(&t, "a", "1", "x");
	table_print(&t, &out);
	cr_expect_str_eq(buf_cstr(&out), "NAME    N  TEXT\n"
					 "longer  1  x\n"
					 "a       1  x\n");
	table_fini(&t);
}

Test(ctl_table, peers_cannot_break_a_line)
{
	struct table t;

	table_init(&t, columns, COUNT(columns), 0);
	add(&t, "a\nb", "1", "\x1b]0;x\x07");
	table_print(&t, &out);
	cr_expect_str_eq(buf_cstr(&out), "NAME  N  TEXT\n"
					 "a?b   1  ?]0;x?\n");
	table_fini(&t);
}
