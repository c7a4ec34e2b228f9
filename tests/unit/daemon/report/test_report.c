/* The report's structure, whatever the peers say. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/report/report_priv.h"

static const char original[] = "Received: from client by mx2.test; today\r\n"
			       "Message-ID: <m1@sender.test>\r\n"
			       "Subject: hello\r\n"
			       "\r\n"
			       "the body\r\n";

static struct recipient rcpt = {
	.path = { "bob@example.com", 15 },
	.domain = { "example.com", 11 },
};

static struct report_rcpt failed = {
	.rcpt = &rcpt,
	.action = REPORT_FAILED,
	.status = { "5.1.1", 5 },
	.reply = { "550 5.1.1 no such user", 22 },
	.host = { "mx.example.com[192.0.2.1]:25", 28 },
	.attempt_ms = 1700000000000,
};

static struct envelope env = {
	.id = 77,
	.arrived_ms = 1700000000000,
	.from = { "alice@sender.test", 17 },
};

static struct report report(void)
{
	return (struct report){
		.hostname = SPAN_LIT("mx2.test"),
		.id = 78,
		.nonce = 0x1234,
		.now_ms = 1700000000000,
		.env = &env,
		.domain = SPAN_LIT("example.com"),
		.rcpts = &failed,
		.count = 1,
		.original = span_str(original),
		.original_is_whole = true,
	};
}

static struct report_needs needs;
static struct buf text;

static const char *built(const struct report *r)
{
	buf_reset(&text);
	report_build(r, &text, &needs);
	return buf_cstr(&text);
}

#define HAS(what)                                                              \
	cr_expect_not_null(strstr(text.p, what), "no <%s> in:\n%s", what,      \
			   text.p)
#define HAS_NOT(what)                                                          \
	cr_expect_null(strstr(text.p, what), "<%s> in:\n%s", what, text.p)

/* RFC 5322 section 2.1.1, and the one line ending there is. */
static void check_lines(void)
{
	size_t start = 0;

	for (size_t i = 0; i < text.n; i++) {
		cr_assert_neq(text.p[i], '\0');
		if (text.p[i] == '\r')
			cr_assert(i + 1 < text.n && text.p[i + 1] == '\n');
		if (text.p[i] != '\n')
			continue;
		cr_assert(i > 0 && text.p[i - 1] == '\r');
		cr_assert_leq(i - 1 - start, 998);
		start = i + 1;
	}
	cr_assert_eq(start, text.n);
}

/* Sentences, however they were wrapped. */
static void unwrap(void)
{
	for (char *p = text.p; (p = strstr(p, "\r\n")) != NULL;) {
		memmove(p, p + 1, strlen(p));
		*p = ' ';
	}
}

static size_t occurrences(const char *what)
{
	size_t n = 0;

	for (const char *p = text.p; (p = strstr(p, what)) != NULL; p++)
		n++;
	return n;
}

/* RFC 6522 section 3, RFC 3464 section 2: the parts and their fields. */
Test(report, failure_has_three_parts)
{
	struct report r = report();

	built(&r);
	check_lines();
	HAS("From: \"Mail Delivery System (mx2.test)\"\r\n"
	    " <MAILER-DAEMON@mx2.test>\r\n");
	HAS("\r\nTo: <alice@sender.test>\r\n");
	HAS("\r\nAuto-Submitted: auto-replied\r\n");
	HAS("\r\nMIME-Version: 1.0\r\n");
	HAS("\r\nReferences: <m1@sender.test>\r\n");
	HAS("Content-Type: multipart/report; report-type=delivery-status;");
	HAS("\r\nContent-Type: text/plain; charset=us-ascii\r\n");
	HAS("\r\nContent-Type: message/delivery-status\r\n");
	HAS("\r\nReporting-MTA: dns; mx2.test\r\n");
	HAS("\r\nX-Mx20-Queue-Id: 000000000002D\r\n");
	HAS("\r\n\r\nFinal-Recipient: rfc822; bob@example.com\r\n"
	    "Action: failed\r\n"
	    "Status: 5.1.1\r\n"
	    "Remote-MTA: dns; mx.example.com\r\n"
	    "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n"
	    "Last-Attempt-Date: ");
	HAS("\r\nContent-Type: text/rfc822-headers\r\n");
	HAS("\r\nSubject: hello\r\n");
	HAS_NOT("the body");
	HAS_NOT("Original-Envelope-Id");
	HAS_NOT("Will-Retry-Until");
	cr_expect_not(needs.is_8bit);
	cr_expect_not(needs.is_smtputf8);
}

