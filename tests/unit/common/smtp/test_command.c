/* MAIL, RCPT and BDAT: what is taken, and why the rest is not. */
#include "common/smtp/command.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "common/base/assert.h"

#define X10 "xxxxxxxxxx"
#define X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10
#define X500 X100 X100 X100 X100 X100

enum { ALL = (1 << 11) - 1 };

/* clang-format off */
Test(smtp_mail, verdicts)
{
	static const struct {
		const char *line;
		unsigned offered;
		enum smtp_syntax want;
	} cases[] = {
		{ "FROM:<a@b>", 0, SMTP_SYNTAX_OK },
		{ "from:<a@b>", 0, SMTP_SYNTAX_OK },
		{ "FROM:<>", 0, SMTP_SYNTAX_OK },
		{ "FROM: <a@b>", 0, SMTP_SYNTAX_OK },
		{ "FROM:<a@b> ", 0, SMTP_SYNTAX_OK },
		{ "FROM:<a@b>  SIZE=1  BODY=7BIT", ALL, SMTP_SYNTAX_OK },
		{ "", 0, SMTP_SYNTAX_BAD },
		{ "FROM", 0, SMTP_SYNTAX_BAD },
		{ "FROM <a@b>", 0, SMTP_SYNTAX_BAD },
		{ "FROM :<a@b>", 0, SMTP_SYNTAX_BAD },
		{ "TO:<a@b>", 0, SMTP_SYNTAX_BAD },
		{ "FROM:<a@b>SIZE=1", ALL, SMTP_SYNTAX_BAD },
		{ "FROM:<a@b>x", ALL, SMTP_SYNTAX_BAD },
		{ "FROM:", 0, SMTP_SYNTAX_PATH },
		{ "FROM:a@b", 0, SMTP_SYNTAX_OK },
		{ "FROM:\ta@b SIZE=1", ALL, SMTP_SYNTAX_OK },
		{ "FROM: < a@b > SIZE=1", ALL, SMTP_SYNTAX_OK },
		{ "FROM:a@b>", 0, SMTP_SYNTAX_PATH },
		{ "FROM:postmaster", 0, SMTP_SYNTAX_PATH },
		{ "FROM:SIZE=1", ALL, SMTP_SYNTAX_PATH },
		{ "FROM:<a@b", 0, SMTP_SYNTAX_PATH },
		{ "FROM:<a>", 0, SMTP_SYNTAX_PATH },
		{ "FROM:<postmaster>", 0, SMTP_SYNTAX_PATH },
		/* RFC 1870 */
		{ "FROM:<> SIZE=0", ALL, SMTP_SYNTAX_OK },
		{ "FROM:<> size=1000", ALL, SMTP_SYNTAX_OK },
		{ "FROM:<> SIZE=99999999999999999999", ALL, SMTP_SYNTAX_OK },
		{ "FROM:<> SIZE=999999999999999999999", ALL,
		  SMTP_SYNTAX_PARAMETER },
		{ "FROM:<> SIZE", ALL, SMTP_SYNTAX_PARAMETER },
		{ "FROM:<> SIZE=", ALL, SMTP_SYNTAX_PARAMETER },
		{ "FROM:<> SIZE=1k", ALL, SMTP_SYNTAX_PARAMETER },
		{ "FROM:<> SIZE=-1", ALL, SMTP_SYNTAX_PARAMETER },
		{ "FROM:<> SIZE=1 SIZE=1", ALL, SMTP_SYNTAX_PARAMETER },
		{ "FROM:<> SIZE=1", ALL & ~SMTP_EXT_SIZE, SMTP_SYNTAX_UNKNOWN },
		/* RFC 6152, RFC 3030 */
		{ "FROM:<> BODY=8bitmime", ALL, SMTP_SYNTAX_OK },
		{ "FROM:<> BODY=9BIT", ALL, SMTP_SYNTAX_PARAMETER },
		{ "FROM:<> BODY", ALL, SMTP_SYNTAX_PARAMETER },
		{ "FROM:<> BODY=BINARYMIME", ALL, SMTP_SYNTAX_UNKNOWN },
		{ "FROM:<> BODY=7BIT", 0, SMTP_SYNTAX_UNKNOWN },
		/* RFC 3461 sections 4.3 and 4.4 */
		{ "FROM:<> RET=full", ALL, SMTP_SYNTAX_OK },
		{ "FROM:<> RET=NONE", ALL, SMTP_SYNTAX_PARAMETER },
		{ "FROM:<> ENVID=QQ314159", ALL, SMTP_SYNTAX_OK },
		{ "FROM:<> ENVID=a+2Bb+3D+20", ALL, SMTP_SYNTAX_OK },
		{ "FROM:<> ENVID=" X100, ALL, SMTP_SYNTAX_OK },
		{ "FROM:<> ENVID=a ENVID=b", ALL, SMTP_SYNTAX_PARAMETER },
		{ "FROM:<> ENVID=+ ENVID=b", ALL, SMTP_SYNTAX_PARAMETER },
		{ "FROM:<> ENVID=+\tRET=FULL", ALL, SMTP_SYNTAX_PARAMETER },
		{ "FROM:<> ENVID=+ RET=NONE", ALL, SMTP_SYNTAX_PARAMETER },
		{ "FROM:<> ENVID=+", ALL & ~SMTP_EXT_DSN, SMTP_SYNTAX_UNKNOWN },
		{ "FROM:<> RET=FULL", ALL & ~SMTP_EXT_DSN, SMTP_SYNTAX_UNKNOWN },
		/* RFC 6531 */
		{ "FROM:<\xc3\xa4@b> SMTPUTF8", ALL, SMTP_SYNTAX_OK },
		{ "FROM:<\xc3\xa4@b>", ALL, SMTP_SYNTAX_UTF8 },
		{ "FROM:<\xc3\xa4@b>", 0, SMTP_SYNTAX_UTF8 },
		{ "FROM:<a@\xc3\xa4> SIZE=1", ALL, SMTP_SYNTAX_UTF8 },
		{ "FROM:<\xe4@b> SMTPUTF8", ALL, SMTP_SYNTAX_PATH },
		{ "FROM:<a@b> SMTPUTF8=1", ALL, SMTP_SYNTAX_PARAMETER },
		{ "FROM:<a@b> SMTPUTF8", 0, SMTP_SYNTAX_UNKNOWN },
		/* RFC 8689 */
		{ "FROM:<a@b> REQUIRETLS", ALL, SMTP_SYNTAX_OK },
		{ "FROM:<a@b> REQUIRETLS=YES", ALL, SMTP_SYNTAX_PARAMETER },
		{ "FROM:<a@b> REQUIRETLS", ALL & ~SMTP_EXT_REQUIRETLS,
		  SMTP_SYNTAX_UNKNOWN },
		/* others */
		{ "FROM:<a@b> AUTH=<>", ALL, SMTP_SYNTAX_UNKNOWN },
		{ "FROM:<a@b> X-1=y", ALL, SMTP_SYNTAX_UNKNOWN },
		{ "FROM:<a@b> NOTIFY=NEVER", ALL, SMTP_SYNTAX_UNKNOWN },
		{ "FROM:<a@b> =x", ALL, SMTP_SYNTAX_PARAMETER },
		{ "FROM:<a@b> -X=y", ALL, SMTP_SYNTAX_PARAMETER },
		{ "FROM:<a@b> X_Y=z", ALL, SMTP_SYNTAX_PARAMETER },
		{ "FROM:<a@b> SIZE=1\tBODY=7BIT", ALL, SMTP_SYNTAX_PARAMETER },
		{ "FROM:<a@b> <c@d>", ALL, SMTP_SYNTAX_PARAMETER },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct smtp_mail m;

		cr_expect_eq(smtp_mail_parse(span_str(cases[i].line),
					     cases[i].offered, &m),
			     cases[i].want, "%s", cases[i].line);
	}
}

