/* The third part: the original, or as much of it as is wanted and fits. */
#include "daemon/report/report_priv.h"

#include "common/base/utf8.h"

enum { LINE_MAX_OCTETS = 998 }; /* RFC 5322 section 2.1.1, without CR LF */

/* The next line of *s without its line ending. */
static struct span next_line(struct span *s)
{
	struct span line = span_cut(s, '\n');

	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	return line;
}

/* The header section, without the empty line behind it. */
static struct span header_of(struct span original, bool is_whole)
{
	struct span rest = original;

	while (rest.n > 0) {
		const char *at = rest.p;
		bool has_end = span_find(rest, '\n') < rest.n;

		/* a line that the limit cut is left out */
		if (next_line(&rest).n == 0 || (!has_end && !is_whole))
			return (struct span){ original.p,
					      (size_t)(at - original.p) };
	}
	return original;
}

/* As MIME's 7bit and 8bit want it (RFC 2045 section 2.7)? */
static bool is_presentable(struct span s)
{
	if (span_find(s, '\0') < s.n)
		return false;
	while (s.n > 0)
		if (next_line(&s).n > LINE_MAX_OCTETS)
			return false;
	return true;
}

/*
 * RFC 3461 section 4.3: RET speaks of failures only.  RFC 8689 section 5: a
 * report of a REQUIRETLS message never holds its content.
 */
static bool wants_full(const struct report *r)
{
	if (r->env->ret != SMTP_RET_FULL || r->env->requiretls)
		return false;
	if (!r->original_is_whole || r->original.n > REPORT_QUOTE_MAX)
		return false;
	for (size_t i = 0; i < r->count; i++)
		if (r->rcpts[i].action == REPORT_FAILED)
			return is_presentable(r->original);
	return false;
}

static void add_type(struct buf *out, const char *type, bool is_8bit)
{
	buf_addf(out, "Content-Description: %s\r\n",
		 strstr(type, "headers") != NULL ? "Header of your message"
						 : "Your message");
	buf_addf(out, "Content-Type: %s\r\n", type);
	if (is_8bit)
		buf_adds(out, "Content-Transfer-Encoding: 8bit\r\n");
	buf_adds(out, "\r\n");
}

/* Header lines as they are, except for what no line may hold. */
static void add_header_lines(struct buf *out, struct span header)
{
	while (header.n > 0) {
		struct span line = next_line(&header);
		size_t room = LINE_MAX_OCTETS;

		while (line.n > room) { /* fold where we must */
			buf_add(out, (struct span){ line.p, room });
			buf_adds(out, "\r\n ");
			line = span_skip(line, room);
			room = LINE_MAX_OCTETS - 1;
		}
		buf_add(out, line);
		buf_adds(out, "\r\n");
	}
}

static void replace_nul(char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] == '\0')
			p[i] = '?';
}

void report_quote_add(const struct report *r, struct buf *out)
{
	struct span header = header_of(r->original, r->original_is_whole);
	bool global = r->env->smtputf8 && span_has_8bit(header);
	bool is_8bit = span_has_8bit(header);
	size_t start;

	if (wants_full(r)) {
		add_type(out, global ? "message/global" : "message/rfc822",
			 span_has_8bit(r->original));
		buf_add(out, r->original);
		return;
	}
	add_type(out, global ? "message/global-headers" : "text/rfc822-headers",
		 is_8bit);
	start = out->n;
	add_header_lines(out, header);
	if (out->n > start)
		replace_nul(out->p + start, out->n - start);
}

struct span report_message_id(struct span original)
{
	const struct span name = SPAN_LIT("Message-ID:");
	const struct span none = { NULL, 0 };

	while (original.n > 0) {
		struct span line = next_line(&original);

		if (line.n == 0)
			return none;
		if (!span_istarts(line, name))
			continue;
		line = span_trim(span_skip(line, name.n));
		if (line.n < 3 || line.n > 250 || line.p[0] != '<' ||
		    span_find(line, '>') != line.n - 1)
			return none;
		for (size_t i = 0; i < line.n; i++)
			if (line.p[i] <= ' ' || line.p[i] > '~')
				return none;
		return line;
	}
	return none;
}