Test(report, says_to_people_what_happened_and_what_to_do)
{
	struct report r = report();

	built(&r);
	HAS("backup MX");
	HAS("could not be delivered to:\r\n\r\n  <bob@example.com>\r\n"
	    "    mx.example.com answered:\r\n"
	    "    550 5.1.1 no such user\r\n");
	HAS("check the address");
}

/* RFC 3461 section 6.3: ENVID and ORCPT come back decoded. */
Test(report, decodes_what_the_client_encoded)
{
	struct report r = report();
	struct envelope e = env;
	struct recipient to = rcpt;
	struct report_rcpt d = failed;

	e.envid = SPAN_LIT("a+2Bb+3Dc");
	to.orcpt = SPAN_LIT("rfc822;Bob+2Bx@example.com");
	d.rcpt = &to;
	r.env = &e;
	r.rcpts = &d;
	built(&r);
	HAS("\r\nOriginal-Envelope-Id: a+b=c\r\n");
	HAS("\r\nOriginal-Recipient: rfc822;Bob+x@example.com\r\n");
}

/* RFC 6533 section 3: as it came where the report is one in UTF-8, else in
 * ASCII. */
Test(report, names_the_original_recipient_in_either_form)
{
	struct report r = report();
	struct envelope e = env;
	struct recipient to = rcpt;
	struct report_rcpt d = failed;

	to.orcpt = SPAN_LIT("utf-8;j\xc3\xb6rg@example.com");
	d.rcpt = &to;
	e.smtputf8 = true;
	r.env = &e;
	r.rcpts = &d;
	built(&r);
	HAS("\r\nOriginal-Recipient: utf-8;j\\x{F6}rg@example.com\r\n");
	cr_expect_not(needs.is_8bit);
	e.from = SPAN_LIT("\xc3\xa9@sender.example");
	built(&r);
	HAS("\r\nOriginal-Recipient: utf-8;j\xc3\xb6rg@example.com\r\n");
	cr_expect(needs.is_8bit);
}

/* xtext can encode CR LF: it must not become a field of its own. */
Test(report, encoded_line_ends_break_nothing)
{
	struct report r = report();
	struct envelope e = env;

	e.envid = SPAN_LIT("x+0D+0AAction:+20relayed");
	r.env = &e;
	built(&r);
	check_lines();
	HAS("\r\nOriginal-Envelope-Id: x??Action: relayed\r\n");
	cr_expect_eq(occurrences("\r\nAction: "), 1);
}

Test(report, a_hostile_reply_stays_inside_its_field)
{
	static const char evil[] = "550 a\r\n\r\n--=_mx20\r\nStatus: 2.0.0\r\n"
				   "\n\n\001\177\377 ";
	char huge[8192];
	struct report r = report();
	struct report_rcpt d[2] = { failed, failed };

	memset(huge, 'x', sizeof(huge));
	d[0].reply = (struct span){ evil, sizeof(evil) };
	d[1].reply = (struct span){ huge, sizeof(huge) };
	r.rcpts = d;
	r.count = 2;
	built(&r);
	check_lines();
	cr_expect_eq(occurrences("\r\nStatus: "), 2);
	HAS("550 a --=_mx20 Status: 2.0.0 ???");
	cr_expect_not(needs.is_8bit);
}

Test(report, the_boundary_is_in_no_part)
{
	struct report r = report();
	char body[256];
	const char *mark;

	built(&r);
	mark = strstr(text.p, "boundary=\"") + 10;
	snprintf(body, sizeof(body), "X: 1\r\n--%.*s\r\n\r\nb\r\n",
		 (int)strcspn(mark, "\""), mark);
	r.original = span_str(body);
	built(&r);
	mark = strstr(text.p, "boundary=\"") + 10;
	cr_expect_neq(strncmp(mark, body + 8, strcspn(mark, "\"")), 0);
}

/* RFC 3461 section 4.3. */
Test(report, ret_full_returns_the_content)
{
	struct report r = report();
	struct envelope e = env;

	e.ret = SMTP_RET_FULL;
	r.env = &e;
	built(&r);
	HAS("\r\nContent-Type: message/rfc822\r\n\r\nReceived: from");
	HAS("the body\r\n\r\n--=_mx20");
}

