/*
 * The day's digest, made of what senders and servers wrote: a byte says what a
 * recipient's line is about, texts go up to NUL each.  Whatever they are:
 *
 * - The message is ASCII, its lines short and whole, and it is not too long.
 * - Both parts are there and no third; the header is one, and ours.
 * - No recipient is lost: what is in no group is counted.
 * - A row of an outage is read as it was written.
 */
#include "common/base/assert.h"
#include "common/base/utf8.h"
#include "common/mail/header.h"
#include "daemon/report/digest.h"
#include "tests/fuzz/fuzz.h"

enum { SHELF_MS = 1000000, UNTIL_MS = 5000000 };

static void add(struct digest *d, struct span *in)
{
	unsigned how = fuzz_byte(in);
	struct recipient rcpt = {
		.path = fuzz_text(in),
		.last_reply = fuzz_text(in),
		.state = (enum recipient_state)(how % 5),
		.failure = (enum recipient_failure)(how / 5 % 3),
		.until_ms = UNTIL_MS + SHELF_MS - (int64_t)(how & 64),
	};
	const struct unit u = {
		.envelope = { .id = how,
			      .from = fuzz_text(in),
			      .is_dsn = how & 128 },
		.rcpts = &rcpt,
		.rcpt_count = 1,
	};

	digest_add(d, &u);
}

static void add_outage(struct digest *d, struct span *in)
{
	struct outage got, o = { .id = 7,
				 .began_ms = UNTIL_MS - 5,
				 .destination = fuzz_text(in),
				 .reply = fuzz_text(in),
				 .domains = SPAN_LIT("example.com") };
	struct buf key = { 0 }, value = { 0 };

	outage_key(&key, o.id);
	outage_put(&value, &o);
	FUZZ_CHECK(outage_get(buf_span(&key), buf_span(&value), &got) ==
		   (o.destination.n > 0));
	FUZZ_CHECK(o.destination.n == 0 ||
		   (got.id == o.id && got.reply.n == o.reply.n &&
		    got.destination.n == o.destination.n &&
		    outage_names(&got, SPAN_LIT("example.com"))));
	digest_add_outage(d, buf_span(&key), buf_span(&value));
	buf_fini(&key);
	buf_fini(&value);
	/* and rows that nobody wrote */
	(void)outage_get(SPAN_LIT("outage:0123456789abcdef"), *in, &got);
}

static void check_counts(const struct digest *d)
{
	uint64_t n = d->other_recipients;

	for (size_t i = 0; i < d->group_count; i++)
		n += d->groups[i]->recipients;
	FUZZ_CHECK(n == d->recipients && d->messages <= d->recipients);
}

static void check_message(struct span text)
{
	struct mail_scan s = { 0 };
	size_t parts = 0;

	FUZZ_CHECK(text.n <= DIGEST_BYTES_MAX && !span_has_8bit(text));
	mail_scan_feed(&s, text);
	FUZZ_CHECK(s.done && s.received == 0);
	while (text.n > 0) {
		size_t lf = span_find(text, '\n');
		struct span line = span_of(text.p, lf);

		FUZZ_CHECK(lf < text.n && lf > 0 && lf <= 78);
		FUZZ_CHECK(line.p[--line.n] == '\r');
		for (size_t i = 0; i < line.n; i++)
			FUZZ_CHECK(line.p[i] >= ' ' && line.p[i] <= '~');
		parts += span_starts(line, SPAN_LIT("--=_mx20_"));
		text = span_skip(text, lf + 1);
	}
	FUZZ_CHECK(parts == 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	struct digest d = { .domain = SPAN_LIT("example.com"),
			    .hostname = SPAN_LIT("mx2.example.net"),
			    .about = { 0, UNTIL_MS },
			    .shelf_ms = SHELF_MS,
			    .now_ms = UNTIL_MS };
	struct buf out = { 0 };

	add_outage(&d, &in);
	while (in.n > 0)
		add(&d, &in);
	check_counts(&d);
	if (d.messages > 0) {
		digest_build(&d, 1, 2, &out);
		check_message(buf_span(&out));
	}
	digest_fini(&d);
	buf_fini(&out);
	return 0;
}
