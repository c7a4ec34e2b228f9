/* The content codec: one end of data, one line ending, whatever arrives. */
#include "common/smtp/content.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/assert.h"
#include "tests/support/naive.h"

#define BYTES(s)                                                               \
	{                                                                      \
		"" s, sizeof(s) - 1                                            \
	}

/* Decode one piece with no more room than given at a time. */
static bool feed(struct smtp_decoder *d, struct span *in, size_t room,
		 struct buf *out)
{
	char dst[64];
	size_t used;
	bool end;

	do {
		size_t before = in->n;

		end = smtp_decode_data(d, in, dst, room, &used);
		cr_assert_leq(used, room);
		cr_assert(end || used > 0 || in->n < before || in->n == 0);
		buf_add(out, span_of(dst, used));
	} while (!end && in->n > 0);
	return end;
}

/* Decode wire cut in two at cut; it must end exactly where want_used says. */
static void decode_cut(struct span wire, size_t cut, size_t room,
		       struct buf *out, size_t want_used)
{
	struct smtp_decoder d = { 0 };
	struct span head = { wire.p, cut }, tail = span_skip(wire, cut);
	bool end = feed(&d, &head, room, out);

	if (end)
		cr_expect_eq(cut - head.n, want_used);
	else
		cr_expect(feed(&d, &tail, room, out));
	if (!end)
		cr_expect_eq(wire.n - tail.n, want_used);
}

static void decode_bdat_cut(struct span wire, size_t cut, struct buf *out)
{
	struct smtp_decoder d = { 0 };
	struct span head = { wire.p, cut }, tail = span_skip(wire, cut);
	char dst[64];
	size_t used;

	while (head.n > 0) {
		smtp_decode_bdat(&d, &head, dst, sizeof(dst), &used);
		buf_add(out, span_of(dst, used));
	}
	while (tail.n > 0) {
		smtp_decode_bdat(&d, &tail, dst, 4, &used);
		buf_add(out, span_of(dst, used));
	}
	used = smtp_decode_end(&d, dst);
	cr_assert_leq(used, 2);
	buf_add(out, span_of(dst, used));
}

static void encode(struct span content, size_t cut, struct buf *out)
{
	struct smtp_encoder e = { 0 };

	smtp_encode_data(&e, (struct span){ content.p, cut }, out);
	smtp_encode_data(&e, span_skip(content, cut), out);
	smtp_encode_end(&e, out);
}

static const char *show(struct span s)
{
	static char text[256];
	size_t n = 0;

	for (size_t i = 0; i < s.n && n < sizeof(text) - 5; i++) {
		char c = s.p[i];

		if (c == '\r' || c == '\n')
			n += (size_t)sprintf(text + n,
					     c == '\r' ? "\\r" : "\\n");
		else
			text[n++] = c;
	}
	text[n] = '\0';
	return text;
}

/* Every cut of wire, with little and with much room, agrees with the naive
 * decoder; what comes out is canonical, survives the way out, and hides no
 * end of data. */
static void check_data(struct span wire)
{
	struct buf want = { 0 }, got = { 0 };
	bool ended;
	size_t used = naive_decode(wire, true, &want, &ended);

	cr_assert(ended);
	for (size_t cut = 0; cut <= wire.n; cut++) {
		buf_reset(&got);
		decode_cut(wire, cut, cut % 2 ? 4 : 64, &got, used);
		cr_assert(span_eq(buf_span(&got), buf_span(&want)),
			  "cut %zu of %s", cut, show(wire));
	}
	for (size_t cut = 0; cut <= want.n; cut++) {
		struct buf again = { 0 };

		buf_reset(&got);
		encode(buf_span(&want), cut, &got);
		cr_assert(!naive_ends_early(buf_span(&got)), "%s", show(wire));
		decode_cut(buf_span(&got), 0, 64, &again, got.n);
		cr_assert(span_eq(buf_span(&again), buf_span(&want)), "%s",
			  show(wire));
		buf_fini(&again);
	}
	buf_fini(&want);
	buf_fini(&got);
}

static void check_bdat(struct span wire)
{
	struct buf want = { 0 }, got = { 0 };
	bool ended;

	naive_decode(wire, false, &want, &ended);
	for (size_t cut = 0; cut <= wire.n; cut++) {
		buf_reset(&got);
		decode_bdat_cut(wire, cut, &got);
		cr_assert(span_eq(buf_span(&got), buf_span(&want)),
			  "cut %zu of %s", cut, show(wire));
		buf_reset(&got);
		encode(buf_span(&want), cut < want.n ? cut : want.n, &got);
		cr_assert(!naive_ends_early(buf_span(&got)), "%s", show(wire));
	}
	buf_fini(&want);
	buf_fini(&got);
}