Test(report, ret_full_gives_way)
{
	struct report r = report();
	struct envelope e = env;
	struct report_rcpt d = failed;
	char line[1200];

	e.ret = SMTP_RET_FULL;
	r.env = &e;
	r.original_is_whole = false; /* too large */
	built(&r);
	HAS_NOT("the body");
	r.original_is_whole = true;
	e.requiretls = true; /* RFC 8689 section 5 */
	built(&r);
	HAS_NOT("the body");
	e.requiretls = false;
	d.action = REPORT_DELAYED; /* no failure in it */
	r.rcpts = &d;
	built(&r);
	HAS_NOT("the body");
	d.action = REPORT_FAILED;
	snprintf(line, sizeof(line), "S: x\r\n\r\n%01100d the body\r\n", 0);
	r.original = span_str(line);
	built(&r);
	HAS_NOT("the body");
}

Test(report, header_only_is_all_of_the_header)
{
	struct report r = report();
	char lines[3000];

	snprintf(lines, sizeof(lines), "A: %02000d\r\nB: 2\r\n\r\nbody", 0);
	r.original = span_str(lines);
	built(&r);
	check_lines();
	HAS("\r\nB: 2\r\n");
	HAS_NOT("body\r\n");
	/* cut off by the limit inside a line: that line is left out */
	r.original = SPAN_LIT("A: 1\r\nB: 2");
	r.original_is_whole = false;
	built(&r);
	HAS("\r\nA: 1\r\n\r\n--");
	/* nothing could be read */
	r.original = (struct span){ NULL, 0 };
	built(&r);
	check_lines();
	HAS("Content-Type: text/rfc822-headers\r\n\r\n\r\n--");
}

Test(report, eight_bit_headers_are_labelled)
{
	struct report r = report();

	r.original = SPAN_LIT("Subject: h\xe9llo\r\n\r\n");
	built(&r);
	HAS("Content-Type: text/rfc822-headers\r\n"
	    "Content-Transfer-Encoding: 8bit\r\n\r\n");
	cr_expect(needs.is_8bit);
	cr_expect_not(needs.is_smtputf8);
}

/* RFC 6533 sections 3 to 5. */
Test(report, utf8_addresses_take_the_global_types)
{
	struct report r = report();
	struct envelope e = env;
	struct recipient to = rcpt;
	struct report_rcpt d = failed;

	e.smtputf8 = true;
	to.path = SPAN_LIT("b\xc3\xbc@example.com");
	d.rcpt = &to;
	r.env = &e;
	r.rcpts = &d;
	r.original = SPAN_LIT("Subject: \xc3\xbc\r\n\r\n");
	built(&r);
	HAS("report-type=global-delivery-status");
	HAS("Content-Type: message/global-delivery-status\r\n"
	    "Content-Transfer-Encoding: 8bit\r\n");
	HAS("Final-Recipient: utf-8; b\xc3\xbc@example.com\r\n");
	HAS("Content-Type: message/global-headers\r\n"
	    "Content-Transfer-Encoding: 8bit\r\n");
	cr_expect(needs.is_8bit);
	cr_expect_not(needs.is_smtputf8, "its own header is ASCII");
	e.from = SPAN_LIT("\xc3\xa4@sender.test");
	built(&r);
	HAS("\r\nTo: <\xc3\xa4@sender.test>\r\n");
	cr_expect(needs.is_smtputf8);
}

Test(report, delayed_and_relayed_say_so)
{
	struct report r = report();
	struct report_rcpt d[2] = { failed, failed };

	d[0].action = REPORT_DELAYED;
	d[0].status = (struct span){ NULL, 0 };
	d[0].retry_until_ms = 1700000500000;
	d[1].action = REPORT_RELAYED;
	d[1].status = SPAN_LIT("nonsense");
	r.rcpts = d;
	r.count = 2;
	built(&r);
	HAS("Subject: Mail delivery delayed");
	HAS("Action: delayed\r\nStatus: 4.0.0\r\n");
	HAS("Will-Retry-Until: ");
	HAS("Action: relayed\r\nStatus: 2.0.0\r\n");
	HAS("You need not do anything");
	HAS("does not send confirmations");
}

/* RFC 3464 section 2.3.6: what no server said is not called smtp. */
Test(report, our_own_verdict_names_no_server)
{
	struct report r = report();
	struct report_rcpt d = failed;

	d.host = (struct span){ NULL, 0 };
	d.cause = REPORT_EXPIRED;
	d.status = SPAN_LIT("5.4.7");
	d.reply = SPAN_LIT("given up after 14 days");
	r.rcpts = &d;
	built(&r);
	HAS("\r\nDiagnostic-Code: X-mx20; given up after 14 days\r\n");
	HAS_NOT("Remote-MTA");
	HAS("send the message again later");
}

/* What people are told goes by what happened: the same code from a server
 * that refuses is not the code that was last heard when time ran out. */
