/* Does the daemon work?  Written by the loop, read by the server's thread:
 * also when the loop stands, which is what is asked. */
#ifndef MX_WEB_HEALTH_H
#define MX_WEB_HEALTH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	HEALTH_BEAT_MS = 1000,
	HEALTH_STANDS_MS = 5000, /* the loop, when it was not heard of */
};

struct health {
	_Atomic int64_t beat_ms; /* monotonic: the loop was alive */
	atomic_bool has_disk_failed;
};

static inline void health_beat(struct health *h, int64_t now_ms,
			       bool has_disk_failed)
{
	atomic_store(&h->beat_ms, now_ms);
	atomic_store(&h->has_disk_failed, has_disk_failed);
}

/* What is wrong, a line; NULL: nothing is. */
static inline const char *health_trouble(const struct health *h, int64_t now_ms)
{
	if (now_ms - atomic_load(&h->beat_ms) > HEALTH_STANDS_MS)
		return "the loop stands\n";
	if (atomic_load(&h->has_disk_failed))
		return "the disk failed\n";
	return NULL;
}

#endif
