/* Owned bytes that grow. */
#ifndef MX_BASE_BUF_H
#define MX_BASE_BUF_H

#include <stdarg.h>

#include "common/base/span.h"

/* All zero is a valid empty buffer that owns nothing. */
struct buf {
	char *p;
	size_t n;
	size_t cap;
};

/* Give the memory back; it is empty then, and may be used again. */
void buf_fini(struct buf *b);

/* Empty it, keep the memory. */
void buf_reset(struct buf *b);

/* Room for n more bytes; returns where they go.  Add to b->n what was used. */
char *buf_reserve(struct buf *b, size_t n);

/* Append; s may not lie in b. */
void buf_add(struct buf *b, struct span s);
void buf_adds(struct buf *b, const char *s);
void buf_addf(struct buf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Decimal digits. */
void buf_addu(struct buf *b, uint64_t v);

/* Drop n bytes from the front. */
void buf_consume(struct buf *b, size_t n);

/* NUL after the content, not counted in n; valid until the next change. */
const char *buf_cstr(struct buf *b);

static inline void buf_addc(struct buf *b, char c)
{
	char *at = b->n < b->cap ? b->p + b->n : buf_reserve(b, 1);

	*at = c;
	b->n++;
}

static inline struct span buf_span(const struct buf *b)
{
	return (struct span){ b->p, b->n };
}

#endif
