/* Words, numbers and bytes of a digest. */
#include "common/base/clock.h"
#include "common/base/utf8.h"
#include "daemon/report/digest_priv.h"

enum { QP_COLUMNS = 76 };

/* Bytes that may be shown as they are; 0: none of them. */
static size_t shown(struct span s)
{
	size_t n = utf8_char(s);
	unsigned char c = n > 0 ? (unsigned char)s.p[0] : 0;

	if (c < ' ' || c == 0x7f || utf8_bidi(s, n) != 0)
		return 0;
	/* the control characters of Latin 1 */
	if (n == 2 && c == 0xc2 && (unsigned char)s.p[1] < 0xa0)
		return 0;
	return n;
}

void digest_clean(struct buf *out, struct span text, size_t most)
{
	size_t start = out->n;

	while (text.n > 0) {
		size_t n = shown(text), step = utf8_char(text);

		if (out->n - start + n > most) {
			buf_adds(out, "...");
			return;
		}
		if (n > 0)
			buf_add(out, span_of(text.p, n));
		else
			buf_addc(out, '?');
		text = span_skip(text, step > 0 ? step : 1);
	}
}

void digest_number(struct buf *out, uint64_t n)
{
	if (n >= 1000) {
		digest_number(out, n / 1000);
		buf_addf(out, ",%03u", (unsigned)(n % 1000));
	} else {
		buf_addu(out, n);
	}
}

void digest_count(struct buf *out, uint64_t n, const char *what)
{
	digest_number(out, n);
	buf_addf(out, " %s%s", what, n == 1 ? "" : "s");
}

void digest_time(struct buf *out, int64_t wall_ms)
{
	size_t at = out->n;

	clock_rfc3339(out, wall_ms);
	out->p[at + 10] = ' '; /* "2026-11-21T21:34:38Z" */
	out->n = at + 16;
}

void digest_lasted(struct buf *out, int64_t ms)
{
	int minutes = (int)(ms / MINUTES(1) % 60);
	long long hours = (long long)(ms / HOURS(1));

	if (ms < MINUTES(1))
		buf_addf(out, "%ds", (int)(ms > 0 ? ms / 1000 : 0));
	else if (hours == 0)
		buf_addf(out, "%dm", minutes);
	else if (hours < 24)
		buf_addf(out, "%lldh%02dm", hours, minutes);
	else
		buf_addf(out, "%lldd%02dh", hours / 24, (int)(hours % 24));
}

static void encode_line(struct buf *out, struct span line)
{
	size_t at = 0;

	for (size_t i = 0; i < line.n; i++) {
		unsigned char c = (unsigned char)line.p[i];
		bool is_last = i + 1 == line.n;
		bool is_plain =
			c > ' ' ? c < 0x7f && c != '=' : c == ' ' && !is_last;
		size_t n = is_plain ? 1 : 3;

		if (at + n + !is_last > QP_COLUMNS) {
			buf_adds(out, "=\r\n");
			at = 0;
		}
		if (is_plain)
			buf_addc(out, (char)c);
		else
			buf_addf(out, "=%02X", c);
		at += n;
	}
	buf_adds(out, "\r\n");
}

void digest_encode(struct buf *out, struct span text)
{
	while (text.n > 0)
		encode_line(out, span_cut(&text, '\n'));
}
