/* The lines of a transaction: parameters only where they are offered. */
#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "daemon/delivery/command.h"

static const struct envelope plain = { .from = { "a@b.example", 11 },
				       .bytes = 1234 };
static const struct envelope rich = {
	.from = { "a@b.example", 11 },
	.bytes = 1234,
	.envid = { "x+2By", 5 },
	.body = SMTP_BODY_8BITMIME,
	.ret = SMTP_RET_HDRS,
	.smtputf8 = true,
	.requiretls = true,
};
/* a report on a message that asked for REQUIRETLS */
static const struct envelope secret = { .bytes = 9,
					.requiretls = true,
					.is_dsn = true };
static const struct envelope cousin = {
	.from = { "A@b\xc3\xbc"
		  "cher.example",
		  17 },
	.bytes = 9,
	.smtputf8 = true,
};
static const struct envelope foreign = {
	.from = { "\xc3\xbc@b.example", 12 },
	.bytes = 9,
	.smtputf8 = true,
};
static const struct envelope bounce = { .bytes = 9, .is_dsn = true };

enum {
	ALL = SMTP_EXT_SIZE | SMTP_EXT_8BITMIME | SMTP_EXT_SMTPUTF8 |
	      SMTP_EXT_DSN | SMTP_EXT_REQUIRETLS
};

