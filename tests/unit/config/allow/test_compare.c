/* What a new configuration changes, and what is refused for it. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "config/allow/compare.h"
#include "config/config.h"
#include "tests/support/folder.h"

static struct folder folder;

static void setup(void)
{
	folder_make(&folder);
	folder_write(
		&folder, "mx20.conf",
		"hostname = \"mx2.example.net\"; domains = \"domains\";\n");
}

static void teardown(void)
{
	folder_remove(&folder);
}

TestSuite(compare, .init = setup, .fini = teardown);

static struct config *load(const char *allowlist)
{
	struct config_errors errors = { 0 };
	struct config *c;

	folder_write(&folder, "domains", allowlist);
	c = config_load(folder_path(&folder, "mx20.conf"), &errors);
	cr_assert_not_null(c, "%s", buf_cstr(&errors.text));
	config_errors_fini(&errors);
	return c;
}

/* A recipient file with so many local parts. */
static void write_list(const char *file, size_t count)
{
	struct buf text = { 0 };

	for (size_t i = 0; i < count; i++)
		buf_addf(&text, "user%zu\n", i);
	folder_write(&folder, file, buf_cstr(&text));
	buf_fini(&text);
}

/* From one configuration to the next. */
struct step {
	struct config *old, *now;
	struct change ch;
	struct buf text, refusals;
};

static void step_end(struct step *s)
{
	change_end(&s->ch);
	change_text(&s->text, &s->ch);
	buf_cstr(&s->text);
	buf_add(&s->refusals, buf_span(&s->ch.refusals.text));
	buf_cstr(&s->refusals);
	folder_strip(&folder, &s->refusals);
	buf_cstr(&s->refusals);
}

static void step_fini(struct step *s)
{
	change_fini(&s->ch);
	buf_fini(&s->text);
	buf_fini(&s->refusals);
	config_unref(&s->old);
	config_unref(&s->now);
}

static struct step step_to(struct config *old, const char *allowlist)
{
	struct step s = { .old = old, .now = load(allowlist) };

	change_find(&s.ch, old->domains, s.now->domains);
	return s;
}

static void expect(struct step *s, const char *text, const char *refusals)
{
	step_end(s);
	cr_expect_str_eq(s->text.p, text);
	cr_expect_str_eq(s->refusals.p, refusals);
	step_fini(s);
}

#define ALL " recipients=*\n"

Test(compare, what_comes_and_what_goes)
{
	struct step s;

	s = step_to(load("a.example" ALL "b.example" ALL),
		    "a.example" ALL "b.example" ALL);
	expect(&s, "", "");
	s = step_to(load("a.example" ALL), "a.example" ALL "c.example" ALL);
	expect(&s, "+1 domain\n  come: c.example\n", "");
	s = step_to(load("a.example" ALL "b.example" ALL),
		    "a.example" ALL "c.example" ALL "d.example" ALL);
	expect(&s,
	       "-1 domain, +2\n  go: b.example\n"
	       "  come: c.example, d.example\n",
	       "");
}

