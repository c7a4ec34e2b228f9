/* top: the rows, and the screen made of them. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "common/base/assert.h"
#include "daemon/ctl/print.h"
#include "daemon/ctl/top_view.h"

static struct top_feed f;
static struct top_view v;
static struct buf out;

static void setup(void)
{
	f = (struct top_feed){ .link.fd = -1, .rows = top_rows_new() };
}

static void teardown(void)
{
	top_rows_free(&f.rows);
	json_decref(f.overview);
	buf_fini(&f.trouble);
	top_view_fini(&v);
	buf_fini(&out);
}

TestSuite(ctl_top, .init = setup, .fini = teardown);

static void add(const char *domain, const char *destination, int messages,
		const char *state)
{
	json_t *items = json_array();

	json_array_append_new(
		items,
		json_pack("{s:s, s:s?, s:i, s:i, s:s, s:s, s:s}", "domain",
			  domain, "destination", destination, "messages",
			  messages, "bytes", 100 * messages, "state", state,
			  "last_reply", "(connect) Connection \x1b[2Jrefused",
			  "oldest", "2026-11-28T12:00:00Z"));
	top_rows_add(f.rows, items);
	json_decref(items);
}

static struct span name_at(size_t i)
{
	return buf_span(&top_rows_at(f.rows, i)->name);
}

Test(ctl_top, domains_of_a_destination_are_one_row)
{
	add("a.example", "mx.example:25", 1, "down");
	add("b.example", "mx.example:25", 2, "down");
	add("c.example", NULL, 5, "unknown");
	add("*.example", NULL, 0, "unknown"); /* a hold */
	cr_expect_eq(top_rows_count(f.rows), 2, "as far as it came");
	cr_expect_not(top_rows_are_whole(f.rows));
	top_rows_end(f.rows);
	cr_assert_eq(top_rows_count(f.rows), 2);
	cr_expect(span_eq(name_at(0), SPAN_LIT("c.example")));
	cr_expect_not(top_rows_at(f.rows, 0)->has_destination);
	cr_expect_eq(top_rows_at(f.rows, 1)->messages, 3);
	cr_expect_eq(top_rows_at(f.rows, 1)->domains, 2);
	top_rows_sort(f.rows, TOP_BY_STATE);
	cr_expect(span_eq(name_at(0), SPAN_LIT("mx.example:25")));
}

/* As `status` says it. */
Test(ctl_top, what_is_due_is_tried_now)
{
	json_t *items = json_pack("[{s:s, s:s, s:i, s:s, s:s}]", "domain",
				  "a.example", "destination", "mx.example:25",
				  "messages", 1, "state", "down", "next_probe",
				  "1970-01-01T00:00:10Z");
	size_t marked;

	top_rows_add(f.rows, items);
	json_decref(items);
	top_rows_end(f.rows);
	top_view_lines(&v, &f, 24, 100, 9500, &out, &marked);
	cr_expect_not_null(strstr(buf_cstr(&out), " now\n"), "%s", out.p);
	buf_reset(&out);
	top_view_lines(&v, &f, 24, 100, 8000, &out, &marked);
	cr_expect_not_null(strstr(buf_cstr(&out), " 2s\n"), "%s", out.p);
}

/* What is shown stays until the next walk is over. */
Test(ctl_top, a_walk_changes_nothing_before_its_end)
{
	add("a.example", "one:25", 1, "up");
	top_rows_end(f.rows);
	add("b.example", "two:25", 1, "up");
	cr_expect(span_eq(name_at(0), SPAN_LIT("one:25")));
	top_rows_abort(f.rows);
	top_rows_end(f.rows);
	cr_expect_eq(top_rows_count(f.rows), 0);
}

