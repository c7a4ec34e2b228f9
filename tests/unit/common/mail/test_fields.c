/* The fields we write: the peer cannot break them. */
#include "common/mail/header.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/assert.h"

static void set_zone(const char *tz)
{
	setenv("TZ", tz, 1);
	tzset();
}

static const struct mail_received plain = {
	.helo = { "mail.example", 12 },
	.client_addr = { "192.0.2.1", 9 },
	.by = { "mx2.example.net", 15 },
	.with = { "ESMTPS", 6 },
	.tls = { "TLSv1.3 TLS_AES_256_GCM_SHA384", 30 },
	.id = 1,
	.rcpt = { "a@example.com", 13 },
	.wall_ms = 1795296878000,
};

static void expect_received(const struct mail_received *r, const char *want)
{
	struct buf out = { 0 };

	mail_received_add(&out, r);
	cr_expect_str_eq(buf_cstr(&out), want);
	buf_fini(&out);
}

/* RFC 5321 section 4.4. */
Test(mail_fields, received_says_what_is_known)
{
	struct mail_received r = plain;

	set_zone("UTC");
	expect_received(&r, "Received: from mail.example "
			    "([192.0.2.1])\r\n"
			    "\tby mx2.example.net with ESMTPS "
			    "(TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n"
			    "\tid 0000000000001 for <a@example.com>; "
			    "Sat, 21 Nov 2026 21:34:38 +0000\r\n");
	r.tls = r.rcpt = (struct span){ NULL, 0 };
	r.client_addr = SPAN_LIT("2001:db8::1");
	r.helo = SPAN_LIT("[IPv6:2001:db8::1]");
	r.with = SPAN_LIT("SMTP");
	expect_received(&r, "Received: from [IPv6:2001:db8::1] "
			    "([IPv6:2001:db8::1])\r\n"
			    "\tby mx2.example.net with SMTP\r\n"
			    "\tid 0000000000001; "
			    "Sat, 21 Nov 2026 21:34:38 +0000\r\n");
}

Test(mail_fields, the_peer_cannot_break_received)
{
	struct mail_received r = plain;

	set_zone("UTC");
	r.helo = SPAN_LIT("a (b)\r\nX: y;\"\\<>,\xff\0z");
	r.tls = SPAN_LIT("a) (b\r\n\\");
	r.rcpt = SPAN_LIT("\"a b\"@\xc3\xa4.example\x01");
	expect_received(&r, "Received: from a??b???X:?y????????z "
			    "([192.0.2.1])\r\n"
			    "\tby mx2.example.net with ESMTPS "
			    "(a? ?b??" /* no trigraph */ "?)\r\n"
			    "\tid 0000000000001 for "
			    "<\"a b\"@\xc3\xa4.example?>; "
			    "Sat, 21 Nov 2026 21:34:38 +0000\r\n");
}

/* RFC 5321 section 4.5.3.1.6: no line of ours above 1000, whatever HELO was */
Test(mail_fields, received_has_no_endless_line)
{
	static char helo[5000];
	struct mail_received r = plain;
	struct buf out = { 0 };

	memset(helo, 'x', sizeof(helo));
	r.helo = span_of(helo, sizeof(helo));
	mail_received_add(&out, &r);
	cr_expect_leq(span_find(buf_span(&out), '\n'), 998);
	buf_fini(&out);
	r.helo = (struct span){ NULL, 0 };
	mail_received_add(&out, &r);
	cr_expect(span_starts(buf_span(&out),
			      SPAN_LIT("Received: from unknown (")));
	buf_fini(&out);
}

/* RFC 5322 section 3.3. */
Test(mail_fields, dates)
{
	static const struct {
		const char *tz;
		int64_t wall_ms;
		const char *want;
	} cases[] = {
		{ "UTC", 0, "Thu, 1 Jan 1970 00:00:00 +0000" },
		{ "UTC", 1795296878999, "Sat, 21 Nov 2026 21:34:38 +0000" },
		{ "XXX-1", 1795296878000, "Sat, 21 Nov 2026 22:34:38 +0100" },
		{ "XXX3:30", 1795296878000, "Sat, 21 Nov 2026 18:04:38 -0330" },
		{ "XXX-5:45", 1795296878000,
		  "Sun, 22 Nov 2026 03:19:38 +0545" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf out = { 0 };

		set_zone(cases[i].tz);
		mail_date_add(&out, cases[i].wall_ms);
		cr_expect_str_eq(buf_cstr(&out), cases[i].want);
		buf_fini(&out);
	}
}

Test(mail_fields, message_ids)
{
	struct buf out = { 0 };

	mail_message_id_add(&out, 31, 0xabc, SPAN_LIT("mx2.example.net"));
	cr_expect_str_eq(buf_cstr(&out),
			 "<000000000000Z.0000000000000abc@mx2.example.net>");
	buf_fini(&out);
}
