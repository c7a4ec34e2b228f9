/*
 * A server's replies.  The first byte says where to cut.
 *
 * - The same replies come out however the bytes arrive.
 * - Text is UTF-8 without control bytes, and bounded.
 * - What is printed parses to the same.
 * - An odd reply never says yes, and never no for good.
 */
#include "common/smtp/ehlo.h"
#include "common/smtp/reply.h"

#include "common/base/utf8.h"
#include "tests/fuzz/fuzz.h"

static void check_text(struct span text)
{
	FUZZ_CHECK(text.n <= SMTP_REPLY_TEXT_MAX);
	FUZZ_CHECK(utf8_valid(text));
	for (size_t i = 0; i < text.n; i++)
		FUZZ_CHECK(((unsigned char)text.p[i] >= ' ' ||
			    text.p[i] == '\n') &&
			   text.p[i] != 0x7f);
}

static void check_print(const struct smtp_reply *r)
{
	struct smtp_reply again = { 0 };
	struct buf first = { 0 }, second = { 0 };

	smtp_reply_print(&first, r);
	FUZZ_CHECK(span_find(buf_span(&first), '\n') == first.n);
	if (first.n < SMTP_REPLY_LINE_MAX) {
		FUZZ_CHECK(smtp_reply_parse(buf_span(&first), &again) == MX_OK);
		FUZZ_CHECK(again.code == r->code);
		FUZZ_CHECK(strcmp(again.enhanced, r->enhanced) == 0);
		smtp_reply_print(&second, &again);
		FUZZ_CHECK(span_eq(buf_span(&first), buf_span(&second)));
	}
	smtp_reply_fini(&again);
	buf_fini(&first);
	buf_fini(&second);
}

static void check_ehlo(const struct smtp_reply *r, struct buf *log)
{
	struct smtp_ehlo e;

	smtp_ehlo_parse(r, &e);
	FUZZ_CHECK(memchr(e.host, '\0', sizeof(e.host)) != NULL);
	FUZZ_CHECK(e.rcpt_max <= 999999 && e.mail_max <= 999999);
	smtp_ehlo_print(log, &e);
}

/* Feed it size bytes at a time and write down all that comes out. */
static void transcript(struct span in, size_t size, struct buf *log)
{
	struct smtp_reply_parser p = { 0 };
	struct smtp_reply r = { 0 };
	enum smtp_reply_state state = SMTP_REPLY_MORE;

	while (in.n > 0 && state != SMTP_REPLY_BAD) {
		size_t n = in.n < size ? in.n : size;
		struct span piece = { in.p, n };

		state = smtp_reply_feed(&p, &piece, &r);
		in = span_skip(in, n - piece.n);
		FUZZ_CHECK(state != SMTP_REPLY_MORE || piece.n == 0);
		FUZZ_CHECK(p.line.n <= SMTP_REPLY_LINE_MAX);
		if (state != SMTP_REPLY_DONE)
			continue;
		FUZZ_CHECK(r.code >= 200 && r.code <= 599);
		FUZZ_CHECK(!r.is_odd || r.code == 451);
		FUZZ_CHECK(r.is_odd || !r.is_bare);
		check_text(buf_span(&r.text));
		check_print(&r);
		smtp_reply_print(log, &r);
		check_ehlo(&r, log);
		buf_addc(log, '\n');
	}
	buf_addf(log, "%d", state == SMTP_REPLY_BAD);
	smtp_reply_parser_fini(&p);
	smtp_reply_fini(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	size_t cut = 1 + fuzz_byte(&in) % 32;
	struct buf whole = { 0 }, pieces = { 0 };

	transcript(in, size + 1, &whole);
	transcript(in, cut, &pieces);
	FUZZ_CHECK(span_eq(buf_span(&whole), buf_span(&pieces)));
	buf_fini(&whole);
	buf_fini(&pieces);
	return 0;
}
