/* Big-endian numbers and counted strings: the alphabet of stored records. */
#ifndef MX_SPOOL_BYTES_H
#define MX_SPOOL_BYTES_H

#include "common/base/assert.h"
#include "common/base/span.h"

/* Write n bytes of v at p, most significant first; returns what follows. */
static inline char *bytes_put(char *p, uint64_t v, size_t n)
{
	for (size_t i = n; i > 0; i--) {
		p[i - 1] = (char)(v & 0xff);
		v >>= 8;
	}
	return p + n;
}

/* A string with its length in two bytes before it. */
static inline char *bytes_put_span(char *p, struct span s)
{
	MX_ASSERT(s.n <= UINT16_MAX);
	p = bytes_put(p, s.n, 2);
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return p + s.n;
}

/* Reading takes from the front of in; what is short makes it bad, and all
 * that follows reads as zero. */
struct bytes_in {
	struct span left;
	bool bad;
};

static inline uint64_t bytes_get(struct bytes_in *in, size_t n)
{
	uint64_t v = 0;

	if (in->bad || in->left.n < n) {
		in->bad = true;
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		v = v << 8 | (unsigned char)in->left.p[i];
	in->left.p += n;
	in->left.n -= n;
	return v;
}

/* Borrows from the input. */
static inline struct span bytes_get_n(struct bytes_in *in, uint64_t n)
{
	struct span s;

	if (in->bad || in->left.n < n) {
		in->bad = true;
		return (struct span){"", 0};
	}
	s = (struct span){in->left.p, (size_t)n};
	in->left.p += n;
	in->left.n -= (size_t)n;
	return s;
}

static inline struct span bytes_get_span(struct bytes_in *in)
{
	return bytes_get_n(in, bytes_get(in, 2));
}

/* Everything was there and nothing is left over. */
static inline bool bytes_end(const struct bytes_in *in)
{
	return !in->bad && in->left.n == 0;
}

#endif
