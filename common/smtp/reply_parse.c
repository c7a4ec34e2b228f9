/*
 * Replies off the wire, bounded in every direction: bytes in all, and what is
 * kept of a line and of the text.
 *
 *   Reply-line = *( Reply-code "-" [ textstring ] CRLF )
 *                Reply-code [ SP textstring ] CRLF     RFC 5321 section 4.2
 *
 * A line without a code between others is text.  One that stands alone, and
 * lines whose codes differ, are a reply that says nothing: to guess which is
 * meant could lose mail.
 */
#include "common/smtp/reply.h"

#include "common/base/utf8.h"

/* One line: "250-2.1.5 text" taken apart. */
struct reply_line {
	int code;
	bool last;
	struct span text;
};

static bool line_split(struct span s, struct reply_line *out)
{
	uint64_t code;

	if (s.n < 3 || !span_u64((struct span){ s.p, 3 }, &code) ||
	    code < 200 || code > 599)
		return false;
	if (s.n > 3 && s.p[3] != ' ' && s.p[3] != '-')
		return false;
	out->code = (int)code;
	out->last = s.n == 3 || s.p[3] == ' ';
	out->text = span_skip(s, 4);
	return true;
}

/*
 * RFC 2034 section 4: class "." subject "." detail, the class that of the
 * reply code.  Length of the code, 0 when there is none.
 */
static size_t enhanced_length(struct span s, int code)
{
	size_t at = 1;

	if (s.n < 5 || s.p[0] != '0' + code / 100 || s.p[0] == '3')
		return 0; /* there is no class 3 (RFC 3463 section 2) */
	for (int part = 0; part < 2; part++) {
		size_t digits = 0;

		if (at == s.n || s.p[at] != '.')
			return 0;
		at++;
		while (at < s.n && s.p[at] >= '0' && s.p[at] <= '9') {
			at++;
			digits++;
		}
		if (digits < 1 || digits > 3)
			return 0;
	}
	return at == s.n || s.p[at] == ' ' ? at : 0;
}

/* Is it a control character, U+0080 to U+009F included? */
static bool is_control(struct span c)
{
	unsigned char first = (unsigned char)c.p[0];

	return first < ' ' || first == 0x7f ||
	       (first == 0xc2 && (unsigned char)c.p[1] < 0xa0);
}

/*
 * What a peer says ends on terminals, in logs and in JSON: no control bytes,
 * and UTF-8 or nothing.
 */
static void add_clean(struct buf *out, struct span s)
{
	while (s.n > 0) {
		size_t n = utf8_char(s);
		struct span c = { s.p, n };

		if (n == 0)
			buf_addc(out, '?');
		else if (is_control(c))
			buf_addc(out, ' ');
		else
			buf_add(out, c);
		s = span_skip(s, n > 0 ? n : 1);
	}
}

/*
 * The first line decides which enhanced code the reply has; the others repeat
 * it (RFC 2034 section 4).  How much of the front of line is that code?
 */
static size_t take_enhanced(struct smtp_reply *r, struct span line, bool first)
{
	size_t n = enhanced_length(line, r->code);

	if (n > 0 && first) {
		memcpy(r->enhanced, line.p, n); /* at most 1+1+3+1+3 */
		r->enhanced[n] = '\0';
	}
	if (n == 0 || !span_eq(span_of(line.p, n), span_str(r->enhanced)))
		return 0;
	return n < line.n ? n + 1 : n; /* and the blank behind it */
}

/* Whole lines only: half a keyword of EHLO could mislead.  False: no room. */
static bool add_text(struct smtp_reply *r, struct span text, bool first)
{
	if (r->text.n + text.n >= SMTP_REPLY_TEXT_MAX)
		return false;
	if (!first)
		buf_addc(&r->text, '\n');
	add_clean(&r->text, text);
	return true;
}

static void add_line(struct smtp_reply *r, struct span text, bool first)
{
	struct buf *out = &r->text;
	size_t start = out->n + !first, n;

	if (!add_text(r, text, first))
		return;
	n = take_enhanced(r, span_skip(buf_span(out), start), first);
	if (n > 0)
		memmove(out->p + start, out->p + start + n, out->n - start - n);
	out->n -= n;
}

