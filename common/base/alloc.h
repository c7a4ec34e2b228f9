/* Memory that is there or the process is not. */
#ifndef MX_BASE_ALLOC_H
#define MX_BASE_ALLOC_H

#include <stddef.h>

/*
 * Never return NULL: what a peer can make large is checked against its limit
 * first, so an allocation that fails is our own mistake.  mx_alloc zeroes.
 * Release with free().
 */
void *mx_alloc(size_t size);
void *mx_alloc_array(size_t count, size_t size);
void *mx_realloc(void *p, size_t size);
char *mx_strdup(const char *s);

#endif
