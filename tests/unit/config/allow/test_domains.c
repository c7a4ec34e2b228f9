#include <criterion/criterion.h>
#include <stdio.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "config/config.h"
#include "tests/support/folder.h"

static struct folder folder;

static void setup(void)
{
	folder_make(&folder);
	folder_write(&folder, "mx20.conf",
		     "hostname = \"mx2.example.net\"; domains = \"domains\";\n"
		     "drain = { port = 2525; };\n");
}

static void teardown(void)
{
	folder_remove(&folder);
}

TestSuite(domains, .init = setup, .fini = teardown);

static struct config *load(const char *allowlist, struct config_errors *errors)
{
	folder_write(&folder, "domains", allowlist);
	return config_load(folder_path(&folder, "mx20.conf"), errors);
}

static struct config *good(const char *allowlist)
{
	struct config_errors errors = { 0 };
	struct config *c = load(allowlist, &errors);

	cr_assert_not_null(c, "%s", buf_cstr(&errors.text));
	config_errors_fini(&errors);
	return c;
}

static const struct config_domain *row_of(const struct config *c,
					  const char *domain)
{
	return domains_find(c->domains, span_str(domain));
}

static bool has(const struct config *c, const char *local, const char *domain)
{
	const struct config_domain *row = row_of(c, domain);

	return row != NULL &&
	       domains_has_recipient(c->domains, row, span_str(domain),
				     span_str(local));
}

Test(domains, a_row_covers_its_own_name_only_and_a_star_what_is_below)
{
	struct config *c = good("example.com recipients=*\n"
				"*.example.net recipients=*\n"
				"*.deep.example.net recipients=* tls=must\n"
				"own.deep.example.net recipients=* tls=none\n");
	/* clang-format off */
	static const struct { const char *domain, *row; } cases[] = {
		{ "example.com", "example.com" },
		{ "www.example.com", NULL },
		{ "com", NULL },
		{ "xample.com", NULL },
		{ "example.net", NULL },
		{ "a.example.net", "*.example.net" },
		{ "a.b.c.d.example.net", "*.example.net" },
		{ "deep.example.net", "*.example.net" },
		{ "x.deep.example.net", "*.deep.example.net" },
		{ "y.x.deep.example.net", "*.deep.example.net" },
		{ "own.deep.example.net", "own.deep.example.net" },
		{ "z.own.deep.example.net", "*.deep.example.net" },
		{ "*.example.net", "*.example.net" },
		{ "badexample.net", NULL },
		{ "", NULL },
	};
	/* clang-format on */

	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct config_domain *row = row_of(c, cases[i].domain);

		cr_expect_eq(row != NULL, cases[i].row != NULL, "%s",
			     cases[i].domain);
		if (row != NULL && cases[i].row != NULL)
			cr_expect(span_eq(row->name, span_str(cases[i].row)),
				  "%s: %.*s", cases[i].domain,
				  SPAN_ARG(row->name));
	}
	config_unref(&c);
}

Test(domains, recipients_compare_as_mailboxes_do)
{
	folder_write(&folder, "recipients/example.com",
		     "# comment\n"
		     "alice\n"
		     "  Bob@Example.COM  \t# with a comment\n"
		     "\"john doe\"\r\n"
		     "\"with#hash\"@example.com # comment\n"
		     "o'neil#1\n"
		     "\"quoted\"\n"
		     "\n"
		     "alice\n"
		     "gr\xc3\xbc\xc3\x9f\n"
		     "last");
	struct config *c = good("example.com delimiter=+\n");
	/* clang-format off */
	static const struct { const char *local; bool known; } cases[] = {
		{ "alice", true }, { "ALICE", true }, { "\"alice\"", true },
		{ "\"al\\ice\"", true }, { "bob", true },
		{ "\"John Doe\"", true }, { "john", false },
		{ "\"with#hash\"", true }, { "o'neil#1", true },
		{ "quoted", true }, { "last", true },
		{ "gr\xc3\xbc\xc3\x9f", true }, { "gr\xc3\x9c\xc3\x9f", false },
		{ "alice+tag", true }, { "bob+a+b", true },
		{ "\"john doe+x\"", true }, { "+alice", false },
		{ "carol+tag", false }, { "alice-tag", false },
		{ "carol", false }, { "comment", false }, { "#", false },
		{ "", false }, { "\"\"", false },
		{ "postmaster", true }, { "PostMaster", true },
		{ "\"postmaster\"", true }, { "postmaster+x", true },
		{ "\"bob@example.com\"", false },
	};
	/* clang-format on */

	cr_expect_eq(c->recipient_count, 8);
	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(has(c, cases[i].local, "example.com"),
			     cases[i].known, "%s", cases[i].local);
	config_unref(&c);
}

