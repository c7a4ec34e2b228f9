/* Replies: RFC 5321 section 4.2, RFC 2034; and peers that mean ill. */
#include "common/smtp/reply.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "common/base/assert.h"

#define BYTES(s)                                                               \
	{                                                                      \
		"" s, sizeof(s) - 1                                            \
	}

Test(smtp_reply, parses)
{
	/* clang-format off */
	static const struct {
		const char *in;
		int code;
		const char *enhanced, *text;
	} cases[] = {
		{ "250 ok\r\n", 250, "", "ok" },
		{ "250\r\n", 250, "", "" },
		{ "250 \r\n", 250, "", "" },
		{ "421", 421, "", "" },
		{ "250 ok\n", 250, "", "ok" },
		{ "250-a\r\n250-b\r\n250 c\r\n", 250, "", "a\nb\nc" },
		{ "250-\r\n250-\r\n250\r\n", 250, "", "\n\n" },
		{ "250  two", 250, "", " two" },
		/* what a terminal, a log or JSON could not bear */
		{ "550 a\tb\x1b[1m\x7f\r\r\n", 550, "", "a b [1m  " },
		{ "550 \xc3\xa4 \xe4 \xc2\x9b", 550, "", "\xc3\xa4 ?  " },
	};
	/* clang-format on */

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct smtp_reply r = { 0 };

		cr_assert_eq(smtp_reply_parse(span_str(cases[i].in), &r), MX_OK,
			     "%s", cases[i].in);
		cr_expect_eq(r.code, cases[i].code, "%s", cases[i].in);
		cr_expect_str_eq(r.enhanced, cases[i].enhanced, "%s",
				 cases[i].in);
		cr_expect_str_eq(buf_cstr(&r.text), cases[i].text);
		smtp_reply_fini(&r);
	}
}

/* RFC 2034: an enhanced code counts only if its class matches the reply's. */
Test(smtp_reply, enhanced_code_agrees_with_the_reply)
{
	/* clang-format off */
	static const struct {
		const char *in, *enhanced, *text;
	} cases[] = {
		{ "250 2.1.5 fine",       "2.1.5",     "fine" },
		{ "250 2.1.5",            "2.1.5",     "" },
		{ "550 5.123.456 x",      "5.123.456", "x" },
		{ "250 4.1.5 confused",   "",          "4.1.5 confused" },
		{ "550 no such mailbox",  "",          "no such mailbox" },
		{ "550 5.1.1234 x",       "",          "5.1.1234 x" },
		{ "550 5.1. x",           "",          "5.1. x" },
		{ "550 5.1.1x",           "",          "5.1.1x" },
		{ "550 5.1.1.1 x",        "",          "5.1.1.1 x" },
		{ "550 5..1 x",           "",          "5..1 x" },
		{ "550 5.1",              "",          "5.1" },
		{ "354 3.0.0 go",         "",          "3.0.0 go" },
		{ "550-5.1.1 a\n550 5.1.1 b", "5.1.1", "a\nb" },
		{ "550-5.1.1 a\n550 b",   "5.1.1",     "a\nb" },
		{ "550-5.1.1 a\n550 5.2.2 b", "5.1.1", "a\n5.2.2 b" },
		{ "550-a\n550 5.1.1 b",   "",          "a\n5.1.1 b" },
	};
	/* clang-format on */

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct smtp_reply r = { 0 };

		cr_assert_eq(smtp_reply_parse(span_str(cases[i].in), &r), MX_OK,
			     "%s", cases[i].in);
		cr_expect_str_eq(r.enhanced, cases[i].enhanced, "%s",
				 cases[i].in);
		cr_expect_str_eq(buf_cstr(&r.text), cases[i].text);
		smtp_reply_fini(&r);
	}
}

Test(smtp_reply, refuses)
{
	static const struct span cases[] = {
		BYTES(""),
		BYTES("\r\n"),
		BYTES("25\r\n"),
		BYTES("2500 x\r\n"),
		BYTES("250x\r\n"),
		BYTES("150 x\r\n"),
		BYTES("199 x\r\n"),
		BYTES("600 x\r\n"),
		BYTES("000 x\r\n"),
		BYTES(" 250 x\r\n"),
		BYTES("+25 x\r\n"),
		BYTES("ok\r\n"),
		BYTES("SSH-2.0-x\r\n"),
		BYTES("\0\0\0\0"),
		/* two replies, a reply that does not end */
		BYTES("250 a\r\n250 b\r\n"),
		BYTES("250-a\r\n"),
		BYTES("250-a\r\n250-b"),
		/* lines that disagree */
		BYTES("250-a\r\n251 b\r\n"),
		BYTES("250-a\r\n550 b\r\n"),
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct smtp_reply r = { 0 };

		cr_expect_eq(smtp_reply_parse(cases[i], &r), MX_EINVAL, "%.*s",
			     SPAN_ARG(cases[i]));
		smtp_reply_fini(&r);
	}
}

