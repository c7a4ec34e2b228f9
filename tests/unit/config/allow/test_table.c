#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "config/allow/feed.h"
#include "config/allow/places.h"
#include "tests/support/folder.h"

static const struct span url = { "https://bob:secret@t.example/users", 34 };
static struct folder folder;

static void setup(void)
{
	folder_make(&folder);
}

static void teardown(void)
{
	folder_remove(&folder);
}

TestSuite(table, .init = setup, .fini = teardown);

static struct table *read_as(const char *text, bool is_forced,
			     struct buf *why)
{
	struct copy_head head = { .is_forced = is_forced }, got = { 0 };
	struct buf file = { 0 };
	struct table *t;

	buf_adds(&head.etag, "W/\"a b\"");
	copy_head_add(&file, url, &head);
	buf_adds(&file, text);
	t = table_read(folder_write(&folder, "table", buf_cstr(&file)), url,
		       &got, NULL, why);
	if (t != NULL) {
		cr_expect(span_eq(buf_span(&got.etag), buf_span(&head.etag)));
		cr_expect_eq(got.modified.n, 0);
		cr_expect_eq(got.is_forced, is_forced);
	}
	copy_head_fini(&head);
	copy_head_fini(&got);
	buf_fini(&file);
	return t;
}

static struct table *table_of(const char *text)
{
	struct buf why = { 0 };
	struct table *t = read_as(text, false, &why);

	cr_assert_not_null(t, "%s", buf_cstr(&why));
	return t;
}

Test(table, has_what_it_lists)
{
	struct table *t = table_of("\xef\xbb\xbf# users\r\nAlice\r\n"
				   "bob@B.example\nbob@b.example # twice\n"
				   "carol@x.y.b.example\n"
				   "\"d e\"@b\xc3\xbc"
				   "cher.example");
	/* clang-format off */
	static const struct { const char *local, *domain; bool has; } cases[] = {
		{ "alice", "a.example", true },
		{ "alice", "b.example", true },
		{ "bob", "b.example", true },
		{ "bob", "a.example", false },
		{ "carol", "x.y.b.example", true },
		{ "carol", "b.example", false },
		{ "d e", "xn--bcher-kva.example", true },
	};
	static const struct { const char *domain; uint64_t count; } counts[] = {
		{ "a.example", 1 }, { "b.example", 2 }, { "*.b.example", 2 },
		{ "*.y.b.example", 2 }, { "x.y.b.example", 2 },
		{ "*.example", 4 }, { "*.x.y.b.example", 1 },
		{ "xn--bcher-kva.example", 2 },
	};
	/* clang-format on */

	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(table_has(t, span_str(cases[i].local),
				       span_str(cases[i].domain)),
			     cases[i].has, "%s@%s", cases[i].local,
			     cases[i].domain);
	for (size_t i = 0; i < COUNT(counts); i++)
		cr_expect_eq(table_count_of(t, span_str(counts[i].domain)),
			     counts[i].count, "%s: %llu", counts[i].domain,
			     (unsigned long long)table_count_of(
				     t, span_str(counts[i].domain)));
	cr_expect_eq(table_count(t), 4);
	cr_expect(!table_is_silent(t, SPAN_LIT("a.example")));
	table_free(&t);
	t = table_of("bob@b.example\n");
	cr_expect(table_is_silent(t, SPAN_LIT("a.example")));
	cr_expect(!table_is_silent(t, SPAN_LIT("b.example")));
	table_free(&t);
}

Test(table, faults_name_the_line_of_what_came)
{
	/* clang-format off */
	static const struct { const char *text, *why; } cases[] = {
		{ "a\n\n<html>\n", "line 3: expected one address or local part, not \"<html>\"" },
		{ "Traceback (most recent call last):\n", "line 1: looks like an error page or a message of a program, not like a list: the rest is not read" },
		{ "*\n", "line 1: to accept every local part write recipients=* in the allowlist" },
		{ "a\nb\xfc@b.example\n", "line 2: holds octet FC, which is no UTF-8, at column 2" },
	};
	/* clang-format on */

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf why = { 0 };
		struct table *t = read_as(cases[i].text, false, &why);

		cr_expect_null(t);
		cr_expect_str_eq(buf_cstr(&why), cases[i].why);
		buf_reset(&why);
		t = read_as(cases[i].text, true, &why);
		cr_expect_not_null(t, "forced");
		table_free(&t);
		buf_fini(&why);
	}
}

Test(table, what_is_no_copy_is_none)
{
	static const char *const texts[] = {
		"", "alice\n", "# mx20-table 1\n", "# mx20-table 2\n#\nalice\n",
		"# mx20-table 1\n# from https://other.example/users\n#\na\n",
		"# mx20-table 1\n# from https://t.example/users\n# etag x\n",
		"# mx20-table 1\n# from https://t.example/users\nalice\n#\n",
	};
	struct copy_head head = { 0 };
	struct buf why = { 0 };
	const char *path;

	for (size_t i = 0; i < COUNT(texts); i++) {
		path = folder_write(&folder, "table", texts[i]);
		cr_expect_null(table_read(path, url, &head, NULL, &why), "%zu", i);
		cr_expect_str_eq(buf_cstr(&why), "is no table of this URL");
		buf_reset(&why);
		copy_head_fini(&head);
	}
	path = folder_path(&folder, "none");
	cr_expect_null(table_read(path, url, &head, NULL, &why));
	cr_expect_eq(why.n, 0, "there is none: nothing is wrong");
	cr_assert_eq(symlink("table", path), 0);
	cr_expect_null(table_read(path, url, &head, NULL, &why));
	cr_expect_gt(why.n, 0, "links are not followed");
	buf_fini(&why);
}

