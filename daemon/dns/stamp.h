/* Has a file changed since the last look?  Cheap enough for every few
 * seconds. */
#ifndef MX_DNS_STAMP_H
#define MX_DNS_STAMP_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed: not looked at yet, or not there. */
struct stamp {
	uint64_t device, inode;
	int64_t bytes, changed_s, changed_ns;
};

/* A file that is missing has a stamp of zeros. */
void stamp_take(struct stamp *s, const char *path);
bool stamp_eq(const struct stamp *a, const struct stamp *b);

#endif
