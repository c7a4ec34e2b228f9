/* The list that is remembered, whole or not at all. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "config/allow/compare.h"
#include "config/allow/listed.h"
#include "config/config.h"
#include "tests/support/folder.h"

static struct folder folder;
static struct config *config;

static void setup(void)
{
	struct config_errors errors = { 0 };

	folder_make(&folder);
	folder_write(
		&folder, "mx20.conf",
		"hostname = \"mx2.example.net\"; domains = \"domains\";\n");
	folder_write(&folder, "few", "u1\nu2\nu3\nv@b.example\n");
	folder_write(&folder, "domains",
		     "a.example recipients=few\nb.example recipients=few\n"
		     "*.c.example recipients=*\n");
	config = config_load(folder_path(&folder, "mx20.conf"), &errors);
	cr_assert_not_null(config, "%s", buf_cstr(&errors.text));
}

static void teardown(void)
{
	config_unref(&config);
	folder_remove(&folder);
}

TestSuite(listed, .init = setup, .fini = teardown);

static const char whole[] = "mx20-listed 1 3 4\na.example 3\nb.example 4\n"
			    "*.c.example *\nend\n";

Test(listed, what_is_written_is_read)
{
	const char *path = folder_path(&folder, "listed");
	struct buf why = { 0 };
	struct change ch;
	struct domains *d;
	char text[200] = "";
	FILE *f;

	cr_assert_null(listed_read(path), "there is none yet");
	for (int i = 0; i < 2; i++)
		cr_assert(listed_write(path, config->domains, &why), "%s",
			  buf_cstr(&why));
	f = fopen(path, "r");
	cr_assert_not_null(f);
	cr_expect_gt(fread(text, 1, sizeof(text) - 1, f), 0);
	fclose(f);
	cr_expect_str_eq(text, whole);
	d = listed_read(path);
	cr_assert_not_null(d);
	change_find(&ch, d, config->domains);
	change_end(&ch);
	cr_expect_eq(ch.domains_before, 3);
	cr_expect_eq(ch.recipients_before, 4);
	cr_expect_eq(ch.gone.count + ch.come.count, 0);
	cr_expect_eq(ch.refusals.count, 0);
	change_fini(&ch);
	domains_free(&d);
}

Test(listed, a_loss_against_it)
{
	struct domains *d = listed_read(
		folder_write(&folder, "listed",
			     "mx20-listed 1 3 80\na.example 40\nb.example 40\n"
			     "d.example *\nend\n"));
	struct change ch;

	cr_assert_not_null(d);
	change_find(&ch, d, config->domains);
	change_mail(&ch, span_str("d.example"), 2);
	change_end(&ch);
	cr_expect_eq(ch.gone.count, 1);
	cr_expect_eq(ch.come.count, 1);
	cr_expect_eq(ch.messages, 2);
	cr_expect_eq(ch.refusals.count, 2, "%s", buf_cstr(&ch.refusals.text));
	cr_expect_not_null(strstr(
		buf_cstr(&ch.refusals.text),
		"a.example and 1 more domain had 40 recipients and would"));
	change_fini(&ch);
	domains_free(&d);
}

/* Cut off at any place, or not ours: as if there were none. */
Test(listed, what_is_not_whole)
{
	static const char *const bad[] = {
		"",
		"\n",
		"mx20-listed 2 0 0\nend\n",
		"mx20-listed 1\nend\n",
		"mx20-listed 1 x 0\nend\n",
		"mx20-listed 1 99999999999999999999 0\nend\n",
		"mx20-listed 1 268435455 0\nend\n",
		"mx20-listed 1 1 0\nend\n",
		"mx20-listed 1 1 0\na.example\nend\n",
		"mx20-listed 1 1 0\n 5\nend\n",
		"mx20-listed 1 1 0\na.example 4294967296\nend\n",
		"mx20-listed 1 2 0\na.example 1\na.example 1\nend\n",
		"mx20-listed 1 0 0\na.example 1\nend\n",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_null(
			listed_read(folder_write(&folder, "listed", bad[i])),
			"case %zu", i);
	for (size_t n = 0; n + 1 < sizeof(whole) - 1; n++) {
		char text[sizeof(whole)];

		memcpy(text, whole, n);
		text[n] = '\0';
		cr_expect_null(
			listed_read(folder_write(&folder, "listed", text)),
			"cut at %zu", n);
	}
}

Test(listed, a_folder_that_is_not_there)
{
	struct buf why = { 0 };

	cr_expect_not(listed_write("/nonexistent/listed", config->domains, &why));
	cr_expect_str_eq(buf_cstr(&why),
			 "/nonexistent/listed: No such file or directory");
	buf_fini(&why);
}