/* RFC 5321 sections 2.3.8, 4.1.1.4 and 4.5.2. */
Test(smtp_content, data_decodes)
{
	static const struct {
		struct span wire, want;
		size_t left; /* bytes behind the end */
		bool bare;
	} cases[] = {
		{ BYTES(".\r\n"), BYTES(""), 0, false },
		{ BYTES("a\r\n.\r\n"), BYTES("a\r\n"), 0, false },
		{ BYTES("a\r\n.\r\nQUIT\r\n"), BYTES("a\r\n"), 6, false },
		{ BYTES("..\r\n..a\r\n...\r\n.\r\n"),
		  BYTES(".\r\n.a\r\n..\r\n"), 0, false },
		{ BYTES(".a\r\n.\r\n"), BYTES("a\r\n"), 0, false },
		{ BYTES("a.\r\n.\r\n"), BYTES("a.\r\n"), 0, false },
		{ BYTES("a\0\xff\r\n.\r\n"), BYTES("a\0\xff\r\n"), 0, false },
		{ BYTES("\r\n\r\n.\r\n"), BYTES("\r\n\r\n"), 0, false },
		/* bare LF and CR */
		{ BYTES("a\nb\r\n.\r\n"), BYTES("a\r\nb\r\n"), 0, true },
		{ BYTES("a\rb\r\n.\r\n"), BYTES("a b\r\n"), 0, true },
		{ BYTES("a\r\r\n.\r\n"), BYTES("a \r\n"), 0, true },
		{ BYTES("a\n\r\n.\r\n"), BYTES("a\r\n\r\n"), 0, true },
		/* LF . LF: neither an end nor a stuffed dot */
		{ BYTES("a\n.\nb\r\n.\r\n"), BYTES("a\r\n.\r\nb\r\n"), 0,
		  true },
		{ BYTES("a\n..\nb\r\n.\r\n"), BYTES("a\r\n..\r\nb\r\n"), 0,
		  true },
		/* LF . CRLF */
		{ BYTES("a\n.\r\nb\r\n.\r\n"), BYTES("a\r\n.\r\nb\r\n"), 0,
		  true },
		/* CRLF . LF, CRLF . CR: the dot stands at a line's start */
		{ BYTES("a\r\n.\nb\r\n.\r\n"), BYTES("a\r\n\r\nb\r\n"), 0,
		  true },
		{ BYTES("a\r\n.\rb\r\n.\r\n"), BYTES("a\r\n b\r\n"), 0, true },
		{ BYTES("a\r\n.\r\r\n.\r\n"), BYTES("a\r\n \r\n"), 0, true },
		/* CR . CR, CR . CRLF, CR LF . CR CR LF */
		{ BYTES("a\r.\rb\r\n.\r\n"), BYTES("a . b\r\n"), 0, true },
		{ BYTES("a\r.\r\nb\r\n.\r\n"), BYTES("a .\r\nb\r\n"), 0, true },
		{ BYTES("\n.\r\n.\r\n"), BYTES("\r\n.\r\n"), 0, true },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct smtp_decoder d = { 0 };
		struct span in = cases[i].wire;
		char dst[64];
		size_t used;

		cr_expect(smtp_decode_data(&d, &in, dst, sizeof(dst), &used),
			  "%s", show(cases[i].wire));
		cr_expect(span_eq(span_of(dst, used), cases[i].want),
			  "%s gave %s", show(cases[i].wire),
			  show(span_of(dst, used)));
		cr_expect_eq(in.n, cases[i].left, "%s", show(cases[i].wire));
		cr_expect_eq(d.bare, cases[i].bare, "%s", show(cases[i].wire));
		check_data(cases[i].wire);
	}
}

/* Nothing but CR LF . CR LF ends the data. */
Test(smtp_content, data_does_not_end)
{
	static const struct span cases[] = {
		BYTES("a\n.\n"),
		BYTES("a\n.\r\n"),
		BYTES("a\r\n.\n"),
		BYTES("a\r.\r"),
		BYTES("a\r.\r\n"),
		BYTES("a\r\n.\r"),
		BYTES("a\r\n.\0\r\n"),
		BYTES("a\r\n.\r\r\n"),
		BYTES("a\r\n. \r\n"),
		BYTES("a\r\n..\r\n"),
		BYTES("a\n\r.\r\n"),
		BYTES("a\r\0\n.\r\n"),
		BYTES("."),
		BYTES(".\r"),
		BYTES(".\n"),
		BYTES("\n.\r\n"),
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct smtp_decoder d = { 0 };
		struct span in = cases[i];
		char dst[64];
		size_t used;

		cr_expect_not(
			smtp_decode_data(&d, &in, dst, sizeof(dst), &used),
			"%s", show(cases[i]));
		cr_expect_eq(in.n, 0);
	}
}

/* All of them: each wire of up to eight of CR, LF, dot and a letter. */
Test(smtp_content, every_short_wire)
{
	static const char letters[] = "\r\n.a";
	char wire[16];

	for (size_t length = 0; length <= 7; length++) {
		for (unsigned n = 0; n < 1U << (2 * length); n++) {
			for (size_t i = 0; i < length; i++)
				wire[i] = letters[n >> (2 * i) & 3];
			check_bdat(span_of(wire, length));
			memcpy(wire + length, "\r\n.\r\n", 5);
			check_data(span_of(wire, length + 5));
		}
	}
}

