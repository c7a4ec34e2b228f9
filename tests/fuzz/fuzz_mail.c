/*
 * The header scan, and the Received field built from what a peer said.
 * First byte: where to cut.  Then content; for the field, texts up to NUL.
 *
 * - The scan finds the same however the content is cut.
 * - The field is one header field whatever is in it.
 */
#include "common/mail/header.h"

#include "common/base/utf8.h"
#include "tests/fuzz/fuzz.h"

static void scan(struct span content, size_t size, struct mail_scan *s)
{
	while (content.n > 0) {
		size_t n = content.n < size ? content.n : size;

		mail_scan_feed(s, (struct span){ content.p, n });
		content = span_skip(content, n);
	}
}

static void check_scan(struct span content, size_t cut)
{
	struct mail_scan whole = { 0 }, pieces = { 0 };

	scan(content, content.n + 1, &whole);
	scan(content, cut, &pieces);
	FUZZ_CHECK(whole.received == pieces.received);
	FUZZ_CHECK(whole.tls_required_no == pieces.tls_required_no);
	FUZZ_CHECK(whole.done == pieces.done);
}

static void check_lines(struct span field)
{
	FUZZ_CHECK(span_starts(field, SPAN_LIT("Received: from ")));
	for (bool first = true; field.n > 0; first = false) {
		struct span line = span_cut(&field, '\n');

		FUZZ_CHECK(line.n > 1 && line.n <= 999);
		FUZZ_CHECK(line.p[line.n - 1] == '\r');
		FUZZ_CHECK(first || line.p[0] == '\t');
		for (size_t i = first ? 0 : 1; i + 1 < line.n; i++)
			FUZZ_CHECK((unsigned char)line.p[i] >= ' ' &&
				   line.p[i] != 0x7f);
	}
}

static void check_received(struct span in)
{
	struct mail_received r = {
		.helo = fuzz_text(&in),
		.client_addr = fuzz_text(&in),
		.tls = fuzz_text(&in),
		.rcpt = fuzz_text(&in),
		.by = SPAN_LIT("mx2.example.net"),
		.with = SPAN_LIT("ESMTP"),
		.id = in.n,
		.wall_ms = (int64_t)in.n * 1000,
	};
	struct mail_scan s = { 0 };
	struct buf field = { 0 };

	if (r.rcpt.n > 254 || r.tls.n > 254) /* as their callers see to */
		return;
	mail_received_add(&field, &r);
	check_lines(buf_span(&field));
	buf_adds(&field, "\r\n");
	mail_scan_feed(&s, buf_span(&field));
	FUZZ_CHECK(s.received == 1 && s.done);
	FUZZ_CHECK(utf8_valid(buf_span(&field)));
	buf_fini(&field);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	size_t cut = 1 + fuzz_byte(&in) % 32;

	check_scan(in, cut);
	check_received(in);
	return 0;
}