Test(smtp_rcpt, verdicts)
{
	static const struct {
		const char *line;
		unsigned offered;
		enum smtp_syntax want;
	} cases[] = {
		{ "TO:<a@b>", 0, SMTP_SYNTAX_OK },
		{ "to: <a@b>\t", 0, SMTP_SYNTAX_OK },
		{ "TO:<postmaster>", 0, SMTP_SYNTAX_OK },
		{ "TO:<@x,@y:a@b>", 0, SMTP_SYNTAX_OK },
		{ "TO:<>", 0, SMTP_SYNTAX_PATH },
		{ "TO:<a>", 0, SMTP_SYNTAX_PATH },
		{ "TO:a@b", 0, SMTP_SYNTAX_OK },
		{ "TO:postmaster", 0, SMTP_SYNTAX_OK },
		{ "TO:a@b, c@d", ALL, SMTP_SYNTAX_PATH },
		{ "TO:a@b c@d", ALL, SMTP_SYNTAX_PARAMETER },
		{ "FROM:<a@b>", 0, SMTP_SYNTAX_BAD },
		{ "TO:<a@b>,<c@d>", 0, SMTP_SYNTAX_BAD },
		{ "TO:<a@b> SIZE=1", ALL, SMTP_SYNTAX_UNKNOWN },
		{ "TO:<\xc3\xa4@b>", ALL, SMTP_SYNTAX_UTF8 },
		/* RFC 3461 section 4.1 */
		{ "TO:<a@b> NOTIFY=NEVER", ALL, SMTP_SYNTAX_OK },
		{ "TO:<a@b> NOTIFY=success,Failure,DELAY", ALL, SMTP_SYNTAX_OK },
		{ "TO:<a@b> NOTIFY=NEVER,FAILURE", ALL, SMTP_SYNTAX_PARAMETER },
		{ "TO:<a@b> NOTIFY=FAILURE,NEVER", ALL, SMTP_SYNTAX_PARAMETER },
		{ "TO:<a@b> NOTIFY=SUCCESS,", ALL, SMTP_SYNTAX_PARAMETER },
		{ "TO:<a@b> NOTIFY=,SUCCESS", ALL, SMTP_SYNTAX_PARAMETER },
		{ "TO:<a@b> NOTIFY=SOMETIMES", ALL, SMTP_SYNTAX_PARAMETER },
		{ "TO:<a@b> NOTIFY=", ALL, SMTP_SYNTAX_PARAMETER },
		{ "TO:<a@b> NOTIFY", ALL, SMTP_SYNTAX_PARAMETER },
		{ "TO:<a@b> NOTIFY=DELAY NOTIFY=DELAY", ALL,
		  SMTP_SYNTAX_PARAMETER },
		{ "TO:<a@b> NOTIFY=NEVER", 0, SMTP_SYNTAX_UNKNOWN },
		/* RFC 3461 section 4.2 */
		{ "TO:<a@b> ORCPT=rfc822;c@d", ALL, SMTP_SYNTAX_OK },
		{ "TO:<a@b> ORCPT=rfc822;c+2Bx@d", ALL, SMTP_SYNTAX_OK },
		{ "TO:<a@b> ORCPT=x-1;" X100 X100 X100 X100 X10 X10 X10 X10 X10
		  X10 X10 X10 X10 "xxxxx", ALL, SMTP_SYNTAX_OK },
		/* RFC 6533 section 3 */
		{ "TO:<a@b> ORCPT=utf-8;a\\x{E4}@b", ALL, SMTP_SYNTAX_OK },
		{ "TO:<a@b> ORCPT=UTF-8;\\x{10FFFF}\\x{2B}", ALL,
		  SMTP_SYNTAX_OK },
		/* dropped, but not twice and not with a tab */
		{ "TO:<a@b> ORCPT=+ ORCPT=rfc822;c@d", ALL,
		  SMTP_SYNTAX_PARAMETER },
		{ "TO:<a@b> ORCPT=rfc822;c\tNOTIFY=NEVER", ALL,
		  SMTP_SYNTAX_PARAMETER },
		{ "TO:<a@b> ORCPT=rfc822;c d", ALL, SMTP_SYNTAX_UNKNOWN },
		{ "TO:<a@b> ORCPT=+ NOTIFY=", ALL, SMTP_SYNTAX_PARAMETER },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct smtp_rcpt r;

		cr_expect_eq(smtp_rcpt_parse(span_str(cases[i].line),
					     cases[i].offered, false, &r),
			     cases[i].want, "%s", cases[i].line);
	}
}
/* clang-format on */