/* Longer ones, with real lines: long enough for every fast path. */
Test(smtp_content, random_wires)
{
	static const char *const parts[] = {
		"\r\n",
		"\r\n",
		"\r\n",
		"\n",
		"\r",
		".",
		"\r\n.",
		"\n.",
		"text",
		"....",
		"a longer piece of ordinary text, ",
	};
	char wire[4096];

	srand(20);
	for (int round = 0; round < 200; round++) {
		size_t n = 0;

		while (n < 300) {
			const char *part = parts[(size_t)rand() % COUNT(parts)];

			memcpy(wire + n, part, strlen(part));
			n += strlen(part);
		}
		memcpy(wire + n, "\r\n.\r\n", 5);
		check_data(span_of(wire, n + 5));
		check_bdat(span_of(wire, n + 5));
	}
}

/* A line may be longer than any window the decoder looks through. */
Test(smtp_content, long_lines)
{
	enum { N = 10000 };
	static char wire[N + 16], dst[N + 16];

	for (size_t length = 1000; length < 1060; length++) {
		struct smtp_decoder d = { 0 };
		struct span in = { wire, length + 5 + N / 2 };
		size_t used;

		memset(wire, 'x', sizeof(wire));
		memcpy(wire + length, "\r\n..y", 5);
		memcpy(wire + in.n, "\r\n.\r\n", 5);
		in.n += 5;
		cr_assert(smtp_decode_data(&d, &in, dst, sizeof(dst), &used));
		cr_expect_eq(used, length + 4 + N / 2 + 2);
		cr_expect_not(d.bare);
		cr_expect(memcmp(dst + length, "\r\n.yx", 5) == 0);
	}
}

/* A peer must not make us search the same bytes over and over: 16 MB of bare
 * CRs take the time of a copy, not the age of the universe. */
Test(smtp_content, bare_crs_are_linear, .timeout = 20)
{
	enum { N = 1 << 23 };
	char *wire = malloc(2 * N), *dst = malloc(2 * N);
	struct smtp_decoder d = { 0 };
	struct span in = { wire, 2 * N };
	size_t used;

	for (size_t i = 0; i < N; i++)
		memcpy(wire + 2 * i, "\ra", 2);
	cr_expect_not(smtp_decode_data(&d, &in, dst, 2 * N, &used));
	cr_expect_eq(used, 2 * N);
	cr_expect(memcmp(dst, " a a a", 6) == 0);
	free(wire);
	free(dst);
}

/* RFC 3030: chunks end anywhere, dots mean nothing. */
Test(smtp_content, bdat_decodes)
{
	static const struct {
		struct span wire, want;
		bool bare;
	} cases[] = {
		{ BYTES(""), BYTES(""), false },
		{ BYTES("a\r\n.\r\nb\r\n"), BYTES("a\r\n.\r\nb\r\n"), false },
		{ BYTES("..a"), BYTES("..a"), false },
		{ BYTES("a\r"), BYTES("a "), true },
		{ BYTES("a\n"), BYTES("a\r\n"), true },
		{ BYTES("a\r\n.\n.\r.\r\n"), BYTES("a\r\n.\r\n. .\r\n"), true },
		{ BYTES("a\0b\r\n"), BYTES("a\0b\r\n"), false },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct smtp_decoder d = { 0 };
		struct span in = cases[i].wire;
		char dst[64], rest[4];
		size_t used;

		smtp_decode_bdat(&d, &in, dst, sizeof(dst) - 4, &used);
		cr_expect_eq(in.n, 0);
		size_t held = smtp_decode_end(&d, rest);

		memcpy(dst + used, rest, held);
		cr_expect(span_eq(span_of(dst, used + held), cases[i].want),
			  "%s", show(cases[i].wire));
		cr_expect_eq(d.bare, cases[i].bare, "%s", show(cases[i].wire));
		check_bdat(cases[i].wire);
	}
}

/* RFC 5321 section 4.5.2. */
Test(smtp_content, encodes)
{
	static const struct {
		struct span content, want;
	} cases[] = {
		{ BYTES(""), BYTES(".\r\n") },
		{ BYTES("a"), BYTES("a\r\n.\r\n") },
		{ BYTES("a\r\n"), BYTES("a\r\n.\r\n") },
		{ BYTES("."), BYTES("..\r\n.\r\n") },
		{ BYTES(".\r\n"), BYTES("..\r\n.\r\n") },
		{ BYTES("a\r\n.\r\n.b\r\n"), BYTES("a\r\n..\r\n..b\r\n.\r\n") },
		{ BYTES("a.\r\n"), BYTES("a.\r\n.\r\n") },
		/* never in our records; never trusted to be absent */
		{ BYTES("a\n.\n"), BYTES("a\n..\n\r\n.\r\n") },
		{ BYTES("a\r"), BYTES("a\r\r\n.\r\n") },
		{ BYTES("\n"), BYTES("\n\r\n.\r\n") },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		for (size_t cut = 0; cut <= cases[i].content.n; cut++) {
			struct buf got = { 0 };

			encode(cases[i].content, cut, &got);
			cr_expect(span_eq(buf_span(&got), cases[i].want), "%s",
				  show(cases[i].content));
			buf_fini(&got);
		}
	}
}
