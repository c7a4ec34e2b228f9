#include "common/spool/trusted_clock.h"

#include "common/base/clock.h"

#define AHEAD_MAX DAYS(1)
#define STEADY_FOR DAYS(1)
#define STEADY_WITHIN MINUTES(1)

void trusted_clock_init(struct trusted_clock *l, int64_t last_wall_ms,
			int64_t wall_ms, int64_t mono_ms)
{
	*l = (struct trusted_clock){
		.wall_ms = last_wall_ms > 0 ? last_wall_ms : wall_ms,
		.mono_ms = mono_ms,
	};
}

void trusted_clock_believe(struct trusted_clock *l, int64_t wall_ms,
			   int64_t mono_ms)
{
	*l = (struct trusted_clock){ .wall_ms = wall_ms, .mono_ms = mono_ms };
}

int64_t trusted_clock_now(struct trusted_clock *l, int64_t wall_ms,
			  int64_t mono_ms)
{
	int64_t old = l->wall_ms + (mono_ms - l->mono_ms);
	int64_t off;

	if (wall_ms - old <= AHEAD_MAX) {
		trusted_clock_believe(l, wall_ms, mono_ms);
		return wall_ms;
	}
	off = l->odd_wall_ms + (mono_ms - l->odd_mono_ms) - wall_ms;
	if (!l->is_doubting)
		l->since_ms = old;
	if (!l->is_doubting || off > STEADY_WITHIN || off < -STEADY_WITHIN) {
		l->is_doubting = true;
		l->odd_wall_ms = wall_ms;
		l->odd_mono_ms = mono_ms;
	}
	return old;
}

bool trusted_clock_is_steady(const struct trusted_clock *l, int64_t mono_ms)
{
	return l->is_doubting && mono_ms - l->odd_mono_ms >= STEADY_FOR;
}