/* The daemon is to leave while millions are read. */
Test(table, reading_ends_when_it_is_asked_to)
{
	struct copy_head head = { 0 }, got = { 0 };
	atomic_bool is_over = true;
	struct buf file = { 0 }, why = { 0 };
	const char *path;

	copy_head_add(&file, url, &head);
	for (int i = 0; i < 2000; i++)
		buf_addf(&file, "u%d\n", i);
	path = folder_write(&folder, "table", buf_cstr(&file));
	cr_expect_null(table_read(path, url, &got, &is_over, &why));
	copy_head_fini(&got);
	is_over = false;
	struct table *t = table_read(path, url, &got, &is_over, &why);

	cr_expect_eq(table_count(t), 2000);
	table_free(&t);
	buf_fini(&file);
	buf_fini(&why);
}

static const char *doubt(size_t before, size_t n, bool is_forced)
{
	static char said[100];
	struct buf text = { 0 }, why = { 0 };
	struct table *former = NULL, *now;

	for (size_t i = 0; i < before; i++)
		buf_addf(&text, "u%zu\n", i);
	if (before > 0)
		former = table_of(buf_cstr(&text));
	buf_reset(&text);
	for (size_t i = 0; i < n; i++)
		buf_addf(&text, "u%zu\n", i);
	now = read_as(buf_cstr(&text), is_forced, &why);
	cr_assert_eq(table_doubt(former, now, &why), why.n > 0);
	snprintf(said, sizeof(said), "%s", buf_cstr(&why));
	table_free(&former);
	table_free(&now);
	buf_fini(&text);
	buf_fini(&why);
	return said;
}

Test(table, is_believed_when_it_is_plausible)
{
	cr_expect_str_eq(doubt(0, 1, false), "");
	cr_expect_str_eq(doubt(0, 0, false), "has no recipient");
	cr_expect_str_eq(doubt(5, 0, false), "has no recipient");
	cr_expect_str_eq(doubt(4, 2, false), "");
	cr_expect_str_eq(doubt(4, 1, false),
			 "has shrunk from 4 recipients to 1");
	cr_expect_str_eq(doubt(5, 2, false),
			 "has shrunk from 5 recipients to 2");
	cr_expect_str_eq(doubt(5, 500, false), "");
	cr_expect_str_eq(doubt(5, 0, true), "");
}

/* Another password is the same table, another user's is another. */
Test(table, copies_have_a_path_of_their_own)
{
	static const char *const urls[] = {
		"https://bob:secret@t.example/users",
		"https://bob:other@t.example/users",
		"https://eve:secret@t.example/users",
		"https://t.example/users",
		"https://t.example/users2",
	};
	struct buf paths[COUNT(urls)] = { 0 };

	for (size_t i = 0; i < COUNT(urls); i++)
		copy_path(&paths[i], SPAN_LIT("/spool"), span_str(urls[i]));
	cr_expect(span_starts(buf_span(&paths[0]), SPAN_LIT("/spool/table-")));
	for (size_t i = 0; i < COUNT(urls); i++)
		for (size_t k = i + 1; k < COUNT(urls); k++)
			cr_expect_eq(span_eq(buf_span(&paths[i]),
					     buf_span(&paths[k])),
				     i == 0 && k == 1, "%zu %zu", i, k);
	for (size_t i = 0; i < COUNT(urls); i++)
		buf_fini(&paths[i]);
}

Test(table, a_feed_is_one_whoever_names_it)
{
	struct copy_head head = { 0 };
	struct table *t = table_of("alice\nbob@b.example\n");
	struct buf why = { 0 };
	struct feed *a = feed_get(url, span_str(folder_path(&folder, "")),
				  &why);
	struct feed *b = feed_get(url, SPAN_LIT("/nowhere"), &why);
	struct feed_state s;

	cr_expect_eq(a, b);
	cr_expect_str_eq(feed_shown(a), "https://t.example/users");
	cr_expect_null(feed_table(a));
	cr_expect(feed_fail(a, SPAN_LIT("away \xff"), false, 1000));
	cr_expect(!feed_fail(a, SPAN_LIT("away \xff"), false, 2000), "no news");
	feed_state(a, SPAN_LIT(""), &s);
	cr_expect(!s.has_table && s.failed_ms == 1000 && s.fetched_ms == 0);
	cr_expect_str_eq(s.error, "away ?");
	feed_swap(a, &t, &head);
	cr_expect_null(t);
	feed_confirm(b, 3000);
	feed_state(b, SPAN_LIT("b.example"), &s);
	cr_expect(s.has_table && s.failed_ms == 0 && s.fetched_ms == 3000);
	cr_expect_eq(s.count, 2);
	cr_expect_str_eq(s.error, "");
	feed_unref(&a);
	feed_unref(&b);
}

Test(table, places_are_counted_to_any_number)
{
	struct places p = { 0 };
	struct buf name = { 0 };

	cr_expect_eq(places_get(&p, SPAN_LIT("a.example")), 0);
	for (int i = 0; i < 3000; i++) {
		buf_reset(&name);
		buf_addf(&name, "d%d.s%d.example", i % 1000, i % 10);
		places_count(&p, buf_span(&name));
	}
	places_sum(&p);
	cr_expect_eq(places_get(&p, SPAN_LIT("d7.s7.example")), 3);
	cr_expect_eq(places_get(&p, SPAN_LIT("*.s7.example")), 300);
	cr_expect_eq(places_get(&p, SPAN_LIT("*.example")), 3000);
	cr_expect_eq(places_get(&p, SPAN_LIT("s7.example")), 0);
	buf_fini(&name);
	places_fini(&p);
}
