#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "config/config.h"
#include "tests/support/certs.h"
#include "tests/support/folder.h"

static struct folder folder;
static struct buf found; /* the warnings of what was loaded last */

static void setup(void)
{
	folder_make(&folder);
}

static void teardown(void)
{
	folder_remove(&folder);
}

TestSuite(config_warn, .init = setup, .fini = teardown);

#define NEEDED "hostname = \"mx.a.example\"; domains = \"domains\";\n"
/* a spool that fits any disk */
#define SMALL "size = \"1M\"; reserve = \"0\"; "

static struct config *load(const char *conf)
{
	struct config_errors errors = { 0 };
	struct config *c =
		config_load(folder_write(&folder, "mx20.conf", conf), &errors);

	cr_assert_not_null(c, "%s", buf_cstr(&errors.text));
	found.n = 0;
	buf_add(&found, c->doubts);
	folder_strip(&folder, &found);
	config_errors_fini(&errors);
	return c;
}

/* Is it the whole of a line? */
static void expect(const char *line)
{
	char whole[512];

	snprintf(whole, sizeof(whole), "%s\n", line);
	cr_expect_not_null(strstr(buf_cstr(&found), whole), "%s is not in\n%s",
			   line, buf_cstr(&found));
}

static void expect_not(const char *part)
{
	cr_expect_null(strstr(buf_cstr(&found), part), "%s", buf_cstr(&found));
}

Test(config_warn, refuse_without_a_mirror)
{
	struct config *c;

	folder_write(&folder, "domains", "");
	c = load(NEEDED "spool = { " SMALL "};\n"
			"mirror = { when_away = \"refuse\"; };\n");
	expect("mx20.conf:3: mirror.when_away: no effect without "
	       "mirror.postgresql");
	config_unref(&c);
}

/* passfile= is the way that needs no warning, whatever the mode. */
Test(config_warn, password_for_all_to_read)
{
	static const char secret[] =
		NEEDED "spool = { " SMALL "};\n"
		       "mirror = { node = \"a\";\n"
		       "postgresql = \"dbname=m password=s3cret\"; };";
	struct config *c;

	folder_write(&folder, "domains", "");
	c = load(secret);
	expect("mx20.conf:4: mirror.postgresql: has a password, and everybody "
	       "can read this file: chmod o-r, or passfile=");
	expect_not("s3cret");
	config_unref(&c);
}

Test(config_warn, domains)
{
	struct config *c;

	folder_write(&folder, "domains",
		     "# c\na.example recipients=*\nb.example recipients=*\n"
		     "c.example recipients=* lifetime=1439m\n"
		     "d.example recipients=* lifetime=1d\n");
	c = load(NEEDED);
	expect("domains:2: a.example and 3 more: recipients=*: takes mail "
	       "that the primary will refuse, mostly from forged senders; "
	       "recipients=verify asks the primary");
	expect("domains:4: c.example: lifetime: less than a day: an outage "
	       "of one night returns all mail; RFC 5321 section 4.5.4.1 "
	       "asks for 4 to 5 days at least");
	expect("mx20.conf: tls.certificate: none: STARTTLS is not offered");
	expect_not("spool.lifetime");
	expect_not("spool.warn_after");
	expect_not("listen");
	config_unref(&c);

	folder_write(&folder, "domains",
		     "a.example recipients=*\nb.example recipients=x,*\n");
	c = load(NEEDED);
	expect("domains:2: b.example: recipients: with * everyone is a "
	       "recipient: the other sources are not read");
	config_unref(&c);

	folder_write(&folder, "domains", "# none\n");
	c = load(NEEDED);
	expect("domains: the allowlist is empty: no mail is taken");
	expect_not("recipients=*");
	config_unref(&c);
}

Test(config_warn, settings)
{
	struct config *c;

	folder_write(&folder, "domains", "a.example recipients=*\n");
	c = load(NEEDED "listen = ( );\nspool = { lifetime = \"2d\";\n"
			"warn_after = \"2d\"; " SMALL "};\n");
	expect("mx20.conf:2: listen: nowhere: only drains");
	expect("mx20.conf:3: spool.lifetime: RFC 5321 section 4.5.4.1 asks "
	       "for 4 to 5 days at least");
	expect("mx20.conf:4: spool.warn_after: not before spool.lifetime is "
	       "over: no sender is warned");
	expect("mx20.conf: limits.message_size: more than spool.size");
	config_unref(&c);
	c = load(NEEDED "spool = { lifetime = \"14s\"; " SMALL "};\n");
	expect("mx20.conf:2: spool.lifetime: less than a day: an outage of "
	       "one night returns all mail; RFC 5321 section 4.5.4.1 asks "
	       "for 4 to 5 days at least");
	expect_not("hostname");
	config_unref(&c);
	c = load("hostname = \"mx2\"; domains = \"domains\";\n"
		 "spool = { " SMALL "};\n");
	expect("mx20.conf:1: hostname: mx2: without its domain no MX record "
	       "names this host, and servers refuse its EHLO: such as "
	       "mx2.example.net");
	config_unref(&c);
}