/* RFC 3461 sections 4.2 and 4.4: what only names things in a report is as if
 * it were not there when it is not quite right; the rest of the line counts. */
Test(smtp_mail, a_wrong_envid_is_dropped)
{
	static const char *const cases[] = {
		"ENVID=x" X100,     "ENVID=",	"ENVID",
		"ENVID=a+2b",	    "ENVID=a+2", "ENVID=a+0D+0AX:",
		"ENVID=a+FF",	    "ENVID=a=b", "ENVID=\xc3\xa4",
		"ENVID=<a+b@c.de>", "ENVID=\xff",
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct smtp_mail m;
		struct buf line = { 0 };

		buf_addf(&line, "FROM:<a@b> %s RET=HDRS", cases[i]);
		cr_expect_eq(smtp_mail_parse(buf_span(&line), ALL, &m),
			     SMTP_SYNTAX_OK, "%s", cases[i]);
		cr_expect_eq(m.envid.n, 0, "%s", cases[i]);
		cr_expect_eq(m.ret, SMTP_RET_HDRS, "%s", cases[i]);
		buf_fini(&line);
	}
}

Test(smtp_rcpt, a_wrong_orcpt_is_dropped)
{
	static const char *const cases[] = {
		"ORCPT=x-1;" X500,
		"ORCPT",
		"ORCPT=",
		"ORCPT=a@b",
		"ORCPT=rfc822",
		"ORCPT=rfc822;",
		"ORCPT=;c@d",
		"ORCPT=r.f;c@d",
		"ORCPT=rfc822;c+x",
		"ORCPT=rfc822;c+0Dd",
		"ORCPT=rfc822;c=d@e",
		"ORCPT=rfc822;\xc3\xa4",
		/* RFC 6533 section 3 */
		"ORCPT=utf-8;a\\x{e4}",
		"ORCPT=utf-8;a\\x{E",
		"ORCPT=utf-8;a\\xE4",
		"ORCPT=utf-8;a+2B",
		"ORCPT=utf-8;\xc3\xa4",
		"ORCPT=utf-8;\xff",
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct smtp_rcpt r;
		struct buf line = { 0 };

		buf_addf(&line, "TO:<a@b> %s NOTIFY=NEVER", cases[i]);
		cr_expect_eq(smtp_rcpt_parse(buf_span(&line), ALL, false, &r),
			     SMTP_SYNTAX_OK, "%s", cases[i]);
		cr_expect_eq(r.orcpt.n, 0, "%s", cases[i]);
		cr_expect_eq(r.notify, SMTP_NOTIFY_NEVER, "%s", cases[i]);
		buf_fini(&line);
	}
}

