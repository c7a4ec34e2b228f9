/*
 * The content codec.  The first byte says where to cut and how much room there
 * is, the rest is the wire.
 *
 * - However it is cut, the decoder does what the naive one does.
 * - What comes out is canonical.
 * - What is encoded from it ends once, for every server, at its end, and
 *   decodes to the same again.
 */
#include "common/smtp/content.h"

#include "tests/fuzz/fuzz.h"
#include "tests/support/naive.h"

struct piece {
	size_t size, room;
};

static bool decode(struct span wire, bool dots, struct piece piece,
		   struct buf *out, size_t *wire_used)
{
	struct smtp_decoder d = { 0 };
	size_t start = wire.n, used;
	bool end = false;

	while (!end && wire.n > 0) {
		struct span in = { wire.p,
				   wire.n < piece.size ? wire.n : piece.size };
		size_t before = in.n;
		char *dst = buf_reserve(out, piece.room);

		if (dots)
			end = smtp_decode_data(&d, &in, dst, piece.room, &used);
		else
			smtp_decode_bdat(&d, &in, dst, piece.room, &used);
		FUZZ_CHECK(used <= piece.room);
		FUZZ_CHECK(end || used > 0 || in.n < before);
		out->n += used;
		wire = span_skip(wire, before - in.n);
	}
	if (!dots) {
		used = smtp_decode_end(&d, buf_reserve(out, 4));
		FUZZ_CHECK(used <= 2);
		out->n += used;
	}
	*wire_used = start - wire.n;
	return end;
}

static bool is_canonical(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\n' && (i == 0 || s.p[i - 1] != '\r'))
			return false;
		if (s.p[i] == '\r' && (i + 1 == s.n || s.p[i + 1] != '\n'))
			return false;
	}
	return true;
}

static void encode(struct span content, size_t size, struct buf *out)
{
	struct smtp_encoder e = { 0 };

	while (content.n > 0) {
		size_t n = content.n < size ? content.n : size;

		smtp_encode_data(&e, (struct span){ content.p, n }, out);
		content = span_skip(content, n);
	}
	smtp_encode_end(&e, out);
}

static void check_way_out(struct span content, struct piece piece)
{
	struct buf wire = { 0 }, again = { 0 };
	bool whole = content.n == 0 || content.p[content.n - 1] == '\n';
	size_t used;

	encode(content, piece.size, &wire);
	FUZZ_CHECK(!naive_ends_early(buf_span(&wire)));
	FUZZ_CHECK(decode(buf_span(&wire), true, piece, &again, &used));
	FUZZ_CHECK(used == wire.n);
	FUZZ_CHECK(span_starts(buf_span(&again), content));
	FUZZ_CHECK(again.n == content.n + (whole ? 0 : 2));
	buf_fini(&wire);
	buf_fini(&again);
}

static void check(struct span wire, bool dots, struct piece piece)
{
	struct buf got = { 0 }, want = { 0 };
	bool want_end, end;
	size_t want_used = naive_decode(wire, dots, &want, &want_end);
	size_t used;

	end = decode(wire, dots, piece, &got, &used);
	FUZZ_CHECK(end == want_end);
	FUZZ_CHECK(is_canonical(buf_span(&got)));
	if (end || !dots)
		FUZZ_CHECK(span_eq(buf_span(&got), buf_span(&want)));
	else /* a CR or a dot may be held back */
		FUZZ_CHECK(span_starts(buf_span(&want), buf_span(&got)));
	if (end)
		FUZZ_CHECK(used == want_used);
	check_way_out(buf_span(&got), piece);
	buf_fini(&got);
	buf_fini(&want);
}

/* Any content at all, as a damaged record might hold it. */
static void check_any_content(struct span content, struct piece piece)
{
	struct buf wire = { 0 };

	encode(content, piece.size, &wire);
	FUZZ_CHECK(span_starts(span_skip(buf_span(&wire), wire.n - 3),
			       SPAN_LIT(".\r\n")));
	FUZZ_CHECK(wire.n == 3 ||
		   span_starts(span_skip(buf_span(&wire), wire.n - 5),
			       SPAN_LIT("\r\n")));
	for (size_t i = 0; i + 5 < wire.n; i++)
		FUZZ_CHECK(memcmp(wire.p + i, "\r\n.\r\n", 5) != 0);
	buf_fini(&wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	unsigned how = fuzz_byte(&in);
	struct piece piece = { 1 + (how & 15), 4 + (how >> 4) };
	struct piece whole = { 1 + size, 4 + 2 * size };

	check(in, true, piece);
	check(in, true, whole);
	check(in, false, piece);
	check(in, false, whole);
	check_any_content(in, piece);
	return 0;
}