/* Nothing is guessed, and nothing that was said is lost. */
Test(smtp_reply, odd_ones)
{
	static const struct {
		const char *in, *want;
		bool is_odd, is_bare;
	} cases[] = {
		{ "250-a\r\n550 b\r\n", "451 4.5.0 (odd reply) 250 a 550 b",
		  true, false },
		{ "250-2.1.0 a\r\n251-b\r\n250 c\r\n",
		  "451 4.5.0 (odd reply) 250 2.1.0 a 251-b c", true, false },
		{ "hello\r\n", "451 4.5.0 (odd reply) hello", true, true },
		{ "150 wait\r\n", "451 4.5.0 (odd reply) 150 wait", true,
		  true },
		{ "550-5.7.1 no, see\r\nhttp://x.example\r\n550 5.7.1 bye\r\n",
		  "550 5.7.1 no, see http://x.example bye", false, false },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct smtp_reply_parser p = { 0 };
		struct smtp_reply r = { 0 };
		struct span in = span_str(cases[i].in);
		struct buf out = { 0 };

		cr_expect_eq(smtp_reply_feed(&p, &in, &r), SMTP_REPLY_DONE);
		cr_expect_eq(in.n, 0);
		smtp_reply_print(&out, &r);
		cr_expect_str_eq(buf_cstr(&out), cases[i].want);
		cr_expect_eq(r.is_odd, cases[i].is_odd);
		cr_expect_eq(r.is_bare, cases[i].is_bare);
		smtp_reply_parser_fini(&p);
		smtp_reply_fini(&r);
		buf_fini(&out);
	}
}

/* Pipelined replies come out one at a time, however they arrive. */
Test(smtp_reply, feeds_in_pieces)
{
	static const char in[] = "250-2.1.0 a\r\n250 2.1.0 b\r\n"
				 "354 go\r\n550 5.1.1 no\r\n25";
	static const char want[] = "250 2.1.0 a b|354 go|550 5.1.1 no|";

	for (size_t cut = 0; cut < sizeof(in); cut++) {
		struct span pieces[] = {
			{ in, cut },
			{ in + cut, sizeof(in) - 1 - cut },
		};
		struct smtp_reply_parser p = { 0 };
		struct smtp_reply r = { 0 };
		struct buf got = { 0 };

		for (size_t i = 0; i < COUNT(pieces); i++) {
			while (smtp_reply_feed(&p, &pieces[i], &r) ==
			       SMTP_REPLY_DONE) {
				smtp_reply_print(&got, &r);
				buf_addc(&got, '|');
			}
			cr_expect_eq(pieces[i].n, 0);
		}
		cr_expect_str_eq(buf_cstr(&got), want, "cut %zu", cut);
		smtp_reply_parser_fini(&p);
		smtp_reply_fini(&r);
		buf_fini(&got);
	}
}

/* Feed one piece again and again; how many until the parser gives up? */
static size_t feed_until_bad(const char *piece, size_t limit,
			     struct smtp_reply *r, size_t *kept)
{
	struct smtp_reply_parser p = { 0 };
	size_t times = 0;

	for (; times < limit; times++) {
		struct span in = span_str(piece);

		if (smtp_reply_feed(&p, &in, r) == SMTP_REPLY_BAD)
			break;
	}
	*kept = p.line.cap + r->text.cap;
	smtp_reply_parser_fini(&p);
	return times;
}

/* A primary that answers with megabytes costs a few KiB and one connection. */
Test(smtp_reply, is_bounded)
{
	static char line[SMTP_REPLY_LINE_MAX + 2];
	struct smtp_reply r = { 0 };
	size_t kept;

	/* lines without end */
	cr_expect_eq(feed_until_bad("250-more\r\n", 1 << 20, &r, &kept),
		     SMTP_REPLY_BYTES_MAX / 10);
	cr_expect_leq(kept, 4 * SMTP_REPLY_TEXT_MAX);
	/* a line without end */
	cr_expect_eq(feed_until_bad("250 more and more", 1 << 20, &r, &kept),
		     SMTP_REPLY_BYTES_MAX / 17);
	cr_expect_leq(kept, 4 * SMTP_REPLY_TEXT_MAX);
	/* long lines, as many as there may be */
	memset(line, 'x', sizeof(line));
	memcpy(line, "250-", 4);
	memcpy(line + SMTP_REPLY_LINE_MAX - 2, "\r\n", 3);
	cr_expect_eq(feed_until_bad(line, 1 << 20, &r, &kept),
		     SMTP_REPLY_BYTES_MAX / SMTP_REPLY_LINE_MAX);
	cr_expect_leq(r.text.n, SMTP_REPLY_TEXT_MAX);
	cr_expect_leq(kept, 4 * SMTP_REPLY_TEXT_MAX);
	smtp_reply_fini(&r);
}