Test(domains, every_recipient)
{
	struct config *c = good("example.com recipients=*\n");

	cr_expect(has(c, "anyone", "example.com"));
	cr_expect_eq(c->recipient_count, 0);
	config_unref(&c);
}

/* Local parts hold for every domain of the file, addresses for their own. */
Test(domains, a_file_may_be_shared)
{
	folder_write(&folder, "all",
		     "everywhere\nann@a.example\nben@b.example\n"
		     "sub@x.w.example\n");
	struct config *c = good("a.example recipients=all\n"
				"b.example recipients=all\n"
				"*.w.example recipients=all\n");

	cr_expect_eq(c->recipient_count, 4, "the file is read once");
	cr_expect(has(c, "everywhere", "a.example"));
	cr_expect(has(c, "everywhere", "b.example"));
	cr_expect(has(c, "everywhere", "y.w.example"));
	cr_expect(has(c, "ann", "a.example"));
	cr_expect_not(has(c, "ann", "b.example"));
	cr_expect(has(c, "ben", "b.example"));
	cr_expect(has(c, "sub", "x.w.example"));
	cr_expect_not(has(c, "sub", "y.w.example"));
	config_unref(&c);
}

/* U-labels are looked up as A-labels; the file may have either name. */
Test(domains, internationalised_names)
{
	folder_write(&folder,
		     "recipients/b\xc3\xbc"
		     "cher.example",
		     "ann\n");
	folder_write(&folder, "recipients/xn--mller-kva.example", "ben\n");
	folder_write(&folder, "recipients/UPPER.example", "cid\n");
	struct config *c = good("b\xc3\xbc"
				"cher.example\n"
				"m\xc3\xbcller.example\n"
				"UPPER.example\n");

	cr_expect(has(c, "ann", "xn--bcher-kva.example"));
	cr_expect(has(c, "ben", "xn--mller-kva.example"));
	cr_expect(has(c, "cid", "upper.example"));
	config_unref(&c);
}

Test(domains, options_and_what_holds_without_them)
{
	struct config *c =
		good("a.example recipients=*\n"
		     "b.example\trecipients=*   "
		     "primary=[192.0.2.10],Mail.b.example:26 "
		     "lifetime=30d tls=must etrn=192.0.2.0/24,2001:db8::/32 "
		     "delimiter=- # all of them\n"
		     "c.example recipients=* "
		     "primary=192.0.2.10,mail.b.example:26\n");
	const struct config_domain *a = row_of(c, "a.example");
	const struct config_domain *b = row_of(c, "b.example");
	const struct config_domain *d = row_of(c, "c.example");

	cr_assert(a != NULL && b != NULL && d != NULL);
	cr_expect_eq(a->primary_count, 0);
	cr_expect_eq(a->tls, TLS_LEVEL_MAY);
	cr_expect_eq(a->lifetime_ms, DAYS(14));
	cr_expect_eq(a->delimiter, '\0');
	cr_expect_eq(a->etrn_count, 0);
	cr_assert_eq(b->primary_count, 2);
	cr_expect_eq(b->primary[0].addr.family, AF_INET);
	cr_expect_eq(b->primary[0].port, 2525, "drain.port");
	cr_expect_eq(b->primary[0].addr.port, 2525);
	cr_expect(span_eq(b->primary[1].host, span_str("mail.b.example")));
	cr_expect_eq(b->primary[1].port, 26);
	cr_expect(span_eq(b->primary_text,
			  span_str("[192.0.2.10]:2525,mail.b.example:26")));
	cr_expect(span_eq(b->primary_text, d->primary_text), "one route");
	cr_expect_eq(b->lifetime_ms, DAYS(30));
	cr_expect_eq(b->tls, TLS_LEVEL_MUST);
	cr_expect_eq(b->etrn_count, 2);
	cr_expect_eq(b->etrn[0].bits, 24);
	cr_expect_eq(b->delimiter, '-');
	config_unref(&c);
}