Test(smtp_mail, values)
{
	struct smtp_mail m;

	cr_assert_eq(
		smtp_mail_parse(SPAN_LIT("FROM:<\"a b\"@c.example> SIZE=17 "
					 "BODY=8BITMIME RET=HDRS ENVID=a+20 "
					 "SMTPUTF8 REQUIRETLS"),
				ALL, &m),
		SMTP_SYNTAX_OK);
	cr_expect(span_eq(m.from.mailbox, SPAN_LIT("\"a b\"@c.example")));
	cr_expect(m.has_size);
	cr_expect_eq(m.size, 17);
	cr_expect_eq(m.body, SMTP_BODY_8BITMIME);
	cr_expect_eq(m.ret, SMTP_RET_HDRS);
	cr_expect(span_eq(m.envid, SPAN_LIT("a+20")));
	cr_expect(m.smtputf8);
	cr_expect(m.requiretls);
	cr_assert_eq(smtp_mail_parse(SPAN_LIT("FROM:<>"), ALL, &m),
		     SMTP_SYNTAX_OK);
	cr_expect_eq(m.from.mailbox.n, 0);
	cr_expect_not(m.has_size);
	cr_expect_eq(m.body, SMTP_BODY_NONE);
	cr_expect_eq(m.envid.n, 0);
}

