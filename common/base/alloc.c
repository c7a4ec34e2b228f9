#include "common/base/alloc.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"

void *mx_alloc(size_t size)
{
	return mx_alloc_array(1, size);
}

void *mx_alloc_array(size_t count, size_t size)
{
	void *p = calloc(count > 0 ? count : 1, size > 0 ? size : 1);

	MX_ASSERT(p != NULL);
	return p;
}

void *mx_realloc(void *p, size_t size)
{
	p = realloc(p, size > 0 ? size : 1);
	MX_ASSERT(p != NULL);
	return p;
}

char *mx_strdup(const char *s)
{
	char *copy = strdup(s);

	MX_ASSERT(copy != NULL);
	return copy;
}
