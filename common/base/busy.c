#include "common/base/busy.h"

#include <stdatomic.h>

static atomic_bool now;

void busy_set(bool is_busy)
{
	atomic_store_explicit(&now, is_busy, memory_order_relaxed);
}

bool busy_is(void)
{
	return atomic_load_explicit(&now, memory_order_relaxed);
}
