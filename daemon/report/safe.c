#include "daemon/report/report_priv.h"

enum {
	COLUMNS = 76,
	VALUE_MAX = 900, /* with its name, well below the 998 of RFC 5322
			    section 2.1.1 */
};

static char clean_byte(char c, bool utf8)
{
	unsigned char u = (unsigned char)c;

	if (u < ' ' || u == 0x7f)
		return '?';
	return u > 0x7f && !utf8 ? '?' : c;
}

/* No cut in the middle of a UTF-8 sequence. */
static struct span cut(struct span s, size_t max)
{
	if (s.n <= max)
		return s;
	s.n = max;
	while (s.n > 0 && ((unsigned char)s.p[s.n] & 0xc0) == 0x80)
		s.n--;
	return s;
}

void report_clean(struct buf *out, struct span value, bool utf8)
{
	value = cut(value, VALUE_MAX);
	char *at = buf_reserve(out, value.n);

	for (size_t i = 0; i < value.n; i++)
		at[i] = clean_byte(value.p[i], utf8);
	out->n += value.n;
}

void report_field(struct buf *out, const char *name, struct span value,
		  bool utf8)
{
	buf_addf(out, "%s: ", name);
	report_clean(out, value, utf8);
	buf_adds(out, "\r\n");
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The next word of *s; empty at the end. */
static struct span next_word(struct span *s)
{
	size_t n = 0;

	while (s->n > 0 && is_blank(s->p[0]))
		*s = span_skip(*s, 1);
	while (n < s->n && n < VALUE_MAX && !is_blank(s->p[n]))
		n++;
	struct span word = { s->p, n };
	*s = span_skip(*s, n);
	return word;
}

void report_wrap(struct buf *out, size_t at, const char *prefix,
		 struct span value)
{
	bool is_first = true;

	for (;;) {
		struct span word = next_word(&value);

		if (word.n == 0)
			return;
		if (!is_first && at + 1 + word.n > COLUMNS) {
			buf_addf(out, "\r\n%s", prefix);
			at = strlen(prefix);
		} else if (!is_first) {
			buf_addc(out, ' ');
			at++;
		}
		report_clean(out, word, false);
		at += word.n;
		is_first = false;
	}
}

void report_field_text(struct buf *out, const char *name, struct span value)
{
	buf_addf(out, "%s: ", name);
	report_wrap(out, strlen(name) + 2, "    ", value);
	buf_adds(out, "\r\n");
}
