#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "daemon/ctl/table.h"

static const struct column columns[] = {
	{ "NAME", false, 4 },
	{ "N", true, 0 },
	{ "TEXT", false, 4 },
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

Test(ctl_table, a_terminal_too_narrow_loses_no_numbers)
{
	struct table t;

	table_init(&t, columns, COUNT(columns), 5);
	add(&t, "name-name", "123456", "text text");
	table_print(&t, &out);
	cr_expect_not_null(strstr(buf_cstr(&out), "nam~  123456  tex~\n"));
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
