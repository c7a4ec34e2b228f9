#include "daemon/ctl/nearest.h"

#include <string.h>

enum { LETTERS = 32 };

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Three rows of the table of all beginnings of one word and the other. */
unsigned nearest_distance(const char *word, const char *other)
{
	unsigned rows[3][LETTERS + 1];
	unsigned *before = rows[0], *last = rows[1], *row = rows[2];
	size_t n = strlen(word), m = strlen(other);

	if (n > LETTERS || m > LETTERS)
		return NEAREST_FAR;
	for (unsigned j = 0; j <= m; j++)
		last[j] = before[j] = j;
	for (unsigned i = 1; i <= n; i++) {
		unsigned *oldest = before;

		row[0] = i;
		for (unsigned j = 1; j <= m; j++) {
			char a = word[i - 1], b = other[j - 1];

			row[j] = least(least(last[j], row[j - 1]) + 1,
				       last[j - 1] + (a != b));
			if (i > 1 && j > 1 && a == other[j - 2] &&
			    word[i - 2] == b)
				row[j] = least(row[j], before[j - 2] + 1);
		}
		before = last;
		last = row;
		row = oldest;
	}
	return last[m];
}

int nearest_is_near(const char *word, unsigned distance)
{
	return distance <= 2 && 2 * distance < strlen(word);
}
