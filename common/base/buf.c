#include "common/base/buf.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"

void buf_fini(struct buf *b)
{
	free(b->p);
	*b = (struct buf){ 0 };
}

void buf_reset(struct buf *b)
{
	b->n = 0;
}

char *buf_reserve(struct buf *b, size_t n)
{
	size_t need;

	MX_ASSERT(!__builtin_add_overflow(b->n, n, &need));
	if (need > b->cap) {
		size_t cap = b->cap > 0 ? b->cap : 64;

		while (cap < need) /* doubles: amortised O(1) a byte */
			MX_ASSERT(!__builtin_mul_overflow(cap, 2, &cap));
		b->p = mx_realloc(b->p, cap);
		b->cap = cap;
	}
	/* p may be NULL when nothing was asked for: NULL + 0 is undefined */
	return b->n > 0 ? b->p + b->n : b->p;
}

void buf_add(struct buf *b, struct span s)
{
	if (s.n == 0)
		return;
	memcpy(buf_reserve(b, s.n), s.p, s.n);
	b->n += s.n;
}

void buf_adds(struct buf *b, const char *s)
{
	buf_add(b, span_str(s));
}

static size_t add_formatted(struct buf *b, size_t room, const char *fmt,
			    va_list ap)
{
	int len = vsnprintf(b->p + b->n, room, fmt, ap);

	MX_ASSERT(len >= 0);
	return (size_t)len;
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
	enum { OFTEN_ENOUGH = 48 };
	va_list ap;
	size_t len;

	/* mostly it fits, and formatting once to measure costs as much */
	buf_reserve(b, OFTEN_ENOUGH);
	va_start(ap, fmt);
	len = add_formatted(b, b->cap - b->n, fmt, ap);
	va_end(ap);
	if (len >= b->cap - b->n) {
		buf_reserve(b, len + 1);
		va_start(ap, fmt);
		add_formatted(b, len + 1, fmt, ap);
		va_end(ap);
	}
	b->n += len;
}

void buf_addu(struct buf *b, uint64_t v)
{
	enum { DIGITS_MAX = 20 };
	char text[DIGITS_MAX];
	size_t at = sizeof(text);

	do
		text[--at] = (char)('0' + v % 10);
	while ((v /= 10) > 0);
	buf_add(b, span_of(text + at, sizeof(text) - at));
}

void buf_consume(struct buf *b, size_t n)
{
	MX_ASSERT(n <= b->n);
	b->n -= n;
	if (b->n > 0 && n > 0)
		memmove(b->p, b->p + n, b->n);
}

const char *buf_cstr(struct buf *b)
{
	*buf_reserve(b, 1) = '\0';
	return b->p;
}
