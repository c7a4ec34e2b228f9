/*
 * How many reports leave for one domain in a minute.
 *
 * A sender is easily forged, and refused mail in his name becomes reports to
 * somebody who sent nothing.  So of each domain, listed or not, bounce.rate
 * reports a minute are taken for delivery, whatever they say (failed, delayed,
 * relayed).  The others lose nothing: they are deferred, to the minutes that
 * follow, each with as many as may leave in it.
 *
 *   ready --room in this minute--> in flight
 *     ^  \--none--> deferred to the first minute that has room
 *     +--------------------/
 *
 * Nobody is deferred by more than the longest retry: who would have to wait
 * longer asks again then.  So many waiting reports cost a look each in that
 * time, and a clock that was set back is still noticed (was_set_back).
 */
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "daemon/drain/cap.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/retry.h"

/* Of one domain, on their way to the disk at a time. */
enum { AT_ONCE = 64 };

bool cap_allows(struct domain *dom)
{
	struct cap *c = &dom->cap;
	unsigned rate = dom->drain->config->bounce.rate;
	int64_t now = clock_mono_ms();

	if (rate == 0 || dom->standing == HAS_DENIAL) /* none leaves */
		return true;
	if (c->taken == 0 || now - c->began_ms >= MINUTES(1)) {
		c->began_ms = now;
		c->taken = 0;
		c->is_said = false;
	}
	if (c->taken >= rate)
		return false;
	c->taken++;
	return true;
}

bool cap_counts(const struct cap *c)
{
	int64_t now = clock_mono_ms();

	return (c->taken > 0 && now - c->began_ms < MINUTES(1)) ||
	       c->slot_ms > now || c->deferring > 0;
}

/* How long the next one waits; the minute after this one is filled first. */
static int64_t next_slot_ms(struct domain *dom)
{
	const struct config *config = dom->drain->config;
	struct cap *c = &dom->cap;
	int64_t now = clock_mono_ms(), most = retry_longest_ms(config);
	int64_t wait;

	if (most < MINUTES(1))
		most = MINUTES(1);
	if (c->slot_ms <= now) {
		c->slot_ms = c->began_ms + MINUTES(1);
		c->slot_taken = 0;
	}
	wait = c->slot_ms - now;
	if (wait >= most)
		return most;
	if (++c->slot_taken >= config->bounce.rate) {
		c->slot_ms += MINUTES(1);
		c->slot_taken = 0;
	}
	return wait > 0 ? wait : 0;
}

void cap_defer(struct attempt *a)
{
	struct domain *dom = a->domain;

	if (!dom->cap.is_said)
		log_warn(EV_DEFERRED, LOG_SPAN("domain", domain_name(dom)),
			 LOG_STR("reason", "bounce.rate"),
			 LOG_STR("what", "more reports than may leave for it "
					 "in a minute: they wait"));
	dom->cap.is_said = true;
	dom->cap.deferring++;
	a->is_capped = true;
	a->wait_ms = next_slot_ms(dom);
}

bool cap_is_full(struct domain *dom)
{
	dom->cap.is_full = dom->cap.deferring >= AT_ONCE;
	return dom->cap.is_full;
}

bool cap_is_recorded(struct domain *dom)
{
	bool was_full = dom->cap.is_full;

	MX_ASSERT(dom->cap.deferring > 0);
	dom->cap.deferring--;
	dom->cap.is_full = false;
	return was_full;
}