#define FILE_WANTED                                                            \
	"expected a file with one address or local part a line; "              \
	"recipients=FILE names another, recipients=verify asks the primary, "  \
	"recipients=* accepts all\n"
#define SOURCES_WANTED                                                         \
	"expected files, https:// URLs, verify, or * for every local part, "   \
	"with commas between, not "
#define NO_BLANKS                                                              \
	"no blanks around the = of an option: recipients=verify\n"
#define NAME_WANTED                                                            \
	"expected a domain such as example.org, or *.example.org for its "     \
	"subdomains\n"
#define HOSTS_WANTED                                                           \
	"expected hosts in order of preference such as "                       \
	"mail.example.org,mail2.example.org:2525,[192.0.2.10]:25, not "

Test(domains, faults_name_file_line_and_accepted_values)
{
	/* clang-format off */
	static const struct { const char *text, *error; } cases[] = {
		{ "\n# c\na..b recipients=*", "domains:3: a..b: " NAME_WANTED },
		{ "* recipients=*", "domains:1: *: " NAME_WANTED },
		{ "*. recipients=*", "domains:1: *.: " NAME_WANTED },
		{ "[192.0.2.1] recipients=*", "domains:1: [192.0.2.1]: " NAME_WANTED },
		{ "user@a.example recipients=*", "domains:1: user@a.example: " NAME_WANTED },
		{ "a.example", "domains:1: recipients: recipients/a.example: No such file or directory: " FILE_WANTED },
		{ "\na.example recipients=nix", "domains:2: recipients: nix: No such file or directory: " FILE_WANTED },
		{ "a.example recipients=/nix/da", "domains:1: recipients: /nix/da: No such file or directory: " FILE_WANTED },
		{ "a.example recipients=dir", "dir: cannot be read: Is a directory\n" },
		{ "a.example recipients=", "domains:1: recipients: " SOURCES_WANTED "\"\"\n" },
		{ "a.example recipients=* recipients=*", "domains:1: recipients: given twice\n" },
		{ "a.example recipients=*\nA.Example. recipients=*", "domains:2: a.example: listed already in line 1\n" },
		{ "*.a.example recipients=*\n\n*.A.example recipients=*", "domains:3: *.a.example: listed already in line 1\n" },
		{ "a.example recipients=* tls", "domains:1: tls: expected one of none may must verify dane, not \"\"\n" },
		{ "a.example recipients=* tls=maybe", "domains:1: tls: expected one of none may must verify dane, not \"maybe\"\n" },
		{ "a.example recipients=* lifetime=0", "domains:1: lifetime: expected a time such as 30d, from 1s to 365d, not \"0\"\n" },
		{ "a.example recipients=* lifetime=14", "domains:1: lifetime: 14 has no unit: ms, s, m, h, d or w, as in \"14d\"\n" },
		{ "a.example recipients=* lifetime=2y", "domains:1: lifetime: expected a time such as 30d, from 1s to 365d, not \"2y\"\n" },
		{ "a.example recipients=* delimiter=++", "domains:1: delimiter: expected one sign such as +, not \"++\"\n" },
		{ "a.example recipients=* delimiter=a", "domains:1: delimiter: expected one sign such as +, not \"a\"\n" },
		{ "a.example recipients=* etrn=192.0.2.0/33", "domains:1: etrn: expected networks such as 192.0.2.0/24,2001:db8::/32, not \"192.0.2.0/33\"\n" },
		{ "a.example recipients=* primary=a,", "domains:1: primary: " HOSTS_WANTED "\"a,\"\n" },
		{ "a.example recipients=* primary=b:0", "domains:1: primary: " HOSTS_WANTED "\"b:0\"\n" },
		{ "a.example recipients=* quota=5", "domains:1: quota: 5 has no unit: K, M, G or T, as in \"50M\"\n" },
		{ "a.example recipients=* quota=x", "domains:1: quota: expected a size such as 10G, from 0 to 16T, not \"x\"\n" },
		{ "a.example recipients=* primry=b", "domains:1: primry: unknown option; there are: recipients= primary= lifetime= unknown= standby= tls= quota= etrn= delimiter=\n" },
		{ "a.example b.example recipients=*", "domains:1: b.example: one domain a line, and then its options\n" },
		{ "a.example recipients=* OK", "domains:1: OK: unknown option; there are: recipients= primary= lifetime= unknown= standby= tls= quota= etrn= delimiter=\n" },
		{ "a.example recipients=two2,", "domains:1: recipients: nothing between two commas or at the end\n" },
		{ "a.example recipients=verify,,two2", "domains:1: recipients: nothing between two commas or at the end\n" },
		{ "a.example recipients=two2,nix", "domains:1: recipients: nix: No such file or directory: " FILE_WANTED },
		{ "a.example recipients=http://t.example/a", "domains:1: recipients: http:// is not fetched: whoever is on the way could add or remove recipients; write https://\n" },
		{ "a.example recipients=verify,ftp://t.example/a", "domains:1: recipients: of URLs https:// alone is fetched\n" },
		{ "a.example recipients=https:///a", "domains:1: recipients: expected https://HOST/PATH or https://USER:PASSWORD@HOST:PORT/PATH\n" },
		{ "a.example recipients=https://u:secret@t.example:x/a", "domains:1: recipients: expected https://HOST/PATH or https://USER:PASSWORD@HOST:PORT/PATH\n" },
		{ "a.example recipients=https://t.example/a#b", "domains:1: recipients: a URL holds ASCII without blanks, quotes and #; others are written as %23\n" },
		{ "a.example recipients=verify unknown=maybe", "domains:1: unknown: expected one of defer accept reject, not \"maybe\"\n" },
		{ "a.example recipients = *", "domains:1: " NO_BLANKS },
		{ "a.example recipients =*", "domains:1: " NO_BLANKS },
		{ "a.example recipients= *", "domains:1: " NO_BLANKS },
		{ "a.example tls=may recipients = two", "domains:1: " NO_BLANKS },
		{ "a.example recipients=two", "two:2: expected one address or local part, not \"b c\"\n" },
		{ "a.example recipients=star", "star:1: to accept every local part write recipients=* in the allowlist\n" },
		{ "a.example recipients=at", "at:1: expected one address or local part, not \"@a.example\"\n" },
		{ "a.example recipients=foreign", "foreign:3: x@b.example: no domain that uses this file covers it\n" },
		{ "a.example recipients=foreign\nb.example recipients=*", "foreign:3: x@b.example: no domain that uses this file covers it\n" },
	};
	/* clang-format on */

	folder_write(&folder, "dir/file", "");
	folder_write(&folder, "two", "a\nb c\n");
	folder_write(&folder, "two2", "a\nb\n");
	folder_write(&folder, "star", "*\n");
	folder_write(&folder, "at", "@a.example\n");
	folder_write(&folder, "foreign", "a\nx@a.example\nx@b.example\n");
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct config_errors errors = { 0 };

		cr_expect_null(load(cases[i].text, &errors), "%s",
			       cases[i].text);
		folder_strip(&folder, &errors.text);
		cr_expect_str_eq(buf_cstr(&errors.text), cases[i].error);
		cr_expect_eq(errors.count, 1, "%s", cases[i].text);
		config_errors_fini(&errors);
	}
}

