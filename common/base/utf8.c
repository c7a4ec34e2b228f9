#include "common/base/utf8.h"

/*
 * RFC 3629 section 4: the second byte's range depends on the first; all
 * later ones are 80..BF.
 */
/* clang-format off */
static const struct lead {
	unsigned char first, last; /* of the leading byte */
	unsigned char low, high;   /* of the byte behind it */
	unsigned char length;
} leads[] = {
	{ 0x00, 0x7f, 0x00, 0x00, 1 },
	{ 0xc2, 0xdf, 0x80, 0xbf, 2 },
	{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, /* not overlong */
	{ 0xe1, 0xec, 0x80, 0xbf, 3 },
	{ 0xed, 0xed, 0x80, 0x9f, 3 }, /* no surrogates */
	{ 0xee, 0xef, 0x80, 0xbf, 3 },
	{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, /* not overlong */
	{ 0xf1, 0xf3, 0x80, 0xbf, 4 },
	{ 0xf4, 0xf4, 0x80, 0x8f, 4 }, /* up to U+10FFFF */
};
/* clang-format on */

static size_t match(const struct lead *l, struct span s)
{
	if (s.n < l->length)
		return 0;
	for (size_t i = 1; i < l->length; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < (i == 1 ? l->low : 0x80) ||
		    c > (i == 1 ? l->high : 0xbf))
			return 0;
	}
	return l->length;
}

size_t utf8_char(struct span s)
{
	unsigned char c;

	if (s.n == 0)
		return 0;
	c = (unsigned char)s.p[0];
	for (size_t i = 0; i < sizeof(leads) / sizeof(leads[0]); i++)
		if (c <= leads[i].last)
			return c >= leads[i].first ? match(&leads[i], s) : 0;
	return 0;
}

unsigned utf8_bidi(struct span s, size_t n)
{
	static const struct {
		unsigned from, to;
	} rows[] = {
		{ 0x061c, 0x061c }, { 0x200e, 0x200f }, { 0x2028, 0x202e },
		{ 0x2066, 0x2069 },
	};
	unsigned c = 0;

	if (n == 2)
		c = (s.p[0] & 0x1fU) << 6 | (s.p[1] & 0x3fU);
	else if (n == 3)
		c = (s.p[0] & 0x0fU) << 12 | (s.p[1] & 0x3fU) << 6 |
		    (s.p[2] & 0x3fU);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (c >= rows[i].from && c <= rows[i].to)
			return c;
	return 0;
}

bool utf8_valid(struct span s)
{
	while (s.n > 0) {
		size_t n = utf8_char(s);

		if (n == 0)
			return false;
		s = span_skip(s, n);
	}
	return true;
}

static uint64_t load(const char *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return word;
}

bool span_has_8bit(struct span s)
{
	const uint64_t high = UINT64_C(0x8080808080808080);
	const char *p = s.p, *end = s.n > 0 ? s.p + s.n : s.p;
	uint64_t bits = 0;

	for (; end - p >= 32; p += 32)
		if ((load(p) | load(p + 8) | load(p + 16) | load(p + 24)) &
		    high)
			return true;
	for (; p < end; p++)
		bits |= (unsigned char)*p;
	return (bits & high) != 0;
}
