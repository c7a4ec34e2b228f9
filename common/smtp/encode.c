/*
 * Outbound content: RFC 5321 section 4.5.2.
 *
 * Canonical content has no bare CR or LF.  Should a damaged record bring one
 * all the same, a dot behind any LF is doubled and the end is always preceded
 * by a real CR LF: no content can make the two ends disagree about where it
 * ends.
 */
#include "common/smtp/content.h"

enum { LINE, TEXT, CR, BARE_LF }; /* LINE is 0: a fresh encoder */

static int state_after(int state, struct span s)
{
	char last = s.p[s.n - 1];
	bool behind_cr = s.n > 1 ? s.p[s.n - 2] == '\r' : state == CR;

	if (last == '\n')
		return behind_cr ? LINE : BARE_LF;
	return last == '\r' ? CR : TEXT;
}

/* Up to and with the first LF that a dot follows, or all of s. */
static size_t until_dotted_line(struct span s)
{
	const char *at = s.p, *end = s.p + s.n;

	while (at < end) {
		const char *lf = memchr(at, '\n', (size_t)(end - at));

		if (lf == NULL)
			break;
		at = lf + 1;
		if (at < end && *at == '.')
			return (size_t)(at - s.p);
	}
	return s.n;
}

void smtp_encode_data(struct smtp_encoder *e, struct span content,
		      struct buf *out)
{
	if (content.n == 0)
		return;
	if ((e->state == LINE || e->state == BARE_LF) && content.p[0] == '.')
		buf_addc(out, '.');
	e->state = state_after(e->state, content);
	while (content.n > 0) {
		size_t n = until_dotted_line(content);

		buf_add(out, (struct span){ content.p, n });
		content = span_skip(content, n);
		if (content.n > 0)
			buf_addc(out, '.');
	}
}

void smtp_encode_end(struct smtp_encoder *e, struct buf *out)
{
	if (e->state != LINE)
		buf_adds(out, "\r\n");
	buf_adds(out, ".\r\n");
	e->state = LINE;
}