static enum listed_as find(const struct config *c, const char *local,
			   const char *domain)
{
	return domains_recipient(c->domains, row_of(c, domain),
				 span_str(domain), span_str(local));
}

Test(domains, a_recipient_that_any_source_knows_is_one)
{
	folder_write(&folder, "one", "alice\nx@a.example\nx@b.example\n");
	folder_write(&folder, "two", "bob\n");
	struct config *c =
		good("a.example recipients=one,two\n"
		     "b.example recipients=two,one,verify,one delimiter=+\n"
		     "c.example recipients=verify unknown=accept\n"
		     "d.example recipients=two,https://t.example/d\n"
		     "e.example recipients=missing,*,two unknown=reject\n");
	/* clang-format off */
	static const struct { const char *local, *domain; int found; } cases[] = {
		{ "alice", "a.example", RECIPIENT_YES },
		{ "bob", "a.example", RECIPIENT_YES },
		{ "x", "a.example", RECIPIENT_YES },
		{ "y", "a.example", RECIPIENT_NO },
		{ "alice+x", "b.example", RECIPIENT_YES },
		{ "x", "b.example", RECIPIENT_YES },
		{ "y", "b.example", RECIPIENT_NO },
		{ "alice", "c.example", RECIPIENT_NO },
		{ "postmaster", "c.example", RECIPIENT_YES },
		{ "bob", "d.example", RECIPIENT_YES },
		{ "alice", "d.example", RECIPIENT_UNKNOWN },
		{ "postmaster", "d.example", RECIPIENT_YES },
		{ "who", "e.example", RECIPIENT_YES },
	};
	/* clang-format on */

	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(find(c, cases[i].local, cases[i].domain),
			     cases[i].found, "%s@%s", cases[i].local,
			     cases[i].domain);
	cr_expect(!row_of(c, "a.example")->verify);
	cr_expect(row_of(c, "b.example")->verify);
	cr_expect(row_of(c, "c.example")->verify);
	cr_expect_eq(row_of(c, "a.example")->unknown, UNKNOWN_DEFER);
	cr_expect_eq(row_of(c, "c.example")->unknown, UNKNOWN_ACCEPT);
	cr_expect_eq(row_of(c, "e.example")->unknown, UNKNOWN_REJECT);
	cr_expect(row_of(c, "e.example")->any_recipient);
	config_unref(&c);
}

