/* Our own mistakes: stop at once.  Safe, since a 250 follows the commit. */
#ifndef MX_BASE_ASSERT_H
#define MX_BASE_ASSERT_H

#include <stddef.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* The object whose member p points at. */
#define CONTAINER_OF(p, type, member) \
	((type *)(void *)((char *)(p) - offsetof(type, member)))

/* On in release builds, too. */
#define MX_ASSERT(cond) \
	((cond) ? (void)0 : mx_assert_fail(#cond, __FILE__, __LINE__))

_Noreturn void mx_assert_fail(const char *cond, const char *file,
			      int line);

#endif