Test(report, the_advice_is_true)
{
	static const struct {
		enum report_cause cause;
		const char *status, *reply, *says, *says_not;
	} cases[] = {
		{ REPORT_REFUSED, "5.1.1", "550 5.1.1 no", "check the address",
		  "as long as" },
		{ REPORT_REFUSED, "5.1.10", "556 5.1.10 null MX", "takes no mail",
		  "still exists" },
		{ REPORT_REFUSED, "5.1.8", "553 5.1.8 bad sender",
		  "your address as that of a sender", "still exists" },
		{ REPORT_REFUSED, "5.2.2", "552 5.2.2 full", "mailbox is full",
		  "too large" },
		{ REPORT_REFUSED, "5.3.4", "552 5.3.4 big", "too large",
		  "is full" },
		/* refused at once: nobody kept it for long */
		{ REPORT_REFUSED, "5.4.1", "550 5.4.1 access denied",
		  "cannot pass the message on", "could not be reached" },
		{ REPORT_REFUSED, "5.4.6", "554 5.4.6 too many hops",
		  "cannot pass the message on", "as long as" },
		{ REPORT_REFUSED, "5.7.1", "550 5.7.1 spam", "its own rules",
		  "check the address" },
		/* no code that says more: the words do */
		{ REPORT_REFUSED, "5.0.0", "550 go away", "answer quoted above",
		  "own rules" },
		{ REPORT_REFUSED, "5.0.0", "552 quota", "may say which",
		  "own rules" },
		{ REPORT_REFUSED, "5.0.0", "554-a\n554 b", "answer quoted above",
		  "own rules" },
		{ REPORT_EXPIRED, "5.4.7", "452 4.2.2 full",
		  "full when we last tried", "could not be reached" },
		{ REPORT_EXPIRED, "5.4.7", "(connect) Connection refused",
		  "could not be reached", "put the message off" },
		{ REPORT_EXPIRED, "5.4.7", "450 4.7.1 greylisted",
		  "put the message off", "could not be reached" },
		{ REPORT_EXPIRED, "5.4.7", "451 later", "put the message off",
		  "could not be reached" },
		{ REPORT_EXPIRED, "5.7.5", "(tls) 4.7.5 certificate",
		  "proves its name", "put the message off" },
		{ REPORT_EXPIRED, "5.7.4", "(ehlo) 4.7.4 no STARTTLS",
		  "only be handed over encrypted", "put the message off" },
		{ REPORT_EXPIRED, "5.4.7", "(route) SERVFAIL",
		  "which mail server", "could not be reached" },
		{ REPORT_EXPIRED, "5.4.6", "(route) 4.4.6 best MX is this host",
		  "only its backup", "could not be reached" },
		{ REPORT_EXPIRED, "5.4.7", "", "again later",
		  "could not be reached" },
		{ REPORT_UNFIT, "5.3.4", "552 5.3.4 larger", "too large",
		  "answered:" },
		{ REPORT_UNFIT, "5.6.7", "(smtputf8) 5.6.7 SMTPUTF8",
		  "letters beyond a to z", "answered:" },
		{ REPORT_UNFIT, "5.7.30", "550 5.7.30 REQUIRETLS", "(REQUIRETLS)",
		  "own rules" },
		{ REPORT_OPERATOR, "5.0.0", "returned by the operator",
		  "out of its queue", "answered:" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct report r = report();
		struct report_rcpt d = failed;

		d.cause = cases[i].cause;
		d.status = span_str(cases[i].status);
		d.reply = span_str(cases[i].reply);
		r.rcpts = &d;
		built(&r);
		unwrap();
		HAS(cases[i].says);
		HAS_NOT(cases[i].says_not);
	}
}

/* A report for age says so, and for how long the message was kept. */
Test(report, the_end_of_the_lifetime_is_named)
{
	static const struct {
		int64_t kept_ms;
		const char *says;
	} cases[] = {
		{ DAYS(14) + MINUTES(3), "was kept here for 14 days, which" },
		{ HOURS(36), "kept here for 36 hours, " },
		{ MINUTES(5), "kept here for 5 minutes, " },
		{ SECONDS(14), "kept here for 14 seconds, " },
		{ 0, "kept here for 0 seconds, " },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct report r = report();
		struct report_rcpt d = failed;

		d.cause = REPORT_EXPIRED;
		d.reply = SPAN_LIT("450 4.2.0 later");
		r.rcpts = &d;
		r.now_ms = env.arrived_ms + cases[i].kept_ms;
		built(&r);
		unwrap();
		HAS(cases[i].says);
		HAS("last heard of mx.example.com:");
	}
}

/* What was never sent is no server's answer. */
Test(report, what_was_not_sent_is_no_answer)
{
	struct report r = report();
	struct report_rcpt d = failed;

	d.cause = REPORT_UNFIT;
	d.reply = SPAN_LIT("(size) 5.3.4 Message is larger than the server takes");
	r.rcpts = &d;
	built(&r);
	HAS("    not sent to mx.example.com:\r\n    (size) 5.3.4");
	HAS("Diagnostic-Code: X-mx20; (size) 5.3.4");
	HAS_NOT("answered:");
}

/* RFC 6531 section 3.2: A-labels are ASCII, and ask nothing of a server. */
Test(report, a_foreign_domain_is_written_in_a_labels)
{
	static const struct {
		const char *from, *to;
	} cases[] = {
		{ "a@b\xc3\xbc"
		  "cher.example",
		  "a@xn--bcher-kva.example" },
		{ "\"x@y\"@b\xc3\xbc"
		  "cher.example",
		  "\"x@y\"@xn--bcher-kva.example" },
		{ "\xc3\xbc@b\xc3\xbc"
		  "cher.example",
		  "\xc3\xbc@b\xc3\xbc"
		  "cher.example" },
		{ "A@Plain.Example", "A@Plain.Example" },
		{ "a@[192.0.2.1]", "a@[192.0.2.1]" },
	};
	struct report r = report();
	struct envelope e = env;

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf out = { 0 };

		report_reply_path(&out, span_str(cases[i].from));
		cr_expect_str_eq(buf_cstr(&out), cases[i].to);
		buf_fini(&out);
	}
	e.smtputf8 = true;
	e.from = span_str(cases[0].from);
	r.env = &e;
	built(&r);
	HAS("\r\nTo: <a@xn--bcher-kva.example>\r\n");
	HAS("report-type=delivery-status");
	cr_expect_not(needs.is_smtputf8);
	cr_expect_not(needs.is_8bit);
}

