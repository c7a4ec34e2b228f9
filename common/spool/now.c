#include "common/spool/now.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/spool/spool_priv.h"

static void log_clock(const struct spool *sp, int64_t wall_ms, int64_t now_ms)
{
	if (sp->clock.is_doubting)
		log_warn(EV_SPOOL,
			 LOG_INT("ahead_s", (wall_ms - now_ms) / 1000),
			 LOG_STR("error",
				 "the clock is ahead by more than a day: no "
				 "lifetime ends by it until it has run for a "
				 "day"));
	else
		log_warn(EV_SPOOL, LOG_STR("clock", "believed again"));
}

int64_t now_trusted(struct spool *sp, int64_t wall_ms)
{
	bool was_doubting = sp->clock.is_doubting;
	int64_t now_ms =
		trusted_clock_now(&sp->clock, wall_ms, clock_mono_ms());

	MX_ASSERT(now_ms <= wall_ms);
	if (sp->clock.is_doubting != was_doubting)
		log_clock(sp, wall_ms, now_ms);
	return now_ms;
}

void now_start(struct spool *sp)
{
	int64_t wall_ms = clock_wall_ms();

	trusted_clock_init(&sp->clock, sp->state.wall_ms, wall_ms,
			   clock_mono_ms());
	atomic_store(&sp->trusted_ms, now_trusted(sp, wall_ms));
}
