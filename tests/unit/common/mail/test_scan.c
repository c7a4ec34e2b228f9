/* What the header scan finds, however the content is cut. */
#include "common/mail/header.h"

#include <criterion/criterion.h>

#include "common/base/assert.h"

struct finding {
	const char *content;
	unsigned received;
	bool tls_no, done;
};

static void check(const struct finding *want, const struct mail_scan *s,
		  size_t cut)
{
	cr_expect_eq(s->received, want->received, "%s, cut %zu", want->content,
		     cut);
	cr_expect_eq(s->tls_required_no, want->tls_no, "%s, cut %zu",
		     want->content, cut);
	cr_expect_eq(s->done, want->done, "%s, cut %zu", want->content, cut);
}

/* Whole, cut at each place, and byte by byte. */
static void check_cuts(const struct finding *want)
{
	struct span content = span_str(want->content);
	struct mail_scan bytes = { 0 };

	for (size_t cut = 0; cut <= content.n; cut++) {
		struct mail_scan s = { 0 };

		mail_scan_feed(&s, (struct span){ content.p, cut });
		mail_scan_feed(&s, span_skip(content, cut));
		check(want, &s, cut);
		if (cut < content.n)
			mail_scan_feed(&bytes, span_of(content.p + cut, 1));
	}
	check(want, &bytes, 0);
}

/* clang-format off */
Test(mail_scan, received_fields_are_counted)
{
	static const struct finding cases[] = {
		{ "Received: a\r\nReceived: b\r\n\r\n", 2, 0, 1 },
		{ "received: a\r\nRECEIVED : b\r\n\r\n", 2, 0, 1 },
		{ "X-Received: a\r\nReceived-SPF: b\r\n\r\n", 0, 0, 1 },
		{ "Receive: a\r\nReceivedReceivedReceived: b\r\n\r\n",
		  0, 0, 1 },
		{ "Received: a\r\n\tReceived: b\r\n Received: c\r\n\r\n",
		  1, 0, 1 },
		{ "Subject: a\r\n\r\nReceived: b\r\n", 0, 0, 1 },
		{ "Received:\r\n\r\n", 1, 0, 1 },
		{ "Received: no end", 1, 0, 0 },
		{ "", 0, 0, 0 },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		check_cuts(&cases[i]);
}

/* A line that is no field begins the body. */
Test(mail_scan, the_header_ends)
{
	static const struct finding cases[] = {
		{ "\r\nReceived: a\r\n", 0, 0, 1 },
		{ "just text\r\nReceived: a\r\n", 0, 0, 1 },
		{ " text\r\nReceived: a\r\n", 0, 0, 1 },
		{ ": text\r\nReceived: a\r\n", 0, 0, 1 },
		{ "Received: a\r\nFrom me\r\nReceived: a\r\n", 1, 0, 1 },
		{ "Received: a\r\nword\r\nReceived: a\r\n", 1, 0, 1 },
		/* what a mailbox file puts in front is skipped */
		{ "From me Mon 1\r\nReceived: a\r\n\r\n", 1, 0, 1 },
		{ "From \xc3\xa4\r\nReceived: a\r\n\r\n", 1, 0, 1 },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		check_cuts(&cases[i]);
}

Test(mail_scan, eight_bit_bytes_in_a_header)
{
	static const struct finding cases[] = {
		{ "A: \xc3\xa4\r\n\r\nplain\r\n", 0, 0, 1 },
		{ "A: b\r\n \xc3\xa4\r\n\r\nplain\r\n", 0, 0, 1 },
		{ "A: b\r\n\r\n\xc3\xa4\r\n", 0, 0, 1 },
		{ "A: b\r\n\r\n0123456789abcdef0123456789abcdef01234567\x80",
		  0, 0, 1 },
		{ "A: b\r\n\r\n0123456789abcdef\xff 123456789abcdef01234567",
		  0, 0, 1 },
		{ "\xc3\xa4\r\n\r\n", 0, 0, 1 },
		{ "TLS-Required: \xc3\xa4\r\n\r\n", 0, 0, 1 },
		{ "A: b\r\n\r\nplain\x7f\r\n", 0, 0, 1 },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		check_cuts(&cases[i]);
}

/* RFC 8689 section 5. */
Test(mail_scan, tls_required_no)
{
	static const struct finding cases[] = {
		{ "TLS-Required: No\r\n\r\n", 0, 1, 1 },
		{ "tls-required:no\r\nA: b\r\n\r\n", 0, 1, 1 },
		{ "TLS-Required:\r\n\tNo \r\n\r\n", 0, 1, 1 },
		{ "TLS-Required: Yes\r\n\r\n", 0, 0, 1 },
		{ "TLS-Required: None\r\n\r\n", 0, 0, 1 },
		{ "TLS-Required: N o\r\n\r\n", 0, 0, 1 },
		{ "TLS-Required: N\r\n o\r\n\r\n", 0, 0, 1 },
		{ "TLS-Required: No\r\n more\r\n\r\n", 0, 0, 1 },
		{ "TLS-Required: xNo\r\n\r\n", 0, 0, 1 },
		{ "TLS-Required:\r\nA: No\r\n\r\n", 0, 0, 1 },
		{ "A: b\r\n\r\nTLS-Required: No\r\n\r\n", 0, 0, 1 },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		check_cuts(&cases[i]);
}
/* clang-format on */

/* The log names a message by it: the first, without blanks, bounded. */
Test(mail_scan, message_id_is_kept)
{
	static const struct {
		const char *head, *msgid;
	} cases[] = {
		{ "Message-ID: <a@b>\r\n\r\n", "<a@b>" },
		{ "message-id:<a@b>\r\nX: y\r\n", "<a@b>" },
		{ "X: y\r\nMessage-Id :\r\n\t<a\r\n @b>\r\nZ: z\r\n", "<a@b>" },
		{ "Message-ID: <1@b>\r\nMessage-ID: <2@b>\r\n\r\n", "<1@b>" },
		{ "Message-ID:\r\nMessage-ID: <2@b>\r\n\r\n", "<2@b>" },
		{ "X-Message-ID: <a@b>\r\n\r\n", "" },
		{ "Subject: x\r\n\r\nMessage-ID: <a@b>\r\n", "" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct span text = span_str(cases[i].head);

		for (size_t step = 1; step <= text.n; step++) {
			struct mail_scan s = { 0 };

			for (size_t at = 0; at < text.n; at += step) {
				struct span rest = span_skip(text, at);

				if (rest.n > step)
					rest.n = step;
				mail_scan_feed(&s, rest);
			}
			cr_expect(span_eq(span_of(s.msgid, s.msgid_n),
					  span_str(cases[i].msgid)),
				  "%s by %zu", cases[i].head, step);
		}
	}
}
