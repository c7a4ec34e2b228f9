#include "daemon/ctl/print.h"

#include <inttypes.h>
#include <time.h>
#include <unistr.h>
#include <uniwidth.h>

#include "common/base/clock.h"
#include "common/base/utf8.h"
#include "common/control/control.h"

void print_age(struct buf *out, int64_t ms)
{
	int64_t s = ms > 0 ? ms / 1000 : 0;
	int64_t m = s / 60, h = m / 60, d = h / 24;

	if (s < 60)
		buf_addf(out, "%" PRId64 "s", s);
	else if (m < 60)
		buf_addf(out, "%" PRId64 "m", m);
	else if (h < 24)
		buf_addf(out, "%" PRId64 "h%02" PRId64 "m", h, m % 60);
	else if (d < 100)
		buf_addf(out, "%" PRId64 "d%" PRId64 "h", d, h % 24);
	else
		buf_addf(out, "%" PRId64 "d", d);
}

void print_wait(struct buf *out, int64_t ms)
{
	buf_adds(out, ms < 1000 ? "now" : "in ");
	if (ms >= 1000)
		print_age(out, ms);
}

void print_time(struct buf *out, int64_t wall_ms)
{
	time_t t = (time_t)(wall_ms / 1000);
	struct tm tm;
	char text[32] = "-";

	if (wall_ms != 0 && gmtime_r(&t, &tm) != NULL)
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm);
	buf_adds(out, text);
}

/* U+0080 to U+009F are control characters to a terminal, too. */
static bool is_printable(struct span s, size_t n)
{
	unsigned char first = (unsigned char)s.p[0];

	if (n == 1)
		return first >= ' ' && first != 0x7f;
	return !(first == 0xc2 && (unsigned char)s.p[1] < 0xa0);
}

void print_text(struct buf *out, struct span s)
{
	while (s.n > 0) {
		size_t n = utf8_char(s);

		if (utf8_bidi(s, n) != 0)
			buf_addf(out, "\\u%04x", utf8_bidi(s, n));
		else if (n > 0 && is_printable(s, n))
			buf_add(out, (struct span){ s.p, n });
		else
			buf_addc(out, '?');
		s = span_skip(s, n > 0 ? n : 1);
	}
}

/* Columns of the character that s begins with, and its length. */
static size_t char_columns(struct span s, size_t *n)
{
	const uint8_t *p = (const uint8_t *)s.p;
	ucs4_t c;
	int width;

	*n = utf8_char(s);
	if (*n == 0) {
		*n = 1;
		return 1;
	}
	u8_mbtouc(&c, p, *n);
	width = uc_width(c, "UTF-8");
	return width > 0 ? (size_t)width : 0;
}

size_t print_columns(struct span s)
{
	size_t columns = 0, n;

	for (; s.n > 0; s = span_skip(s, n))
		columns += char_columns(s, &n);
	return columns;
}

void print_cut(struct buf *out, struct span s, size_t columns)
{
	size_t room = columns, n, w;

	if (print_columns(s) <= columns) {
		buf_add(out, s);
		return;
	}
	for (; s.n > 0; s = span_skip(s, n)) {
		w = char_columns(s, &n);
		if (w + 1 > room)
			break;
		room -= w;
		buf_add(out, (struct span){ s.p, n });
	}
	buf_addc(out, '~');
}

/* How much of the line fits: to the end of a word, or all of its first one,
 * what it begins with (blanks, so many octets) aside. */
static size_t fitting(struct span line, size_t blanks, size_t width)
{
	size_t end = 0, columns = 0, n;

	for (size_t i = 0; i < line.n; i += n) {
		bool is_gap = line.p[i] == ' ' && i > blanks &&
			      line.p[i - 1] != ' ';

		columns += char_columns(span_skip(line, i), &n);
		if (is_gap && (end == 0 || columns <= width + 1))
			end = i;
		if (columns > width && end > 0)
			return end;
	}
	return line.n;
}

static void wrap_line(struct buf *out, struct span line, size_t width)
{
	size_t blanks = 0, room = width, n;

	while (blanks < line.n && line.p[blanks] == ' ')
		blanks++;
	while ((n = fitting(line, blanks, room)) < line.n) {
		buf_add(out, span_of(line.p, n));
		buf_addf(out, "\n%*s", (int)blanks + 2, "");
		line = span_skip(line, n);
		while (line.n > 0 && line.p[0] == ' ')
			line = span_skip(line, 1);
		room = width > blanks + 2 ? width - blanks - 2 : 1;
		if (line.n == 0)
			return;
	}
	buf_add(out, line);
}

void print_wrapped(struct buf *out, struct span text, size_t width)
{
	while (text.n > 0) {
		bool is_line = span_find(text, '\n') < text.n;
		struct span line = span_cut(&text, '\n');

		if (width == 0 || print_columns(line) <= width)
			buf_add(out, line);
		else
			wrap_line(out, line, width);
		if (is_line)
			buf_addc(out, '\n');
	}
}

void print_safe(struct buf *out, struct span text)
{
	while (text.n > 0) {
		bool is_crlf;
		size_t n = 0;

		while (n < text.n && text.p[n] != '\n' && text.p[n] != '\t')
			n++;

		is_crlf = n < text.n && n > 0 && text.p[n] == '\n' &&
			  text.p[n - 1] == '\r';
		print_text(out, span_of(text.p, n - is_crlf));
		if (n < text.n)
			buf_addc(out, text.p[n]);
		text = span_skip(text, n + 1);
	}
}

void print_json_safe(struct buf *out, struct span text)
{
	while (text.n > 0) {
		size_t n = utf8_char(text);
		unsigned bidi = utf8_bidi(text, n);
		bool is_c1 = n == 2 && (unsigned char)text.p[0] == 0xc2 &&
			     (unsigned char)text.p[1] < 0xa0;

		if (bidi != 0)
			buf_addf(out, "\\u%04x", bidi);
		else if (is_c1)
			buf_addf(out, "\\u%04x", (unsigned char)text.p[1]);
		else if (text.p[0] == 0x7f)
			buf_adds(out, "\\u007f");
		else
			buf_add(out, (struct span){ text.p, n > 0 ? n : 1 });
		text = span_skip(text, n > 0 ? n : 1);
	}
}

void print_count(struct buf *out, uint64_t n, const char *what)
{
	buf_addf(out, "%" PRIu64 " %s%s", n, what, n == 1 ? "" : "s");
}

bool print_parse_time(struct span s, int64_t *wall_ms)
{
	struct tm tm = { 0 };
	char text[32];
	const char *end;

	if (s.n >= sizeof(text))
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (end == NULL || *end != '\0')
		return false;
	*wall_ms = SECONDS(timegm(&tm));
	return true;
}

int64_t print_get_time(const json_t *object, const char *key)
{
	int64_t ms = 0;

	(void)print_parse_time(control_get_text(object, key), &ms);
	return ms;
}
