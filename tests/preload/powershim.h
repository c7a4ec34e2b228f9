/* The events that powershim writes and tests/powercut reads. */
#ifndef TEST_POWERSHIM_H
#define TEST_POWERSHIM_H

#include <stdint.h>

enum powershim_kind {
	POWER_FIRST = 1,        /* the whole file, when it was opened first */
	POWER_WRITE = 2,        /* bytes at this place, about to be written */
	POWER_WRITE_SYNCED = 3, /* the write before it is durable */
	POWER_FLUSH = 4,        /* a flush begins */
	POWER_FLUSHED = 5,      /* it has succeeded: all before it is durable */
	POWER_TRUNCATE = 6,     /* to this length */
};

/* Followed by its bytes. */
struct powershim_event {
	uint64_t kind, at, bytes;
};

#endif
