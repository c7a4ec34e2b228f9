#include "daemon/tables/due.h"

#include "common/base/clock.h"

enum { FIRST_MS = 5000, LEAST_MAX_MS = 60000, DOUBLED_MAX = 12 };

int64_t due_wait_ms(int64_t refresh_ms, unsigned failures,
		    int64_t retry_after_ms, uint64_t random)
{
	int64_t wait_ms = refresh_ms, fifth;

	if (failures > 0) {
		unsigned doubled = failures - 1 < DOUBLED_MAX ? failures - 1
							      : DOUBLED_MAX;
		/* who asks every second need not be as eager in vain */
		int64_t most_ms = refresh_ms > LEAST_MAX_MS ? refresh_ms
							    : LEAST_MAX_MS;

		wait_ms = (int64_t)FIRST_MS << doubled;
		if (wait_ms > most_ms)
			wait_ms = most_ms;
	}
	if (wait_ms < retry_after_ms)
		wait_ms = retry_after_ms;
	fifth = wait_ms / 5;
	return wait_ms - fifth / 2 +
	       (fifth > 0 ? (int64_t)(random % (uint64_t)fifth) : 0);
}
