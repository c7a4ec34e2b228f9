#include "common/spool/calm.h"

#include "common/base/clock.h"

enum { CALM_MS = 300, AGAIN_MS = 5000 };

void calm_begin(struct spool *sp)
{
	struct mirror_state *m = &sp->mirror;
	int64_t now = clock_mono_ms();

	if (m->in_step || m->row.walked != UINT64_MAX ||
	    now < m->calm_again_ms)
		return;
	m->calm_until_ms = now + (m->calm_ms > 0 ? m->calm_ms : CALM_MS);
	m->calm_again_ms = m->calm_until_ms + AGAIN_MS;
}

void calm_end(struct spool *sp)
{
	sp->mirror.calm_until_ms = 0;
}

int64_t calm_left_ms(const struct spool *sp)
{
	const struct mirror_state *m = &sp->mirror;
	int64_t left;

	if (m->calm_until_ms == 0)
		return 0;
	left = m->calm_until_ms - clock_mono_ms();
	return left > 0 ? left : 0;
}