Test(domains, the_default_of_unknown_is_that_of_the_settings)
{
	folder_write(&folder, "mx20.conf",
		     "hostname = \"mx2.example.net\"; domains = \"domains\";\n"
		     "policy = { unknown = \"accept\"; refresh = \"1h\"; };\n");
	struct config *c = good("a.example recipients=verify\n"
				"b.example recipients=verify unknown=defer\n");

	cr_expect_eq(row_of(c, "a.example")->unknown, UNKNOWN_ACCEPT);
	cr_expect_eq(row_of(c, "b.example")->unknown, UNKNOWN_DEFER);
	cr_expect_eq(c->policy.refresh_ms, HOURS(1));
	config_unref(&c);
}

Test(domains, what_happens_while_the_primary_answers)
{
	folder_write(&folder, "mx20.conf",
		     "hostname = \"mx2.example.net\"; domains = \"domains\";\n"
		     "policy = { standby = \"defer\"; };\n");
	struct config *c = good("a.example recipients=verify\n"
				"b.example recipients=verify standby=relay\n"
				"*.c.example recipients=verify standby=accept\n");
	/* clang-format off */
	static const struct {
		const char *domain;
		enum standby_mode mode;
	} cases[] = {
		{ "a.example", STANDBY_DEFER },
		{ "b.example", STANDBY_RELAY },
		{ "x.c.example", STANDBY_ACCEPT },
	};
	/* clang-format on */

	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(domains_find(c->domains,
					  span_str(cases[i].domain))->standby,
			     cases[i].mode, "%s", cases[i].domain);
	for (int i = 0; i < STANDBY_MODES; i++)
		cr_expect(domains_have_standby(c->domains,
					       (enum standby_mode)i));
	config_unref(&c);
	c = good("b.example recipients=verify standby=relay\n");
	cr_expect_not(domains_have_standby(c->domains, STANDBY_DEFER));
	config_unref(&c);
}