/* "250-xxx", then "250 ok", in pieces cut there; the text of both. */
static void long_line(size_t n, size_t cut)
{
	static char bytes[SMTP_REPLY_BYTES_MAX + 16];
	struct smtp_reply_parser p = { 0 };
	struct smtp_reply r = { 0 };
	struct span pieces[2];
	enum smtp_reply_state state = SMTP_REPLY_MORE;
	size_t kept = n - 2 < SMTP_REPLY_LINE_MAX ? n - 6
						  : SMTP_REPLY_LINE_MAX - 4;

	memset(bytes, 'x', n);
	memcpy(bytes, "250-", 4);
	memcpy(bytes + n - 2, "\r\n250 ok\r\n", 10);
	pieces[0] = span_of(bytes, cut);
	pieces[1] = span_of(bytes + cut, n + 8 - cut);
	for (int i = 0; i < 2 && state == SMTP_REPLY_MORE; i++)
		state = smtp_reply_feed(&p, &pieces[i], &r);
	if (n + 8 > SMTP_REPLY_BYTES_MAX) {
		cr_expect_eq(state, SMTP_REPLY_BAD, "%zu cut at %zu", n, cut);
	} else {
		cr_expect_eq(state, SMTP_REPLY_DONE, "%zu cut at %zu", n, cut);
		cr_expect_eq(r.code, 250);
		cr_expect_not(r.is_odd);
		cr_expect_eq(r.text.n, kept + strlen("\nok"),
			     "%zu cut at %zu", n, cut);
	}
	smtp_reply_parser_fini(&p);
	smtp_reply_fini(&r);
}

/* Of a line that is too long the front is kept, and its code stands. */
Test(smtp_reply, long_lines_count_however_they_arrive)
{
	static const size_t sizes[] = {
		100,	SMTP_REPLY_LINE_MAX - 2,	SMTP_REPLY_LINE_MAX - 1,
		SMTP_REPLY_LINE_MAX,	SMTP_REPLY_LINE_MAX + 1,
		SMTP_REPLY_LINE_MAX + 2, SMTP_REPLY_LINE_MAX + 3,
		SMTP_REPLY_LINE_MAX + 4, 100000, SMTP_REPLY_BYTES_MAX - 8,
		SMTP_REPLY_BYTES_MAX - 7, SMTP_REPLY_BYTES_MAX,
	};

	for (size_t i = 0; i < COUNT(sizes); i++) {
		const size_t n = sizes[i];
		const size_t cuts[] = { 0,     2,     SMTP_REPLY_LINE_MAX,
					n / 2, n - 2, n - 1,
					n,     n + 4, n + 8 };

		for (size_t j = 0; j < COUNT(cuts); j++)
			if (cuts[j] <= n + 8)
				long_line(n, cuts[j]);
	}
}

Test(smtp_reply, set_copy_print)
{
	struct smtp_reply a = { 0 }, b = { 0 };
	struct buf out = { 0 };

	smtp_reply_set(&a, 451, "4.4.1", SPAN_LIT("no answer\nat all"));
	smtp_reply_copy(&b, &a);
	smtp_reply_reset(&a);
	cr_expect_eq(a.text.n, 0);
	smtp_reply_print(&out, &b);
	cr_expect_str_eq(buf_cstr(&out), "451 4.4.1 no answer at all");
	buf_reset(&out);
	smtp_reply_set(&b, 250, "", SPAN_LIT(""));
	smtp_reply_print(&out, &b);
	cr_expect_str_eq(buf_cstr(&out), "250");
	smtp_reply_fini(&a);
	smtp_reply_fini(&b);
	buf_fini(&out);
}

/* What we make up is not shown as the words of the peer. */
Test(smtp_reply, made_up_replies_have_no_code)
{
	static const struct {
		const char *enhanced, *made, *text, *printed, *status;
	} cases[] = {
		{ "4.4.1", "connect", "Connection refused",
		  "(connect) Connection refused", "4.4.1" },
		{ "4.4.2", "mail", "Time-out", "(mail) Time-out", "4.4.2" },
		{ "4.7.5", "tls", "certificate has expired",
		  "(tls) 4.7.5 certificate has expired", "4.7.5" },
		{ "4.4.1", NULL, "Connection refused",
		  "451 4.4.1 Connection refused", "" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct smtp_reply r = { 0 }, copy = { 0 };
		struct buf out = { 0 };

		smtp_reply_set(&r, 451, cases[i].enhanced,
			       span_str(cases[i].text));
		r.made = cases[i].made;
		smtp_reply_copy(&copy, &r);
		smtp_reply_print(&out, &copy);
		cr_expect_str_eq(buf_cstr(&out), cases[i].printed);
		cr_expect_eq(smtp_reply_is_made(buf_span(&out)),
			     cases[i].made != NULL);
		cr_expect(span_eq(smtp_reply_made_status(buf_span(&out)),
				  span_str(cases[i].status)));
		smtp_reply_reset(&copy);
		cr_expect_null(copy.made);
		smtp_reply_fini(&r);
		smtp_reply_fini(&copy);
		buf_fini(&out);
	}
}