/* Above the table, where there is one; then there is a row less. */
Test(ctl_top, the_mirror_has_a_line)
{
	size_t without, with;

	add("a.example", "mx.example:25", 1, "down");
	top_rows_end(f.rows);
	top_view_lines(&v, &f, 24, 100, 0, &out, &without);
	cr_expect_null(strstr(buf_cstr(&out), "mirror"));
	json_decref(f.overview);
	f.overview = json_pack("{s:{s:s, s:s, s:s, s:{s:i}}}", "mirror", "state",
			       "away", "error", "\033[7mrefused", "when_away",
			       "accept", "lag", "messages", 3);
	buf_reset(&out);
	top_view_lines(&v, &f, 24, 200, 0, &out, &with);
	cr_expect_not_null(strstr(buf_cstr(&out), "\nmirror: "), "%s", out.p);
	cr_expect_not_null(strstr(buf_cstr(&out), "3 messages"), "%s", out.p);
	cr_expect_not_null(strstr(buf_cstr(&out), "away"), "%s", out.p);
	cr_expect_null(strchr(buf_cstr(&out), '\033'));
	cr_expect_eq(with, without + 1);
}

static size_t lines_of(size_t height, size_t width, size_t *marked)
{
	struct span rest;
	size_t n = 0;

	buf_reset(&out);
	top_view_lines(&v, &f, height, width, 0, &out, marked);
	for (rest = buf_span(&out); rest.n > 0; n++) {
		struct span line = span_cut(&rest, '\n');

		cr_expect_leq(print_columns(line), width, "%zu: %.*s", width,
			      SPAN_ARG(line));
		cr_expect_eq(span_find(line, '\x1b'), line.n);
	}
	return n;
}

/* Whatever the screen is like: so many lines, none wider, the mark on the row
 * that is selected. */
Test(ctl_top, fills_every_screen)
{
	static const enum top_page pages[] = { TOP_LIST, TOP_SHOW, TOP_HELP };
	char name[40];
	size_t marked;

	f.overview = json_pack("{s:s, s:{s:i}, s:{s:s}}", "hostname",
			       "mx\u202e2.example\x1b[2J", "spool", "messages",
			       5, "mirror", "state", "in-step");
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "mx%d.\xe6\x97\xa5\x1b.example:25",
			 i);
		add("d.example", name, 2000 - i, "down");
	}
	top_rows_end(f.rows);
	for (size_t p = 0; p < COUNT(pages); p++)
		for (size_t height = 1; height < 30; height += 3)
			for (size_t width = 1; width < 140; width += 7) {
				v.page = pages[p];
				top_view_move(&v, f.rows, 17);
				cr_expect_eq(lines_of(height, width, &marked),
					     height, "%zu x %zu", width,
					     height);
			}
}

static void expect_marked(const char *name)
{
	size_t marked;
	struct span rest, line = SPAN_LIT("");

	lines_of(24, 100, &marked);
	rest = buf_span(&out);
	cr_assert_lt(marked, 23);
	for (size_t i = 0; i <= marked; i++)
		line = span_cut(&rest, '\n');
	cr_expect(span_starts(line, span_str(name)), "%.*s", SPAN_ARG(line));
}

Test(ctl_top, the_selected_row_stays_selected)
{
	char name[32];

	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "mx%02d:25", i);
		add("d.example", name, 2000 - i, "down");
	}
	top_rows_end(f.rows);
	expect_marked("mx00:25");
	top_view_move(&v, f.rows, 50);
	expect_marked("mx50:25");
	top_view_move(&v, f.rows, 1000);
	expect_marked("mx99:25");
	top_view_move(&v, f.rows, -1);
	expect_marked("mx98:25");
	add("d.example", "mx98:25", 1, "up");
	add("e.example", "new:25", 7, "up");
	top_rows_end(f.rows);
	expect_marked("mx98:25");
	top_view_move(&v, f.rows, -1000);
	expect_marked("new:25");
	top_rows_end(f.rows);
	cr_expect_null(top_view_row(&v, f.rows));
	top_view_move(&v, f.rows, 1);
}

Test(ctl_top, says_that_nobody_answers)
{
	size_t marked;

	buf_adds(&f.trouble, "mx20d is not running");
	lines_of(10, 120, &marked);
	cr_expect_not_null(strstr(buf_cstr(&out), "NOT ANSWERING"));
	cr_expect_not_null(strstr(buf_cstr(&out), "nothing is waiting"));
}
