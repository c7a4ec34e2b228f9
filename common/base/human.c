#include "common/base/human.h"

#include <inttypes.h>

void human_size(struct buf *out, uint64_t bytes)
{
	static const char units[] = "KMGTPE";
	uint64_t whole = bytes, tenth = 0;
	size_t unit = 0;

	if (bytes < 1000) {
		buf_addf(out, "%" PRIu64 "B", bytes);
		return;
	}
	/* 1000 and not 1024 ends a step: four digits would widen columns */
	while (whole >= 1000 || unit == 0) {
		tenth = whole % 1024 * 10 / 1024;
		whole /= 1024;
		unit++;
	}
	if (whole < 10)
		buf_addf(out, "%" PRIu64 ".%" PRIu64 "%c", whole, tenth,
			 units[unit - 1]);
	else
		buf_addf(out, "%" PRIu64 "%c", whole, units[unit - 1]);
}