Test(report, host_names_lose_their_address)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "mx.example.com[192.0.2.1]:25", "mx.example.com" },
		{ "mx.example.com", "mx.example.com" },
		{ "[192.0.2.1]:25", "[192.0.2.1]" },
		{ "[2001:db8::1]:25", "[2001:db8::1]" },
		{ "", "" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct span got = report_host_name(span_str(cases[i].in));

		cr_expect(span_eq(got, span_str(cases[i].out)), "%s",
			  cases[i].in);
	}
}

Test(report, only_a_plain_message_id_is_quoted)
{
	static const struct {
		const char *header, *id;
	} cases[] = {
		{ "Subject: x\r\nmessage-id: <a@b>\r\n", "<a@b>" },
		{ "Subject: x\r\n\r\nMessage-ID: <a@b>\r\n", "" },
		{ "Message-ID: <a@b> <c@d>\r\n", "" },
		{ "Message-ID: <a b@c>\r\n", "" },
		{ "Message-ID: a@b\r\n", "" },
		{ "", "" },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect(span_eq(report_message_id(span_str(cases[i].header)),
				  span_str(cases[i].id)),
			  "%s", cases[i].header);
}

/* RFC 3461 section 4.1, row by row. */
Test(report_due, notify_decides)
{
	static const struct {
		unsigned notify;
		bool failed, delayed, relayed;
	} cases[] = {
		{ 0, true, true, false },
		{ SMTP_NOTIFY_NEVER, false, false, false },
		{ SMTP_NOTIFY_SUCCESS, false, false, true },
		{ SMTP_NOTIFY_FAILURE, true, false, false },
		{ SMTP_NOTIFY_DELAY, false, true, false },
		{ SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE, true, false,
		  true },
		{ SMTP_NOTIFY_NEVER | SMTP_NOTIFY_FAILURE, false, false,
		  false },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct recipient to = rcpt;

		to.notify = cases[i].notify;
		cr_expect_eq(report_is_due(&env, &to, REPORT_FAILED), cases[i].failed,
			     "row %zu", i);
		cr_expect_eq(report_is_due(&env, &to, REPORT_DELAYED),
			     cases[i].delayed, "row %zu", i);
		cr_expect_eq(report_is_due(&env, &to, REPORT_RELAYED),
			     cases[i].relayed, "row %zu", i);
	}
}

/* RFC 5321 section 6.1: no report about a report. */
Test(report_due, never_to_the_null_path_nor_for_our_own)
{
	struct envelope e = env;

	e.is_dsn = true;
	cr_expect_not(report_is_due(&e, &rcpt, REPORT_FAILED));
	e.is_dsn = false;
	e.from = (struct span){ NULL, 0 };
	cr_expect_not(report_is_due(&e, &rcpt, REPORT_FAILED));
}
