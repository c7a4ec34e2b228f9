#include "common/base/assert.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/say.h"

void mx_assert_fail(const char *cond, const char *file, int line)
{
	char text[512];
	int n = snprintf(text, sizeof(text),
			 "level=error event=assert file=%s line=%d "
			 "cond=\"%s\"\n",
			 file, line, cond);

	/* Not through the log thread: it may be the one that is broken. */
	if (n > 0)
		say_now(span_of(text, (size_t)n < sizeof(text)
					      ? (size_t)n
					      : sizeof(text) - 1));
	abort();
}
