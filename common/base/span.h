/* Borrowed bytes: a pointer and a length, never assumed NUL-terminated. */
#ifndef MX_BASE_SPAN_H
#define MX_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const char *p;
	size_t n;
};

#define SPAN_LIT(s) ((struct span){ "" s, sizeof(s) - 1 })
/* For printf's "%.*s". */
#define SPAN_ARG(s) (int)(s).n, (s).p

static inline struct span span_str(const char *s)
{
	return (struct span){ s, strlen(s) };
}

static inline struct span span_of(const void *p, size_t n)
{
	return (struct span){ p, n };
}

/* The bytes of s from offset on; empty when offset is past the end. */
struct span span_skip(struct span s, size_t offset);

bool span_eq(struct span a, struct span b);
/* Below, at or above 0 as a goes before b: by bytes, as memcmp(3) has it, and
 * what is at an end before what goes on. */
int span_cmp(struct span a, struct span b);
/* ASCII case folding only: bytes above 127 compare as they are. */
bool span_ieq(struct span a, struct span b);
bool span_starts(struct span s, struct span prefix);
bool span_istarts(struct span s, struct span prefix);

/*
 * Cut s at the first sep: returns what stands before it, leaves in *s what
 * stands after it.  Without a sep, returns all and leaves *s empty.
 */
struct span span_cut(struct span *s, char sep);

/* Without the spaces and tabs at both ends. */
struct span span_trim(struct span s);

/* Index of c, or s.n. */
size_t span_find(struct span s, char c);

/* As a string, cut to room - 1 bytes; returns its length. */
size_t span_copy(struct span s, char *to, size_t room);

/* Decimal digits only, whole span, no overflow; false and *out untouched
 * otherwise. */
bool span_u64(struct span s, uint64_t *out);

/* ASCII lower case of one byte, whatever the locale. */
static inline char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

#endif