/* More than 64 bits is too much for anyone, not a small number. */
Test(smtp_mail, size_saturates)
{
	struct smtp_mail m;

	cr_assert_eq(
		smtp_mail_parse(SPAN_LIT("FROM:<> SIZE=99999999999999999999"),
				ALL, &m),
		SMTP_SYNTAX_OK);
	cr_expect_eq(m.size, UINT64_MAX);
}

Test(smtp_rcpt, values)
{
	struct smtp_rcpt r;

	cr_assert_eq(smtp_rcpt_parse(SPAN_LIT("TO:<\xc3\xa4@b> "
					      "NOTIFY=SUCCESS,DELAY "
					      "ORCPT=utf-8;\xc3\xa4@b"),
				     ALL, true, &r),
		     SMTP_SYNTAX_OK);
	cr_expect(r.to.is_utf8);
	cr_expect_eq(r.notify, SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_DELAY);
	cr_expect(span_eq(r.orcpt, SPAN_LIT("utf-8;\xc3\xa4@b")));
}

/* RFC 3030 section 2. */
Test(smtp_bdat, arguments)
{
	static const struct {
		const char *line;
		bool ok, last;
		uint64_t size;
	} cases[] = {
		{ "1000", true, false, 1000 },
		{ "1000 LAST", true, true, 1000 },
		{ "0 last", true, true, 0 },
		{ "1000 ", true, false, 1000 },
		{ "18446744073709551615", true, false, UINT64_MAX },
		{ "18446744073709551616", false, false, 0 },
		{ "", false, false, 0 },
		{ "LAST", false, false, 0 },
		{ "1000LAST", false, false, 0 },
		{ "1000 LAST LAST", false, false, 0 },
		{ "1000 FIRST", false, false, 0 },
		{ "-1", false, false, 0 },
		{ "0x10", false, false, 0 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		uint64_t size = 0;
		bool last;

		cr_expect_eq(
			smtp_bdat_parse(span_str(cases[i].line), &size, &last),
			cases[i].ok ? SMTP_SYNTAX_OK : SMTP_SYNTAX_BAD, "%s",
			cases[i].line);
		cr_expect_eq(size, cases[i].size, "%s", cases[i].line);
		if (cases[i].ok)
			cr_expect_eq(last, cases[i].last, "%s", cases[i].line);
	}
}

/* RFC 3461 section 4. */
Test(smtp_xtext, every_octet_has_a_code)
{
	struct buf text = { 0 };

	for (int i = 0; i < 256; i++) {
		char code[4], octet = (char)i;

		snprintf(code, sizeof(code), "+%02X", (unsigned)i);
		buf_reset(&text);
		cr_assert(smtp_xtext_decode(&text, span_str(code)), "%s", code);
		cr_expect(span_eq(buf_span(&text), span_of(&octet, 1)));
	}
	buf_reset(&text);
	cr_assert(smtp_xtext_decode(&text, SPAN_LIT("a+2Bb+3Dc+20d")));
	cr_expect_str_eq(buf_cstr(&text), "a+b=c d");
	buf_fini(&text);
}

Test(smtp_xtext, refuses)
{
	static const char *const cases[] = {
		"+",	"a+",  "+4",  "+4g",  "+4G",	  "+2b",
		"++41", "a=b", "a b", "\x7f", "\xc3\xa4",
	};
	struct buf out = { 0 };

	buf_adds(&out, "kept");
	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_not(smtp_xtext_decode(&out, span_str(cases[i])), "%s",
			      cases[i]);
	cr_expect_str_eq(buf_cstr(&out), "kept");
	buf_fini(&out);
}