Test(command, mail)
{
	static const struct {
		const struct envelope *env;
		unsigned offered;
		const char *expected;
	} cases[] = {
		{ &plain, 0, "MAIL FROM:<a@b.example>\r\n" },
		{ &plain, ALL, "MAIL FROM:<a@b.example> SIZE=1234\r\n" },
		{ &rich, 0, "MAIL FROM:<a@b.example>\r\n" },
		{ &rich, ALL,
		  "MAIL FROM:<a@b.example> SIZE=1234 BODY=8BITMIME SMTPUTF8 "
		  "RET=HDRS ENVID=x+2By REQUIRETLS\r\n" },
		{ &bounce, ALL, "MAIL FROM:<> SIZE=9\r\n" },
		/* RFC 8689 section 5: taken along where it is offered */
		{ &secret, ALL, "MAIL FROM:<> SIZE=9 REQUIRETLS\r\n" },
		{ &secret, 0, "MAIL FROM:<>\r\n" },
		/* RFC 6531 section 3.2: A-labels where they suffice */
		{ &cousin, 0, "MAIL FROM:<A@xn--bcher-kva.example>\r\n" },
		{ &cousin, SMTP_EXT_SMTPUTF8,
		  "MAIL FROM:<A@b\xc3\xbc"
		  "cher.example> SMTPUTF8\r\n" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct smtp_ehlo ehlo = { .offered = cases[i].offered };
		struct buf out = { 0 };

		command_mail(&out, cases[i].env, ehlo.offered);
		cr_expect_str_eq(buf_cstr(&out), cases[i].expected);
		buf_fini(&out);
	}
}

Test(command, rcpt)
{
	static const struct recipient bare = {
		.path = { "u@c.example", 11 },
		.domain = { "c.example", 9 },
	};
	static const struct recipient full = {
		.path = { "u@c.example", 11 },
		.domain = { "c.example", 9 },
		.orcpt = { "rfc822;o@d", 10 },
		.notify = SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_DELAY,
	};
	/* a foreign domain has an ASCII form; a foreign local part has none */
	static const struct recipient idn = {
		.path = { "u@b\xc3\xbc"
			  "cher.example",
			  17 },
		.domain = { "xn--bcher-kva.example", 21 },
	};
	/* RFC 6533 section 3: ORCPT in UTF-8 needs SMTPUTF8, or its other form
	 */
	static const struct recipient utf8 = {
		.path = { "u@c.example", 11 },
		.domain = { "c.example", 9 },
		.orcpt = { "utf-8;j\xc3\xa9\xe2\x82\xac\xf0\x9f\x93\xa7@d", 18 },
	};
	static const struct {
		const struct recipient *rcpt;
		unsigned offered;
		const char *expected;
	} cases[] = {
		{ &utf8, ALL,
		  "RCPT TO:<u@c.example> "
		  "ORCPT=utf-8;j\xc3\xa9\xe2\x82\xac\xf0\x9f\x93\xa7@d\r\n" },
		{ &utf8, ALL & ~SMTP_EXT_SMTPUTF8,
		  "RCPT TO:<u@c.example> "
		  "ORCPT=utf-8;j\\x{E9}\\x{20AC}\\x{1F4E7}@d\r\n" },
		{ &utf8, 0, "RCPT TO:<u@c.example>\r\n" },
		{ &bare, ALL, "RCPT TO:<u@c.example>\r\n" },
		{ &full, 0, "RCPT TO:<u@c.example>\r\n" },
		{ &full, ALL,
		  "RCPT TO:<u@c.example> NOTIFY=FAILURE,DELAY "
		  "ORCPT=rfc822;o@d\r\n" },
		{ &idn, 0, "RCPT TO:<u@xn--bcher-kva.example>\r\n" },
		{ &idn, ALL,
		  "RCPT TO:<u@b\xc3\xbc"
		  "cher.example>\r\n" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct smtp_ehlo ehlo = { .offered = cases[i].offered };
		struct buf out = { 0 };

		command_rcpt(&out, cases[i].rcpt, ehlo.offered);
		cr_expect_str_eq(buf_cstr(&out), cases[i].expected);
		buf_fini(&out);
	}
}

/* RFC 3461 section 4.2 has 500 octets for it: more is not said. */
Test(command, a_long_orcpt_has_no_ascii_form)
{
	char orcpt[6 + 2 * 90] = "utf-8;";
	const struct recipient rcpt = {
		.path = { "u@c.example", 11 },
		.domain = { "c.example", 9 },
		.orcpt = { orcpt, sizeof(orcpt) },
		.notify = SMTP_NOTIFY_NEVER,
	};
	struct buf out = { 0 };

	for (size_t i = 6; i < sizeof(orcpt); i += 2)
		memcpy(orcpt + i, "\xc3\xa9", 2);
	command_rcpt(&out, &rcpt, SMTP_EXT_DSN);
	cr_expect_str_eq(buf_cstr(&out),
			 "RCPT TO:<u@c.example> NOTIFY=NEVER\r\n");
	buf_fini(&out);
}

/* What a server may refuse without refusing the mail. */
Test(command, options_of_mail)
{
	cr_expect_eq(command_mail_options(&plain), SMTP_EXT_SIZE);
	cr_expect_eq(command_mail_options(&rich),
		     SMTP_EXT_SIZE | SMTP_EXT_8BITMIME | SMTP_EXT_DSN);
	cr_expect_eq(command_mail_options(&secret),
		     SMTP_EXT_SIZE | SMTP_EXT_REQUIRETLS);
}

Test(command, obstacles)
{
	static const struct recipient rcpt = {
		.path = { "u@c.example", 11 },
		.domain = { "c.example", 9 },
	};
	static const struct envelope large = { .bytes = 65537 };
	static const struct recipient utf8 = {
		.path = { "\xc3\xbc@c.example", 12 },
		.domain = { "c.example", 9 },
	};
	static const struct {
		const struct envelope *env;
		const struct recipient *rcpt;
		unsigned offered;
		uint64_t size;
		bool is_verified;
		const char *expected; /* the code; NULL: none */
	} cases[] = {
		{ &plain, &rcpt, ALL, 0, false, NULL },
		{ &plain, &rcpt, ALL, 1233, false, NULL }, /* absurd */
		{ &large, &rcpt, ALL, 65536, false, "5.3.4" },
		{ &large, &rcpt, ALL, 65537, false, NULL },
		{ &large, &rcpt, ALL, 65535, false, NULL }, /* absurd */
		{ &plain, &utf8, ALL, 0, false, NULL },
		{ &plain, &utf8, 0, 0, false, "5.6.7" },
		{ &rich, &rcpt, ALL, 0, true, NULL },
		{ &rich, &rcpt, ALL, 0, false, "5.7.10" },
		{ &rich, &rcpt, 0, 0, true, "5.7.30" },
		/* a report is not lost for it */
		{ &secret, &rcpt, ALL, 0, false, NULL },
		{ &secret, &rcpt, 0, 0, false, NULL },
		/* SMTPUTF8 of the sender's alone asks for nothing */
		{ &cousin, &rcpt, 0, 0, false, NULL },
		{ &foreign, &rcpt, ALL, 0, false, NULL },
		{ &foreign, &rcpt, 0, 0, false, "5.6.7" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct smtp_ehlo ehlo = { .offered = cases[i].offered,
					  .size = cases[i].size };
		const char *got = command_obstacle(cases[i].env, cases[i].rcpt,
						   &ehlo, cases[i].is_verified);

		if (cases[i].expected == NULL)
			cr_expect_null(got, "%zu: %s", i, got);
		else
			cr_expect(got != NULL &&
					  strstr(got, cases[i].expected) !=
						  NULL,
				  "%zu: %s", i, got != NULL ? got : "none");
	}
}
