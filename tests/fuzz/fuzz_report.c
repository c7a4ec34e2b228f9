/*
 * Reports to the sender, made of what peers and senders said: texts up to NUL
 * each, and the original behind them.
 *
 * - Lines are whole, canonical and at most 998 octets.
 * - Fields hold no control bytes, and 8-bit octets only when that is said.
 * - The boundary stands where it should: four times.
 */
#include "daemon/report/report_priv.h"

#include "common/base/utf8.h"
#include "common/mail/header.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/naive.h"

static void check_lines(struct span text)
{
	while (text.n > 0) {
		size_t lf = span_find(text, '\n');

		FUZZ_CHECK(lf < text.n && lf > 0 && text.p[lf - 1] == '\r');
		FUZZ_CHECK(lf - 1 <= 998);
		FUZZ_CHECK(memchr(text.p, '\r', lf - 1) == NULL);
		text = span_skip(text, lf + 1);
	}
}

/* boundary="..." out of the header */
static struct span boundary_of(struct span text)
{
	static const char key[] = "\n    boundary=\"";
	const char *at = memmem(text.p, text.n, key, strlen(key));

	FUZZ_CHECK(at != NULL);
	text = span_skip(text, (size_t)(at - text.p) + strlen(key));
	return span_cut(&text, '"');
}

static size_t count_delimiters(struct span text, struct span boundary)
{
	size_t n = 0;

	while (text.n > 0) {
		struct span line = span_cut(&text, '\n');

		if (span_starts(line, SPAN_LIT("--")) &&
		    span_starts(span_skip(line, 2), boundary))
			n++;
	}
	return n;
}

static void check_report(struct span text, struct report_needs needs)
{
	struct mail_scan s = { 0 };
	const char *body = memmem(text.p, text.n, "\r\n\r\n", 4);
	bool header_8bit;

	FUZZ_CHECK(body != NULL);
	header_8bit = span_has_8bit(span_of(text.p, (size_t)(body - text.p)));
	check_lines(text);
	mail_scan_feed(&s, text);
	FUZZ_CHECK(s.done);
	FUZZ_CHECK(s.received == 0);
	FUZZ_CHECK(!header_8bit || needs.is_smtputf8);
	FUZZ_CHECK(!span_has_8bit(text) || header_8bit || needs.is_8bit);
	FUZZ_CHECK(count_delimiters(text, boundary_of(text)) == 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	unsigned how = fuzz_byte(&in);
	struct recipient rcpt = { .path = fuzz_text(&in),
				  .domain = SPAN_LIT("example.com"),
				  .orcpt = fuzz_text(&in),
				  .notify = how & 15 };
	struct report_rcpt said = { .rcpt = &rcpt,
				 .action = (enum report_action)(how % 3),
				 .cause = (enum report_cause)(how / 3 % 4),
				 .status = fuzz_text(&in),
				 .reply = fuzz_text(&in),
				 .host = fuzz_text(&in),
				 .attempt_ms = (int64_t)how * 1000000,
				 .retry_until_ms = (int64_t)how * 2000000 };
	struct envelope env = { .id = 1,
				.arrived_ms = 1,
				.from = fuzz_text(&in),
				.helo = fuzz_text(&in),
				.envid = fuzz_text(&in),
				.ret = (enum smtp_ret)(how >> 4 & 1 ? 1 : 2),
				.smtputf8 = how >> 5 & 1,
				.body = SMTP_BODY_8BITMIME };
	struct buf original = { 0 }, text = { 0 };
	struct report r = { .hostname = SPAN_LIT("mx2.example.net"),
				.id = 2,
				.nonce = 3,
				.now_ms = 4,
				.env = &env,
				.domain = rcpt.domain,
				.rcpts = &said,
				.count = 1 + (how >> 7),
				.original_is_whole = how >> 6 & 1 };
	struct report_rcpt both[2] = { said, said };
	struct report_needs needs;
	bool ended;

	both[1].action = REPORT_FAILED;
	r.rcpts = both;
	naive_decode(in, false, &original, &ended); /* it is canonical */
	r.original = buf_span(&original);
	report_build(&r, &text, &needs);
	check_report(buf_span(&text), needs);
	buf_fini(&original);
	buf_fini(&text);
	return 0;
}
