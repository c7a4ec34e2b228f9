#include "common/base/span.h"

struct span span_skip(struct span s, size_t offset)
{
	if (offset > s.n)
		offset = s.n;
	if (offset == 0) /* p may be NULL, and NULL + 0 is undefined */
		return s;
	return (struct span){ s.p + offset, s.n - offset };
}

bool span_eq(struct span a, struct span b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

int span_cmp(struct span a, struct span b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n > 0 ? memcmp(a.p, b.p, n) : 0;

	return c != 0 ? c : (a.n > b.n) - (a.n < b.n);
}

bool span_ieq(struct span a, struct span b)
{
	return a.n == b.n && span_istarts(a, b);
}

bool span_starts(struct span s, struct span prefix)
{
	return s.n >= prefix.n &&
	       (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool span_istarts(struct span s, struct span prefix)
{
	if (s.n < prefix.n)
		return false;
	for (size_t i = 0; i < prefix.n; i++)
		if (ascii_lower(s.p[i]) != ascii_lower(prefix.p[i]))
			return false;
	return true;
}

struct span span_cut(struct span *s, char sep)
{
	size_t at = span_find(*s, sep);
	struct span head = { s->p, at };

	*s = span_skip(*s, at < s->n ? at + 1 : at);
	return head;
}

struct span span_trim(struct span s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = span_skip(s, 1);
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

size_t span_find(struct span s, char c)
{
	const char *at = s.n > 0 ? memchr(s.p, c, s.n) : NULL;

	return at != NULL ? (size_t)(at - s.p) : s.n;
}

bool span_u64(struct span s, uint64_t *out)
{
	uint64_t v = 0;

	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		unsigned digit = (unsigned)(unsigned char)s.p[i] - '0';

		if (digit > 9 || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, digit, &v))
			return false;
	}
	*out = v;
	return true;
}

size_t span_copy(struct span s, char *to, size_t room)
{
	size_t n = s.n < room ? s.n : room - 1;

	if (n > 0)
		memcpy(to, s.p, n);
	to[n] = '\0';
	return n;
}
