#include "common/spool/lifetime.h"

#include "common/base/clock.h"

#define AHEAD_MAX DAYS(1)
#define STEADY_FOR DAYS(1)
#define STEADY_WITHIN MINUTES(1)

void lifetime_init(struct lifetime *l, int64_t last_wall_ms, int64_t wall_ms,
		   int64_t mono_ms)
{
	*l = (struct lifetime){
		.wall_ms = last_wall_ms > 0 ? last_wall_ms : wall_ms,
		.mono_ms = mono_ms,
	};
}

void lifetime_believe(struct lifetime *l, int64_t wall_ms, int64_t mono_ms)
{
	*l = (struct lifetime){ .wall_ms = wall_ms, .mono_ms = mono_ms };
}

int64_t lifetime_now(struct lifetime *l, int64_t wall_ms, int64_t mono_ms)
{
	int64_t old = l->wall_ms + (mono_ms - l->mono_ms);
	int64_t off;

	if (wall_ms - old <= AHEAD_MAX) {
		lifetime_believe(l, wall_ms, mono_ms);
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

bool lifetime_is_steady(const struct lifetime *l, int64_t mono_ms)
{
	return l->is_doubting && mono_ms - l->odd_mono_ms >= STEADY_FOR;
}
