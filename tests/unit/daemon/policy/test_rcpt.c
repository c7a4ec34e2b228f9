/* Which recipients are ours. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "daemon/policy/policy.h"

static char dir[] = "/tmp/mx20-policy-XXXXXX";

static void put_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	cr_assert_not_null(f);
	fputs(text, f);
	fclose(f);
}

static struct config *load(const char *conf, const char *domains)
{
	struct config_errors errors = { 0 };
	char path[128], text[1000];
	struct config *c;

	if (access(dir, F_OK) != 0)
		cr_assert_not_null(mkdtemp(dir));
	snprintf(text, sizeof(text),
		 "hostname = \"mx2.example.net\"; domains = \"domains\";\n%s",
		 conf);
	put_file("mx20.conf", text);
	put_file("domains", domains);
	put_file("users", "user\n");
	put_file("routed", "user\nfax%gate.test\n");
	snprintf(path, sizeof(path), "%s/mx20.conf", dir);
	c = config_load(path, &errors);
	cr_assert_not_null(c, "%.*s", SPAN_ARG(buf_span(&errors.text)));
	config_errors_fini(&errors);
	return c;
}

static void tidy(void)
{
	char rm[64];

	snprintf(rm, sizeof(rm), "rm -rf %s", dir);
	cr_expect_eq(system(rm), 0);
}

TestSuite(policy_rcpt, .fini = tidy);

static struct {
	size_t all;
	const char *name; /* NULL: none */
} there;

static bool is_there(struct span domain, size_t *all, void *arg)
{
	(void)arg;
	*all = there.all;
	return there.name != NULL && span_eq(domain, span_str(there.name));
}

/* "550 5.1.1 unknown_recipient", or "path domain" when it may come in. */
static const char *ask(struct config *c, const char *path)
{
	static char out[700];
	struct policy *p = policy_new(
		&(struct policy_options){ .is_there = is_there }, c);
	struct gate_rcpt r = { 0 };
	struct span in = span_str(path);
	struct smtp_path to;
	struct net_addr client = { .family = AF_INET };
	struct gate_visit visit = { 0 };
	struct gate_question q = { .moment = GATE_RCPT,
				   .config = c,
				   .client = &client,
				   .visit = &visit,
				   .to = &to,
				   .rcpt = &r };
	struct verdict v;

	cr_assert_eq(smtp_path_parse(&in, true, &to), MX_OK, "%s", path);
	cr_assert(gate_ask(policy_gate(p), &q, &v));
	if (v.code != 0)
		snprintf(out, sizeof(out), "%d %s %s", v.code, v.enhanced,
			 v.reason);
	else
		snprintf(out, sizeof(out), "%.*s %.*s",
			 SPAN_ARG(buf_span(&r.path)),
			 SPAN_ARG(buf_span(&r.domain)));
	gate_rcpt_fini(&r);
	policy_free(&p);
	return out;
}

static void expect_answer(struct config *c, const char *path,
			  const char *answer)
{
	const char *got = ask(c, path);

	cr_expect_str_eq(got, answer, "%s -> %s", path, got);
}

Test(policy_rcpt, verdicts)
{
	static const struct {
		const char *path, *answer;
	} cases[] = {
		{ "<user@example.com>", "user@example.com example.com" },
		{ "<User@EXAMPLE.com>", "User@EXAMPLE.com example.com" },
		{ "<\"us\\er\"@example.com>",
		  "\"us\\er\"@example.com example.com" },
		{ "<@a.test,@b.test:user@example.com>",
		  "user@example.com example.com" },
		{ "<nobody@example.com>", "550 5.1.1 unknown_recipient" },
		{ "<\"user@example.com\"@elsewhere.test>",
		  "550 5.7.1 foreign_domain" },
		{ "<user@elsewhere.test>", "550 5.7.1 foreign_domain" },
		{ "<user@mx2.example.net>", "550 5.7.1 foreign_domain" },
		/* a subdomain is not covered by its parent, and the reverse */
		{ "<user@sub.example.com>", "550 5.7.1 foreign_domain" },
		{ "<user@a.b.wild.test>", "user@a.b.wild.test a.b.wild.test" },
		{ "<user@wild.test>", "550 5.7.1 foreign_domain" },
		{ "<any.one@any.test>", "any.one@any.test any.test" },
		/* an address literal is foreign, be it our own */
		{ "<user@[127.0.0.1]>", "550 5.7.1 address_literal" },
		{ "<postmaster@[127.0.0.1]>", "550 5.7.1 address_literal" },
		{ "<>", "501 5.1.3 empty_recipient" },
		/* U-labels are their A-labels */
		{ "<user@b\xc3\xbc"
		  "cher.test>",
		  "user@b\xc3\xbc"
		  "cher.test xn--bcher-kva.test" },
		{ "<user@XN--BCHER-KVA.test>",
		  "user@XN--BCHER-KVA.test xn--bcher-kva.test" },
		/* RFC 5321 section 4.5.1 */
		{ "<postmaster@example.com>",
		  "postmaster@example.com example.com" },
		{ "<PostMaster@a.wild.test>",
		  "PostMaster@a.wild.test a.wild.test" },
		{ "<postmaster@elsewhere.test>", "550 5.7.1 foreign_domain" },
	};
	struct config *c = load("", "example.com recipients=users\n"
				    "*.wild.test recipients=users\n"
				    "any.test recipients=*\n"
				    "b\xc3\xbc"
				    "cher.test recipients=users\n");

	for (size_t i = 0; i < COUNT(cases); i++)
		expect_answer(c, cases[i].path, cases[i].answer);
	config_unref(&c);
}