/* 451, and all that was said as text. */
static void make_odd(struct smtp_reply *r)
{
	struct buf said = { 0 };

	buf_adds(&said, "(odd reply) ");
	if (r->code != 0)
		smtp_reply_print(&said, r);
	else
		buf_add(&said, buf_span(&r->text));
	smtp_reply_set(r, 451, "4.5.0", buf_span(&said));
	r->is_odd = true;
	buf_fini(&said);
}

static enum smtp_reply_state take_bare(struct smtp_reply_parser *p,
				       struct span line, struct smtp_reply *r)
{
	add_text(r, line, p->lines == 1);
	if (p->lines > 1)
		return SMTP_REPLY_MORE;
	p->lines = 0;
	make_odd(r);
	r->is_bare = true;
	return SMTP_REPLY_DONE;
}

static enum smtp_reply_state take_coded(struct smtp_reply_parser *p,
					struct span line, struct reply_line *l,
					struct smtp_reply *r)
{
	if (p->lines == 1) {
		p->code = r->code = l->code;
		p->is_odd = false;
	}
	if (l->code == p->code) {
		add_line(r, l->text, p->lines == 1);
	} else {
		p->is_odd = true;
		add_text(r, line, false);
	}
	if (!l->last)
		return SMTP_REPLY_MORE;
	p->lines = 0;
	if (p->is_odd)
		make_odd(r);
	return SMTP_REPLY_DONE;
}

static enum smtp_reply_state take_line(struct smtp_reply_parser *p,
				       struct span line, struct smtp_reply *r)
{
	struct reply_line l;

	p->lines++;
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	if (p->lines == 1)
		smtp_reply_reset(r);
	if (!line_split(line, &l))
		return take_bare(p, line, r);
	return take_coded(p, line, &l, r);
}

void smtp_reply_parser_fini(struct smtp_reply_parser *p)
{
	buf_fini(&p->line);
	*p = (struct smtp_reply_parser){ 0 };
}

/* The next line of *in, joined with what is held of it; false: not yet.  Of a
 * long one the front is kept. */
static bool next_line(struct smtp_reply_parser *p, struct span *in,
		      struct span *line)
{
	size_t lf = span_find(*in, '\n');
	struct span part = { in->p, lf };
	bool whole = lf < in->n;

	*in = span_skip(*in, whole ? lf + 1 : lf);
	p->bytes += whole ? lf + 1 : lf;
	if (part.n > SMTP_REPLY_LINE_MAX - p->line.n)
		part.n = SMTP_REPLY_LINE_MAX - p->line.n;
	if (whole && p->line.n == 0) {
		*line = part;
		return true;
	}
	buf_add(&p->line, part);
	*line = buf_span(&p->line);
	return whole;
}

enum smtp_reply_state smtp_reply_feed(struct smtp_reply_parser *p,
				      struct span *in, struct smtp_reply *r)
{
	enum smtp_reply_state state = SMTP_REPLY_MORE;
	struct span line;

	while (state == SMTP_REPLY_MORE && in->n > 0) {
		bool is_whole = next_line(p, in, &line);

		if (p->bytes > SMTP_REPLY_BYTES_MAX)
			return SMTP_REPLY_BAD;
		if (!is_whole)
			break;
		state = take_line(p, line, r);
		buf_reset(&p->line);
	}
	if (state != SMTP_REPLY_MORE)
		p->bytes = 0;
	return state;
}

enum mx_err smtp_reply_parse(struct span lines, struct smtp_reply *r)
{
	struct smtp_reply_parser p = { 0 };
	enum smtp_reply_state state = smtp_reply_feed(&p, &lines, r);

	if (state == SMTP_REPLY_MORE && p.line.n > 0) /* no LF at the end */
		state = take_line(&p, buf_span(&p.line), r);
	smtp_reply_parser_fini(&p);
	return state == SMTP_REPLY_DONE && lines.n == 0 && !r->is_odd
		       ? MX_OK
		       : MX_EINVAL;
}
