#include "common/base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void mx_assert_fail(const char *cond, const char *file, int line)
{
	/* Not through the log thread: it may be the one that is broken. */
	fprintf(stderr, "level=error event=assert file=%s line=%d cond=\"%s\"\n",
		file, line, cond);
	abort();
}