/* No disk of a test machine has 16T, and all have 64K. */
Test(config_warn, a_spool_larger_than_its_disk)
{
	struct config *c;

	folder_write(&folder, "domains", "a.example recipients=*\n");
	c = load(NEEDED "spool = { path = \"not/yet\"; size = \"16T\";\n"
			"reserve = \"16T\"; };\n");
	cr_expect_not_null(strstr(buf_cstr(&found),
				  "mx20.conf:2: spool.size: 16T, but the disk "
				  "of not/yet has "),
			   "%s", buf_cstr(&found));
	cr_expect_not_null(strstr(buf_cstr(&found),
				  "mx20.conf:3: spool.reserve: 16T, but only "),
			   "%s", buf_cstr(&found));
	config_unref(&c);
	c = load(NEEDED "spool = { path = \"not/yet\"; " SMALL "};\n");
	expect_not("spool.size:");
	expect_not("spool.reserve:");
	config_unref(&c);
}

static struct config *with_certificate(const struct cert *cert)
{
	char conf[512];

	snprintf(conf, sizeof(conf),
		 NEEDED "tls = { certificate = \"%s\";\n key = \"%s\"; };\n",
		 cert->cert_path, cert->key_path);
	return load(conf);
}

/* It is named when it is the certificate itself that is to blame. */
Test(config_warn, certificates)
{
	/* clang-format off */
	static const struct { struct cert_spec spec; const char *said; } cases[] = {
		{ { "good", "DNS:mx.a.example", .days = 60 }, NULL },
		{ { "star", "DNS:*.a.example", .days = 60 }, NULL },
		{ { "other", "DNS:b.example", .days = 60 },
		  ": is not for mx.a.example (hostname): senders that check it do not deliver\n" },
		{ { "near", "DNS:mx.a.example", .days = 13 },
		  ": from then on senders that check it will not deliver: renew it, then mx20ctl reload\n" },
		{ { "over", "DNS:mx.a.example", .days = -1 },
		  ": senders that check it do not deliver: renew it, then mx20ctl reload\n" },
	};
	/* clang-format on */

	folder_write(&folder, "domains", "a.example recipients=*\n");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct cert cert;
		struct config *c;
		char start[256];

		cert_make(&cert, &cases[i].spec);
		c = with_certificate(&cert);
		snprintf(start, sizeof(start),
			 "mx20.conf:2: tls.certificate: %s: ", cert.cert_path);
		const char *at = strstr(buf_cstr(&found), start);
		cr_expect_eq(at != NULL, cases[i].said != NULL, "%s: %s",
			     cases[i].spec.name, buf_cstr(&found));
		if (at != NULL && cases[i].said != NULL)
			cr_expect_not_null(strstr(at, cases[i].said), "%s", at);
		config_unref(&c);
		cert_free(&cert);
	}
	certs_clean();
}

/* One line each. */
Test(config_warn, goes_to_the_log)
{
	struct config *c;
	char text[4096];
	int saved = dup(STDERR_FILENO);
	int fd = open(folder_path(&folder, "log"), O_CREAT | O_RDWR, 0600);
	ssize_t n;

	folder_write(&folder, "domains", "# none\n");
	c = load(NEEDED);
	cr_assert(fd >= 0 && saved >= 0);
	dup2(fd, STDERR_FILENO);
	config_warn(c);
	dup2(saved, STDERR_FILENO);
	n = pread(fd, text, sizeof(text) - 1, 0);
	cr_assert(n >= 0);
	text[n] = '\0';
	cr_expect_eq(strncmp(text, "config level=warn warning=\"", 27), 0);
	cr_expect_not_null(strstr(text,
				  "domains: the allowlist is empty: no mail is "
				  "taken\"\nconfig level=warn warning=\""),
			   "%s", text);
	close(fd);
	close(saved);
	config_unref(&c);
}

/* What a reload and --check print; what the files gave comes last. */
Test(config_warn, as_people_read_it)
{
	static const char conf[] = NEEDED "listen = ( );\n";
	struct config_errors errors = { 0 };
	struct buf text = { 0 };
	struct config *c;

	folder_write(&folder, "domains", "a.example recipients=*\n");
	config_doubt(&errors, span_str("domains"), 3, "most likely %s", "cut");
	c = config_load(folder_write(&folder, "mx20.conf", conf), &errors);
	cr_assert_not_null(c, "%s", buf_cstr(&errors.text));
	buf_add(&text, c->doubts);
	cr_expect_not_null(
		strstr(buf_cstr(&text), "mx20.conf:2: listen: nowhere: only "));
	cr_expect_str_eq(strstr(buf_cstr(&text), "domains:3:"),
			 "domains:3: most likely cut\n");
	buf_fini(&text);
	config_unref(&c);
	config_errors_fini(&errors);
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
