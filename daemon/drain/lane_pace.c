/* How many connections relayed mail has, and how fast its primary is. */
#include "common/base/clock.h"
#include "daemon/drain/lane_priv.h"
#include "daemon/drain/link_priv.h"

enum { SMALL_BYTES = 64 * 1024 }; /* latency of larger ones is bandwidth */

static unsigned most_links(const struct dest *dst)
{
	const struct lanes *of = &dst->lanes;
	unsigned most = slots_each(dst);

	if (of->cap > 0 && clock_mono_ms() < of->capped_until_ms &&
	    of->cap < most)
		most = of->cap;
	return of->limit < most ? of->limit : most;
}

/* Half of what there is stays for mail that waits, whatever clients do. */
static unsigned left_of_all(const struct drain *d)
{
	unsigned half = (d->slots[0].most + 1) / 2;

	return d->lane_links < half ? half - d->lane_links : 0;
}

unsigned lane_places(const struct dest *dst)
{
	unsigned most = most_links(dst);
	unsigned can = dst->lanes.links + left_of_all(dst->drain);

	return can < most ? can : most;
}

void lane_went_well(struct dest *dst)
{
	struct lanes *of = &dst->lanes;

	of->losses = 0;
	if (++of->streak < of->limit)
		return;
	of->streak = 0;
	of->limit *= 2;
	if (of->limit > slots_each(dst))
		of->limit = slots_each(dst);
}

void lane_was_lost(struct dest *dst)
{
	struct lanes *of = &dst->lanes;

	of->limit = of->limit > 1 ? of->limit / 2 : 1;
	of->streak = 0;
	if (++of->losses < LANE_LOSSES_MAX)
		return;
	of->losses = 0;
	of->limit = 1;
	of->pause_ms = clock_mono_ms() + dst->machine.params.probe_busy_ms;
}

/* On a good day it is relayed mail, if any, that knows how long a transaction
 * takes there; what its client took is not the primary's. */
void lane_learn_latency(const struct link *l, const struct delivery_job *job)
{
	struct lanes *of = &l->dest->lanes;
	int64_t ms = job->ended_ms - job->started_ms -
		     delivery_dry_ms(l->delivery);

	if (l->target == MACHINE_NONE || job->bytes > SMALL_BYTES ||
	    delivery_job_count(job, OUTCOME_DELIVERED) == 0)
		return;
	of->latency_ms8 +=
		of->latency_ms8 == 0 ? ms * 8 : ms - of->latency_ms8 / 8;
	machine_learn_good(&l->dest->machine, l->target, of->latency_ms8 / 8);
}