/* A primary that trusts us may follow a local part to another server. */
Test(policy_rcpt, nobody_is_routed_through_a_primary)
{
	static const struct {
		const char *path, *answer;
	} cases[] = {
		{ "<u%other.test@any.test>", "550 5.7.1 routed_recipient" },
		{ "<other.test!u@any.test>", "550 5.7.1 routed_recipient" },
		{ "<\"u@other.test\"@any.test>", "550 5.7.1 routed_recipient" },
		{ "<\"u@oth\\er.test\"@any.test>",
		  "550 5.7.1 routed_recipient" },
		{ "<\"u@[192.0.2.1]\"@any.test>",
		  "550 5.7.1 routed_recipient" },
		{ "<u%host@any.test>", "u%host@any.test any.test" },
		/* a tag makes no one of whom it lists */
		{ "<user+a%b@example.com>",
		  "user+a%b@example.com example.com" },
		{ "<user+a%other.test@example.com>",
		  "550 5.7.1 routed_recipient" },
		/* somebody wrote these down */
		{ "<Fax%gate.test@example.com>",
		  "Fax%gate.test@example.com example.com" },
		{ "<fax%other.test@example.com>",
		  "550 5.1.1 unknown_recipient" },
	};
	struct config *c = load(
		"", "any.test recipients=*\n"
		    "example.com recipients=routed delimiter=+\n");

	for (size_t i = 0; i < COUNT(cases); i++)
		expect_answer(c, cases[i].path, cases[i].answer);
	config_unref(&c);
}

/* What anybody makes up below a star is bounded, and takes nobody's place. */
Test(policy_rcpt, so_many_subdomains_at_a_time)
{
	static const struct {
		const char *path;
		size_t all;
		const char *answer;
	} cases[] = {
		{ "<user@a.wild.test>", 250001, "user@a.wild.test a.wild.test" },
		{ "<user@a.wild.test>", 250002, "452 4.3.1 subdomains" },
		{ "<postmaster@a.wild.test>", 250002, "452 4.3.1 subdomains" },
		{ "<user@b.wild.test>", 250002, "user@b.wild.test b.wild.test" },
		{ "<user@example.com>", 250002,
		  "user@example.com example.com" },
		{ "<nobody@a.wild.test>", 250002,
		  "550 5.1.1 unknown_recipient" },
	};
	struct config *c = load("", "example.com recipients=users\n"
				    "*.wild.test recipients=users\n");

	there.name = "b.wild.test";
	for (size_t i = 0; i < COUNT(cases); i++) {
		there.all = cases[i].all;
		expect_answer(c, cases[i].path, cases[i].answer);
	}
	config_unref(&c);
}

/* What was never fetched refuses nobody for good. */
Test(policy_rcpt, who_is_unknown_hears_what_the_line_says)
{
	static const struct {
		const char *path, *answer;
	} cases[] = {
		{ "<who@defer.test>", "451 4.4.1 unknown_in_outage" },
		{ "<who@accept.test>", "who@accept.test accept.test" },
		{ "<who@reject.test>", "550 5.1.1 unknown_recipient" },
		{ "<user@reject.test>", "user@reject.test reject.test" },
		{ "<postmaster@reject.test>",
		  "postmaster@reject.test reject.test" },
		{ "<who@url.test>", "451 4.4.1 unknown_yet" },
		{ "<user@url.test>", "user@url.test url.test" },
	};
	struct config *c =
		load("", "defer.test recipients=users,verify\n"
			 "accept.test recipients=users,verify unknown=accept\n"
			 "reject.test recipients=users,verify unknown=reject\n"
			 "url.test recipients=users,https://t.test/ "
			 "unknown=reject\n");

	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_str_eq(ask(c, cases[i].path), cases[i].answer,
				 "%s", cases[i].path);
	config_unref(&c);
}

Test(policy_rcpt, postmaster_of_this_host)
{
	static const struct {
		const char *conf, *domains, *answer;
	} cases[] = {
		{ "postmaster = \"root@away.test\";",
		  "example.com recipients=users\n",
		  "root@away.test away.test" },
		{ "postmaster = \"Boss@Example.com\";",
		  "example.com recipients=users\n",
		  "Boss@Example.com example.com" },
		/* the domain the host lies in, else any */
		{ "",
		  "a.test recipients=*\nexample.net recipients=*\n"
		  "b.test recipients=*\n",
		  "postmaster@example.net example.net" },
		{ "", "only.test recipients=users\n",
		  "postmaster@only.test only.test" },
		{ "", "*.wild.test recipients=*\nonly.test recipients=users\n",
		  "postmaster@only.test only.test" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct config *c = load(cases[i].conf, cases[i].domains);

		cr_expect_str_eq(ask(c, "<postmaster>"), cases[i].answer,
				 "case %zu: %s", i, ask(c, "<postmaster>"));
		cr_expect_str_eq(ask(c, "<POSTMASTER@mx2.Example.NET>"),
				 cases[i].answer, "case %zu", i);
		config_unref(&c);
	}
}