/* What cannot be mistaken is taken as it is meant. */
Test(domains, text_of_other_systems)
{
	folder_write(&folder, "crlf", "alice\r\nbob\r\n");
	folder_write(&folder, "mark",
		     "\xef\xbb\xbf"
		     "alice\n\xef\xbb\xbf"
		     "bob\n");
	folder_write(&folder, "nfd", "mu\xcc\x88ller\nbob\nalice\n");
	folder_write(&folder, "nfc", "m\xc3\xbcller\nbob\nalice\n");
	struct config *c = good("\xef\xbb\xbf"
				"a.example recipients=crlf\r\n"
				"b.example recipients=mark\r\n"
				"bu\xcc\x88"
				"cher.example recipients=nfd\n"
				"d.example recipients=nfc\n");
	static const char *const names[] = { "a.example", "b.example",
					     "xn--bcher-kva.example",
					     "d.example" };

	cr_expect_eq(c->doubts.n > 0, true); /* no certificate */
	cr_expect_null(strstr(c->doubts.p, "cut"), "%s", c->doubts.p);
	for (size_t i = 0; i < COUNT(names); i++) {
		cr_expect(has(c, "alice", names[i]), "%s", names[i]);
		cr_expect(has(c, "bob", names[i]), "%s", names[i]);
		/* either way, whichever the file has */
		cr_expect_eq(has(c, "m\xc3\xbcller", names[i]), i > 1);
		cr_expect_eq(has(c, "Mu\xcc\x88ller", names[i]), i > 1);
	}
	config_unref(&c);
}

#define COMPLAINT                                                              \
	"looks like an error page or a message of a program, not like a "      \
	"list: "                                                               \
	"the rest is not read\n"

/* Everything else is shown, at its place. */
Test(domains, text_that_is_not_what_it_seems)
{
	/* clang-format off */
	static const struct { const char *list, *file, *error; } cases[] = {
		{ "a.example recipients=f", "alice\nal\xc2\xad" "ice\n", "f:2: holds U+00AD soft hyphen at column 3\n" },
		{ "a.example recipients=f", "alice\xc2\xa0\n", "f:1: holds U+00A0 no-break space at column 6\n" },
		{ "a.example recipients=f", "  m\xc3\xbc\xe2\x80\x8b@a.example\n", "f:1: holds U+200B zero width space at column 5\n" },
		{ "a.example recipients=f", "alice\rbob\r", "f:1: holds U+000D control character at column 6\n" },
		{ "a.example recipients=f", "alice\nm\xfcller\n", "f:2: holds octet FC, which is no UTF-8, at column 2\n" },
		{ "a.example recipients=f", "\xff\xfe" "alice\n", "f: is UTF-16: save it as UTF-8\n" },
		{ "a.example recipients=f", "<!DOCTYPE html>\n<html>\n<p>x\n", "f:1: expected one address or local part, not \"<!DOCTYPE html>\"\nf:1: " COMPLAINT },
		{ "a.example recipients=f", "{\"error\": 1}\nx y\n", "f:1: expected one address or local part, not \"{\"error\": 1}\"\nf:1: " COMPLAINT },
		{ "a.example recipients=f", "\n404 Not Found\nx y\n", "f:2: expected one address or local part, not \"404 Not Found\"\nf:2: " COMPLAINT },
		{ "a.example recipients=f", "alice\nuser@exam", "f:2: user@exam: no domain that uses this file covers it\n" },
		{ "a\xc2\xad.example recipients=f", "alice\n", "domains:1: holds U+00AD soft hyphen at column 2\n" },
		{ "a.example\xc2\xa0recipients=f", "alice\n", "domains:1: holds U+00A0 no-break space at column 10\n" },
		{ "a.example recipients=f\xe2\x80\x8f", "alice\n", "domains:1: holds U+200F right-to-left mark at column 23\n" },
		{ "\xfe\xff\x01", "", "domains: is UTF-16: save it as UTF-8\n" },
		{ "<html>\nx y z\n", "", "domains:1: <html>: " NAME_WANTED "domains:1: " COMPLAINT },
	};
	/* clang-format on */

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct config_errors errors = { 0 };

		folder_write(&folder, "f", cases[i].file);
		cr_expect_null(load(cases[i].list, &errors), "%s",
			       cases[i].list);
		folder_strip(&folder, &errors.text);
		cr_expect_str_eq(buf_cstr(&errors.text), cases[i].error);
		config_errors_fini(&errors);
	}
}

