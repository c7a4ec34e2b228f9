#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/support/folder.h"
#include "config/error.h"

/* What config_warn writes about a configuration. */
static void warnings(struct folder *f, const char *conf, char *out, size_t room)
{
	struct config_errors errors = { 0 };
	struct config *c =
		config_load(folder_write(f, "mx20.conf", conf), &errors);
	int saved = dup(STDERR_FILENO);
	int fd = open(folder_path(f, "log"), O_CREAT | O_TRUNC | O_RDWR, 0600);
	ssize_t n;

	cr_assert_not_null(c, "%s", buf_cstr(&errors.text));
	cr_assert(fd >= 0 && saved >= 0);
	dup2(fd, STDERR_FILENO);
	config_warn(c);
	dup2(saved, STDERR_FILENO);
	n = pread(fd, out, room - 1, 0);
	cr_assert(n >= 0);
	out[n] = '\0';
	close(fd);
	close(saved);
	config_unref(&c);
}

#define NEEDED "hostname = \"a.example\"; domains = \"domains\";\n"

Test(config_warn, what_is_legal_but_risky)
{
	struct folder f;
	char text[4096];

	folder_make(&f);
	folder_write(&f, "domains",
		     "a.example recipients=*\nb.example recipients=*\n");
	warnings(&f, NEEDED, text, sizeof(text));
	cr_expect_not_null(strstr(text, "key=recipients domain=a.example "
					"domains=2 "));
	cr_expect_not_null(strstr(text, "key=tls.certificate "));
	cr_expect_null(strstr(text, "key=spool."), "%s", text);
	cr_expect_null(strstr(text, "key=listen"), "%s", text);

	folder_write(&f, "domains", "# none\n");
	warnings(&f,
		 NEEDED "listen = ( ); spool = { lifetime = \"1d\"; "
			"warn_after = \"2d\"; size = \"1M\"; };\n",
		 text, sizeof(text));
	cr_expect_null(strstr(text, "key=recipients"), "%s", text);
	cr_expect_not_null(strstr(text, "key=domains "));
	cr_expect_not_null(strstr(text, "key=listen "));
	cr_expect_not_null(strstr(text, "key=spool.lifetime "));
	cr_expect_not_null(strstr(text, "key=spool.warn_after "));
	cr_expect_not_null(strstr(text, "key=limits.message_size "));
	folder_remove(&f);
}

static void take(const struct log_field *fields, void *arg)
{
	config_warning_text(arg, fields);
	buf_addc(arg, '\n');
}

/* What a reload and --check print. */
Test(config_warn, as_people_read_it)
{
	static const char conf[] = NEEDED "listen = ( );\n";
	struct config_errors errors = { 0 };
	struct buf text = { 0 };
	struct folder f;
	struct config *c;

	folder_make(&f);
	folder_write(&f, "domains", "a.example recipients=*\n");
	config_doubt(&errors, span_str("domains"), 3, "most likely %s", "cut");
	c = config_load(folder_write(&f, "mx20.conf", conf), &errors);
	cr_assert_not_null(c, "%s", buf_cstr(&errors.text));
	config_warnings(c, take, &text);
	cr_expect_not_null(
		strstr(buf_cstr(&text), "recipients: recipients=* "));
	cr_expect_not_null(
		strstr(buf_cstr(&text), " (domain a.example, domains 1)\n"));
	cr_expect_not_null(
		strstr(buf_cstr(&text), "\nlisten: listens nowhere: only "));
	cr_expect_not_null(
		strstr(buf_cstr(&text), "\ndomains:3: most likely cut\n"));
	buf_fini(&text);
	config_unref(&c);
	config_errors_fini(&errors);
	folder_remove(&f);
}

Test(config_warn, more_doubts_than_anybody_reads)
{
	struct config_errors errors = { 0 };

	for (int i = 0; i < 1000; i++)
		config_doubt(&errors, span_str("domains"), 0, "number %d", i);
	config_doubts_end(&errors);
	cr_expect_eq(errors.doubt_count, 1000);
	cr_expect_eq(errors.count, 0);
	cr_expect_not_null(strstr(buf_cstr(&errors.doubts), "number 19\n"));
	cr_expect_null(strstr(buf_cstr(&errors.doubts), "number 20\n"));
	cr_expect_not_null(strstr(buf_cstr(&errors.doubts), "and 980 more\n"));
	config_errors_fini(&errors);
}
