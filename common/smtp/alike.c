#include "common/smtp/alike.h"

#include <string.h>

#include "common/base/span.h"

static bool is_word_char(char c)
{
	return c != '\0' && c != ' ';
}

/* The next word that is the same each time. */
static struct span next_word(const char **text)
{
	const char *p = *text;

	for (;;) {
		const char *start;
		bool differs = false;

		while (*p == ' ')
			p++;
		for (start = p; is_word_char(*p); p++)
			differs |= *p == '@' || (*p >= '0' && *p <= '9');
		if (!differs || p == start) {
			*text = p;
			return span_of(start, (size_t)(p - start));
		}
	}
}

static bool say_the_same(const char *a, const char *b)
{
	for (;;) {
		struct span x = next_word(&a), y = next_word(&b);

		if (!span_eq(x, y))
			return false;
		if (x.n == 0)
			return true;
	}
}

/* "ehlo 421 4.3.2": the stage and the codes are compared as they are. */
static size_t codes_length(const char *said)
{
	size_t n = strcspn(said, " ");

	for (;;) {
		size_t gap = strspn(said + n, " ");
		size_t digits = strspn(said + n + gap, "0123456789.");

		if (digits == 0)
			return n;
		n += gap + digits;
	}
}

bool smtp_alike(const char *a, const char *b)
{
	size_t codes = codes_length(a);

	return codes_length(b) == codes && memcmp(a, b, codes) == 0 &&
	       say_the_same(a, b);
}
