/* How long a recipient that failed before waits. */
#include "common/base/clock.h"
#include "daemon/drain/retry.h"

int64_t retry_step_ms(const struct config *c, uint32_t attempts)
{
	size_t n = c->drain.retry_count;

	if (n == 0)
		return HOURS(1);
	return c->drain.retry_ms[attempts < n ? attempts : n - 1];
}

int64_t retry_longest_ms(const struct config *c)
{
	int64_t longest = retry_step_ms(c, 0);

	for (size_t i = 1; i < c->drain.retry_count; i++)
		if (c->drain.retry_ms[i] > longest)
			longest = c->drain.retry_ms[i];
	return longest;
}

/* When a recipient that failed before may be tried again. */
int64_t retry_due_ms(const struct config *c, const struct recipient *r)
{
	if (r->attempts == 0 || r->attempt_ms == 0)
		return 0;
	return r->attempt_ms + retry_step_ms(c, r->attempts - 1);
}
