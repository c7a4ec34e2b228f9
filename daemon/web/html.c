#include "daemon/web/html.h"

#include <time.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/utf8.h"

/* ---- Text ---- */

static const char *entity_of(char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return NULL;
	}
}

/* C0, DEL, and C1 in two bytes. */
static bool is_control(struct span s, size_t n)
{
	unsigned char c = (unsigned char)s.p[0];

	return (n == 1 && (c < ' ' || c == 0x7f)) ||
	       (n == 2 && c == 0xc2 && (unsigned char)s.p[1] < 0xa0);
}

static void add_char(struct buf *out, struct span s, size_t n)
{
	const char *entity = entity_of(s.p[0]);

	if (n == 0 || is_control(s, n) || utf8_bidi(s, n) != 0)
		buf_adds(out, "\xef\xbf\xbd");
	else if (entity != NULL)
		buf_adds(out, entity);
	else
		buf_add(out, span_of(s.p, n));
}

void html_text_cut(struct buf *out, struct span s, size_t most)
{
	while (s.n > 0) {
		size_t n = utf8_char(s);

		if (most-- == 0) {
			buf_adds(out, "\xe2\x80\xa6");
			return;
		}
		add_char(out, s, n);
		s = span_skip(s, n > 0 ? n : 1);
	}
}

void html_text(struct buf *out, struct span s)
{
	html_text_cut(out, s, SIZE_MAX);
}

/* ---- Numbers ---- */

#define GAP "\xc2\xa0" /* a number and its unit stay together */

void html_number(struct buf *out, uint64_t n)
{
	struct buf digits = { 0 };

	buf_addu(&digits, n);
	for (size_t i = 0; i < digits.n; i++) {
		if (i > 0 && (digits.n - i) % 3 == 0)
			buf_addc(out, ',');
		buf_addc(out, digits.p[i]);
	}
	buf_fini(&digits);
}

void html_count(struct buf *out, uint64_t n, const char *one, const char *many)
{
	html_number(out, n);
	buf_addf(out, " %s", n == 1 ? one : many);
}

void html_size(struct buf *out, uint64_t bytes)
{
	static const char *const units[] = { "B",   "KiB", "MiB",
					     "GiB", "TiB", "PiB" };
	double v = (double)bytes;
	size_t i = 0;

	while (v >= 1000 && i + 1 < COUNT(units)) {
		v /= 1024;
		i++;
	}
	buf_addf(out, i > 0 && v < 10 ? "%.1f" GAP "%s" : "%.0f" GAP "%s", v,
		 units[i]);
}

/* "3 h 12 min"; "3 h" when there is nothing to add. */
static void two_units(struct buf *out, int64_t a, const char *unit_a, int64_t b,
		      const char *unit_b)
{
	buf_addf(out, "%lld" GAP "%s", (long long)a, unit_a);
	if (b > 0)
		buf_addf(out, " %lld" GAP "%s", (long long)b, unit_b);
}

void html_age(struct buf *out, int64_t ms)
{
	int64_t s = ms > 0 ? ms / 1000 : 0;

	if (s < 60)
		buf_addf(out, "%lld" GAP "s", (long long)s);
	else if (s < 3600)
		buf_addf(out, "%lld" GAP "min", (long long)(s / 60));
	else if (s < 86400)
		two_units(out, s / 3600, "h", s / 60 % 60, "min");
	else
		two_units(out, s / 86400, "d", s / 3600 % 24, "h");
}

void html_time(struct buf *out, int64_t wall_ms)
{
	time_t t = (time_t)(wall_ms / 1000);
	char text[40] = "";
	struct tm tm;

	if (gmtime_r(&t, &tm) != NULL)
		strftime(text, sizeof(text), "%d %b, %H:%M", &tm);
	buf_adds(out, "<time datetime=\"");
	clock_rfc3339(out, wall_ms);
	buf_addf(out, "\">%s</time>", text[0] == '0' ? text + 1 : text);
}

void html_decimal(struct buf *out, double v, int digits)
{
	buf_addf(out, "%.*f", digits, v);
}
