#include "daemon/ctl/print.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

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

size_t print_columns(struct span s)
{
	size_t columns = 0;

	for (size_t i = 0; i < s.n; i++)
		columns += ((unsigned char)s.p[i] & 0xc0) != 0x80;
	return columns;
}

void print_cut(struct buf *out, struct span s, size_t columns)
{
	if (print_columns(s) <= columns) {
		buf_add(out, s);
		return;
	}
	for (size_t i = 1; i < columns && s.n > 0; i++) {
		size_t n = utf8_char(s);

		n = n > 0 ? n : 1;
		buf_add(out, (struct span){ s.p, n });
		s = span_skip(s, n);
	}
	buf_addc(out, '~');
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