Test(compare, more_than_half_of_the_domains)
{
	static const struct {
		const char *before, *now, *refused;
	} cases[] = {
		{ "a.x" ALL, "b.x" ALL,
		  "domains: 1 domain of 1 would go: a.x\n" },
		{ "a.x" ALL "b.x" ALL, "a.x" ALL, "" },
		{ "a.x" ALL "b.x" ALL "c.x" ALL, "a.x" ALL,
		  "domains: 2 domains of 3 would go: b.x, c.x\n" },
		{ "a.x" ALL "b.x" ALL "c.x" ALL "d.x" ALL, "a.x" ALL "d.x" ALL,
		  "" },
		{ "a.x" ALL "b.x" ALL, "# none\n",
		  "domains: 2 domains of 2 would go: a.x, b.x; the allowlist "
		  "is empty\n" },
		{ "", "", "" }, /* it was so before: nothing is lost */
		{ "", "a.x" ALL, "" },
		/* covered all the same, or no more */
		{ "a.n.x" ALL "b.n.x" ALL "c.n.x" ALL, "*.n.x" ALL, "" },
		{ "*.a.n.x" ALL "*.b.n.x" ALL, "*.n.x" ALL, "" },
		{ "*.n.x" ALL, "a.n.x" ALL "b.n.x" ALL,
		  "domains: 1 domain of 1 would go: *.n.x\n" },
		{ "*.n.x" ALL, "n.x" ALL,
		  "domains: 1 domain of 1 would go: *.n.x\n" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct step s = step_to(load(cases[i].before), cases[i].now);

		step_end(&s);
		cr_expect_str_eq(s.refusals.p, cases[i].refused, "case %zu", i);
		step_fini(&s);
	}
}

Test(compare, mail_of_domains_that_go)
{
	struct step s = step_to(
		load("a.x" ALL "b.x" ALL "c.x" ALL "d.x" ALL "*.n.x" ALL),
		"a.x" ALL "b.x" ALL "c.x" ALL "k.n.x" ALL);

	change_mail(&s.ch, span_str("a.x"), 5); /* stays */
	change_mail(&s.ch, span_str("d.x"), 999);
	change_mail(&s.ch, span_str("k.n.x"), 7); /* stays, under its name */
	change_mail(&s.ch, span_str("m.n.x"), 1);
	change_mail(&s.ch, span_str("sender.example"), 3); /* a report */
	expect(&s,
	       "-2 domains; 1,000 messages wait for domains that go\n"
	       "  go: d.x, *.n.x\n"
	       "  mail waits for: d.x, m.n.x\n",
	       "domains: 1,000 messages wait for 2 domains that would go: "
	       "d.x, m.n.x\n");
	s = step_to(load("a.x" ALL "b.x" ALL), "a.x" ALL);
	change_mail(&s.ch, span_str("b.x"), 1);
	expect(&s,
	       "-1 domain; 1 message waits for domains that go\n  go: b.x\n"
	       "  mail waits for: b.x\n",
	       "domains: 1 message waits for 1 domain that would go: b.x\n");
	s = step_to(load("a.x" ALL "b.x" ALL), "a.x" ALL);
	change_mail_unknown(&s.ch, span_str("the disk failed"));
	expect(&s, "-1 domain\n  go: b.x\n",
	       "domains: whether mail waits for the 1 domain that would go is "
	       "not known: the disk failed\n");
}

Test(compare, few_names_of_many)
{
	struct buf many = { 0 };
	struct step s;

	for (int i = 0; i < 10000; i++)
		buf_addf(&many, "d%d.example" ALL, i);
	s = step_to(load(buf_cstr(&many)), "d3.example" ALL);
	expect(&s,
	       "-9,999 domains\n  go: d0.example, d1.example, d2.example, "
	       "d4.example, d5.example and 9,994 more\n",
	       "domains: 9,999 domains of 10,000 would go: d0.example, "
	       "d1.example, d2.example, d4.example, d5.example and 9,994 "
	       "more\n");
	buf_fini(&many);
}

Test(compare, a_recipient_file_that_shrinks)
{
	static const struct {
		size_t before, now;
		const char *refused;
	} cases[] = {
		{ 1, 0, "had 1 recipient and would have none" },
		{ 100, 0, "had 100 recipients and would have none" },
		{ 100, 49, "had 100 recipients and would have 49" },
		{ 100, 50, NULL },
		{ 20, 9, "had 20 recipients and would have 9" },
		{ 19, 1, NULL },
		{ 0, 0, NULL },
		{ 0, 5, NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config *old;
		struct step s;
		char want[200] = "";

		write_list("recipients/a.x", cases[i].before);
		old = load("a.x\n");
		write_list("recipients/a.x", cases[i].now);
		s = step_to(old, "a.x\n");
		step_end(&s);
		if (cases[i].refused != NULL)
			snprintf(want, sizeof(want), "recipients/a.x: a.x %s\n",
				 cases[i].refused);
		cr_expect_str_eq(s.refusals.p, want, "case %zu", i);
		step_fini(&s);
	}
}

/* Each domain is compared with itself, whatever file it is in now. */
Test(compare, another_file)
{
	struct config *old;
	struct step s;

	write_list("recipients/a.x", 40);
	write_list("few", 3);
	old = load("a.x\nb.x recipients=few\n");
	s = step_to(old, "a.x recipients=few\nb.x recipients=few\n");
	expect(&s, "-40 recipients\n",
	       "few: a.x had 40 recipients and would have 3\n");
	/* the lists change places: b.x gains, a.x loses */
	old = load("a.x\nb.x recipients=few\n");
	s = step_to(old, "a.x recipients=few\nb.x recipients=recipients/a.x\n");
	expect(&s, "", "few: a.x had 40 recipients and would have 3\n");
	/* every local part before: a short list is somebody's decision, an
	 * empty one nobody's */
	s = step_to(load("a.x" ALL), "a.x recipients=few\n");
	expect(&s, "+3 recipients\n", "");
	write_list("few", 0);
	s = step_to(load("a.x" ALL), "a.x recipients=few\n");
	expect(&s, "", "few: a.x took every recipient and would have none\n");
	s = step_to(load("a.x\n"), "a.x" ALL);
	expect(&s, "-40 recipients\n", "");
	/* a line of its own gives way to one with a star */
	write_list("few", 2);
	s = step_to(load("h.a.x recipients=recipients/a.x\n"),
		    "*.a.x recipients=few\n");
	expect(&s, "+1 domain; -38 recipients\n  come: *.a.x\n",
	       "few: h.a.x had 40 recipients and would "
	       "have 2\n");
}

/* One line for a file, however many domains it serves; and a domain whose
 * addresses are gone from a file that is long all the same. */
Test(compare, a_file_for_many)
{
	struct buf many = { 0 }, list = { 0 };
	struct config *old;
	struct step s;

	for (int i = 0; i < 1001; i++)
		buf_addf(&many, "d%d.example recipients=all\n", i);
	write_list("all", 500);
	old = load(buf_cstr(&many));
	write_list("all", 1);
	s = step_to(old, buf_cstr(&many));
	expect(&s, "-499 recipients\n",
	       "all: d0.example and 1,000 more domains had 500 recipients and "
	       "would have 1\n");

	for (int i = 0; i < 1001; i++)
		buf_addf(&list, "user@d%d.example\n", i);
	folder_write(&folder, "all", buf_cstr(&list));
	old = load(buf_cstr(&many));
	list.n -= strlen("user@d1000.example\n");
	folder_write(&folder, "all", buf_cstr(&list));
	s = step_to(old, buf_cstr(&many));
	expect(&s, "-1 recipient\n",
	       "all: d1000.example had 1 recipient and would have none\n");
	buf_fini(&many);
	buf_fini(&list);
}

/* Others that are full must not hide that one is empty. */
Test(compare, one_file_of_several)
{
	struct step s;
	struct config *old;
	struct buf many = { 0 };

	for (int i = 0; i < 50; i++)
		buf_addf(&many, "user%d\n", i);
	folder_write(&folder, "big", buf_cstr(&many));
	folder_write(&folder, "small", "a\nb\n");
	buf_fini(&many);
	old = load("a.example recipients=big,small\n");
	folder_write(&folder, "small", "");
	s = step_to(old, "a.example recipients=big,small\n");
	expect(&s, "-2 recipients\n",
	       "small: a.example had 2 recipients and would have none\n");
	/* asked for, and not counted */
	s = step_to(load("a.example recipients=verify\n"),
		    "a.example recipients=small\n");
	expect(&s, "",
	       "small: a.example had recipients that are not listed and "
	       "would have none\n");
	s = step_to(load("a.example recipients=big\n"),
		    "a.example recipients=small,verify\n");
	expect(&s, "-50 recipients\n", "");
}