/* It may have been cut, or its editor writes no last line end. */
Test(domains, files_that_end_in_mid_line)
{
	struct buf doubts = { 0 };

	folder_write(&folder, "f", "alice\nbo");
	struct config *c = good("a.example recipients=f\n"
				"b.example recipients=* primary=192.0.2.1");
	buf_add(&doubts, c->doubts);
	folder_strip(&folder, &doubts);
	cr_expect_not_null(strstr(buf_cstr(&doubts),
				  "\nf:2: ends without a line end: was it cut "
				  "short? Its last line is \"bo\"\n"),
			   "%s", buf_cstr(&doubts));
	cr_expect_not_null(
		strstr(buf_cstr(&doubts),
		       "\ndomains:2: ends without a line end: was it "
		       "cut short? Its last line is \"b.example "
		       "recipients=* primary=192.0.2.1\"\n"),
		"%s", buf_cstr(&doubts));
	buf_fini(&doubts);
	config_unref(&c);
}

/* The line is named, and which file; no table has such lines. */
Test(domains, lines_that_are_far_too_long)
{
	struct config_errors errors = { 0 };
	struct buf text = { 0 };

	buf_adds(&text, "a.example recipients=f\n");
	memset(buf_reserve(&text, 200000), ' ', 200000);
	text.n += 200000;
	folder_write(&folder, "f", buf_cstr(&text));
	buf_adds(&text, "tls=must\n");
	cr_expect_null(load(buf_cstr(&text), &errors));
	folder_strip(&folder, &errors.text);
	cr_expect_str_eq(buf_cstr(&errors.text),
			 "domains:2: cannot be read: a line of more than 128K\n"
			 "f:1: expected one address or local part, not "
			 "\"a.example recipients=f\"\n"
			 "f:2: cannot be read: a line of more than 128K\n");
	config_errors_fini(&errors);
	buf_fini(&text);
}

/* There is room for one file a line: more are refused, not stored. */
Test(domains, one_line_names_many_files)
{
	struct config_errors errors = { 0 };
	struct buf text = { 0 };

	buf_adds(&text, "a.example");
	for (int i = 0; i < 900; i++)
		buf_addf(&text, " recipients=file%d", i);
	folder_write(&folder, "file0", "ann\n");
	cr_expect_null(load(buf_cstr(&text), &errors));
	cr_expect_eq(errors.count, 899);
	config_errors_fini(&errors);
	buf_fini(&text);
}

Test(domains, a_flood_of_faults_is_counted)
{
	struct config_errors errors = { 0 };
	struct buf text = { 0 };

	for (int i = 0; i < 1500; i++)
		buf_addf(&text, "d%d.example\n", i);
	cr_expect_null(load(buf_cstr(&text), &errors));
	cr_expect_eq(errors.count, 1500);
	cr_expect_not_null(strstr(buf_cstr(&errors.text), "d999.example"));
	cr_expect_null(strstr(buf_cstr(&errors.text), "d1000.example"));
	cr_expect_not_null(strstr(buf_cstr(&errors.text), "\nand 500 more\n"));
	config_errors_fini(&errors);
	buf_fini(&text);
}

static bool count_rows(const struct config_domain *row, void *arg)
{
	size_t *count = arg;

	(void)row;
	return ++*count < 20000;
}

/* Beyond one chunk of memory, beyond one buffer of the line reader, and freed
 * on a thread. */
Test(domains, many)
{
	struct buf list = { 0 }, users = { 0 };
	struct config *c;
	size_t rows = 0;
	char name[64];

	for (int i = 0; i < 30000; i++) {
		buf_addf(&list, "d%d.example recipients=shared\n", i);
		buf_addf(&users, "user%d\n", i);
	}
	folder_write(&folder, "shared", buf_cstr(&users));
	c = good(buf_cstr(&list));
	cr_expect_eq(c->domain_count, 30000);
	cr_expect_eq(c->recipient_count, 30000);
	for (int i = 0; i < 30000; i += 7) {
		snprintf(name, sizeof(name), "d%d.example", i);
		char user[32];
		snprintf(user, sizeof(user), "user%d", 29999 - i);
		cr_assert(has(c, user, name), "%s@%s", user, name);
	}
	cr_expect_not(has(c, "user30000", "d1.example"));
	cr_expect_null(row_of(c, "d30000.example"));
	domains_each(c->domains, count_rows, &rows);
	cr_expect_eq(rows, 20000, "stops when told to");
	config_unref(&c);
	cr_expect_null(c);
	buf_fini(&list);
	buf_fini(&users);
}
