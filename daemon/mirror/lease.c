#include "daemon/mirror/lease.h"

#include "common/base/assert.h"

enum { RENEWALS = 3, BACKOFF_LEAST_MS = 250, BACKOFF_MOST_MS = 15000 };

int64_t lease_until(int64_t asked_ms, int64_t length_ms)
{
	return asked_ms + length_ms;
}

int64_t lease_renew_at(int64_t asked_ms, int64_t length_ms)
{
	return asked_ms + length_ms / RENEWALS;
}

int64_t lease_patience_ms(int64_t length_ms)
{
	return length_ms / RENEWALS;
}

int64_t lease_backoff_ms(unsigned tries, int64_t length_ms, uint64_t random)
{
	int64_t most = length_ms / 2 < BACKOFF_MOST_MS ? length_ms / 2
						       : BACKOFF_MOST_MS;
	int64_t wait = BACKOFF_LEAST_MS;

	while (--tries > 0 && wait < most)
		wait *= 2;
	if (wait > most)
		wait = most;
	/* from half of it to all of it: nodes come back one by one */
	return wait / 2 + (int64_t)(random % (uint64_t)(wait / 2 + 1));
}

bool lease_watch(struct lease_watch *w, const struct lease_row *row,
		 int64_t now_ms)
{
	MX_ASSERT(w->owner == 0 || w->owner == row->owner);
	if (w->owner == 0 || w->seen_ms != row->seen_ms)
		*w = (struct lease_watch){ .owner = row->owner,
					   .seen_ms = row->seen_ms,
					   .since_ms = now_ms };
	if (row->is_free)
		return row->is_over;
	return row->is_over && now_ms - w->since_ms >= 2 * row->length_ms;
}

/* clang-format off */
#define BAD COURSE_COUNT
static const enum course nexts[COURSE_COUNT][TURN_COUNT] = {
	/* none, lost, registered, known, unknown, compared, joined, lacks,
	 * asked, handed */
	[COURSE_AWAY] = { COURSE_AWAY, COURSE_AWAY, COURSE_RETURNING, BAD, BAD,
		BAD, BAD, BAD, COURSE_AWAY, BAD },
	[COURSE_RETURNING] = { COURSE_RETURNING, COURSE_AWAY, BAD,
		COURSE_CATCHING, COURSE_COMPARING, BAD, BAD, BAD,
		COURSE_RETURNING, BAD },
	[COURSE_COMPARING] = { COURSE_COMPARING, COURSE_AWAY, BAD, BAD, BAD,
		COURSE_CATCHING, BAD, BAD, COURSE_COMPARING, BAD },
	[COURSE_CATCHING] = { COURSE_CATCHING, COURSE_AWAY, BAD, BAD, BAD,
		BAD, COURSE_STEP, COURSE_CATCHING, COURSE_CATCHING, BAD },
	[COURSE_STEP] = { COURSE_STEP, COURSE_AWAY, BAD, COURSE_CATCHING, BAD,
		BAD, BAD, COURSE_AWAY, COURSE_LEAVING, BAD },
	[COURSE_LEAVING] = { COURSE_LEAVING, COURSE_AWAY, BAD, COURSE_CATCHING,
		BAD,
		BAD, BAD, COURSE_AWAY, COURSE_LEAVING, COURSE_LEFT },
	[COURSE_LEFT] = { COURSE_LEFT, COURSE_AWAY, BAD, BAD, BAD,
		BAD, BAD, COURSE_LEFT, COURSE_LEFT, BAD },
};
/* clang-format on */

enum course course_next(enum course now, enum turn what)
{
	MX_ASSERT(now < COURSE_COUNT && what < TURN_COUNT);
	return nexts[now][what];
}
