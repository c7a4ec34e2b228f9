/* The answer to EHLO: RFC 5321 section 4.1.1.1, RFC 1870, RFC 9422. */
#include "common/smtp/ehlo.h"

#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "common/smtp/extension.h"

static struct smtp_ehlo parse(const char *lines)
{
	struct smtp_reply r = { 0 };
	struct smtp_ehlo e;

	cr_assert_eq(smtp_reply_parse(span_str(lines), &r), MX_OK, "%s", lines);
	smtp_ehlo_parse(&r, &e);
	smtp_reply_fini(&r);
	return e;
}

/* clang-format off */
Test(smtp_ehlo, keywords)
{
	static const struct {
		const char *lines;
		const char *printed;
	} cases[] = {
		{ "250 mx.example\r\n", "" },
		{ "250-mx.example hello\r\n250 PIPELINING\r\n", "PIPELINING" },
		{ "250-mx.example\r\n250-pipelining\r\n250-X-Other\r\n"
		  "250-8bitMIME\r\n250 STARTTLS\r\n",
		  "PIPELINING 8BITMIME STARTTLS" },
		{ "250-x\r\n250-DSN\r\n250-ETRN\r\n250-SMTPUTF8\r\n"
		  "250-CHUNKING\r\n250-ENHANCEDSTATUSCODES\r\n"
		  "250 REQUIRETLS\r\n",
		  "SMTPUTF8 CHUNKING DSN ENHANCEDSTATUSCODES REQUIRETLS ETRN" },
		/* a keyword in the greeting is none */
		{ "250-PIPELINING SIZE\r\n250 DSN\r\n", "DSN" },
		{ "250-x\r\n250-PIPELININGS\r\n250 AUTH PIPELINING\r\n", "" },
		/* RFC 1870 */
		{ "250-x\r\n250 SIZE\r\n", "SIZE" },
		{ "250-x\r\n250 SIZE 0\r\n", "SIZE" },
		{ "250-x\r\n250 size 1000 \r\n", "SIZE=1000" },
		{ "250-x\r\n250 SIZE lots\r\n", "SIZE" },
		{ "250-x\r\n250 SIZE -1\r\n", "SIZE" },
		/* RFC 9422 */
		{ "250-x\r\n250 LIMITS RCPTMAX=20 MAILMAX=5\r\n",
		  "LIMITS MAILMAX=5 RCPTMAX=20" },
		{ "250-x\r\n250 limits RCPTDOMAINMAX=1 rcptmax=20 X=y\r\n",
		  "LIMITS RCPTMAX=20" },
		{ "250-x\r\n250 LIMITS RCPTMAX=0 MAILMAX=05\r\n", "LIMITS" },
		{ "250-x\r\n250 LIMITS RCPTMAX=9999999 MAILMAX\r\n", "LIMITS" },
		{ "250-x\r\n250 LIMITS\r\n", "LIMITS" },
		/* not an answer to EHLO */
		{ "550-x\r\n550 PIPELINING\r\n", "" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct smtp_ehlo e = parse(cases[i].lines);
		struct buf out = { 0 };

		smtp_ehlo_print(&out, &e);
		cr_expect_str_eq(buf_cstr(&out), cases[i].printed, "%s",
				 cases[i].lines);
		buf_fini(&out);
	}
}
/* clang-format on */

Test(smtp_ehlo, host)
{
	char lines[600] = "250 ";
	struct smtp_ehlo e;

	e = parse("250-mx.example at your service\r\n250 DSN\r\n");
	cr_expect_str_eq(e.host, "mx.example");
	e = parse("250\r\n");
	cr_expect_str_eq(e.host, "");
	memset(lines + 4, 'x', 500);
	e = parse(lines);
	cr_expect_eq(strlen(e.host), sizeof(e.host) - 1);
}

/* What we say, to the byte: clients have seen it so since the first release. */
Test(smtp_ehlo, ours)
{
	static const char all[] = "250-mx2.example.net\r\n"
				  "250-PIPELINING\r\n"
				  "250-SIZE 52428800\r\n"
				  "250-STARTTLS\r\n"
				  "250-ETRN\r\n"
				  "250-ENHANCEDSTATUSCODES\r\n"
				  "250-8BITMIME\r\n"
				  "250-DSN\r\n"
				  "250-SMTPUTF8\r\n"
				  "250-REQUIRETLS\r\n"
				  "250-LIMITS RCPTMAX=1000\r\n"
				  "250 CHUNKING\r\n";
	struct smtp_ehlo e = { .offered = smtp_ehlo_ours(),
			       .size = 52428800,
			       .rcpt_max = 1000 },
			 back;
	struct buf out = { 0 };

	smtp_ehlo_write(&out, SPAN_LIT("mx2.example.net"), &e);
	cr_expect_str_eq(buf_cstr(&out), all);
	back = parse(buf_cstr(&out));
	cr_expect_eq(back.offered, e.offered);
	cr_expect_eq(back.size, e.size);
	cr_expect_eq(back.rcpt_max, e.rcpt_max);
	buf_reset(&out);
	e.offered = 0;
	smtp_ehlo_write(&out, SPAN_LIT("mx2.example.net"), &e);
	cr_expect_str_eq(buf_cstr(&out), "250 mx2.example.net\r\n");
	buf_fini(&out);
}

/* Each has a bit and a line of its own. */
Test(smtp_ehlo, rows)
{
	unsigned bits = 0, lines = 0;

	for (size_t i = 0; i < SMTP_EXTENSIONS; i++) {
		const struct smtp_extension *x = &smtp_extensions[i];

		cr_expect_eq(bits & x->bit, 0, "%s", x->keyword);
		cr_expect(x->line == 0 || (lines & 1U << x->line) == 0, "%s",
			  x->keyword);
		cr_expect_leq(x->line, SMTP_EXTENSIONS);
		bits |= x->bit;
		lines |= 1U << x->line;
	}
}
