/* Mail for a connection; and another host in its turn. */
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/drain/drain_priv.h"

enum { FILL_MAX = 64 }; /* units given in one go */

/* After a loss one is sent ahead.  And for as long as that loss took the next
 * oldest may be of the same kind: the newest go first, and nothing queues
 * behind what may hang. */
static bool is_wary(const struct dest *dst)
{
	return dst->is_shaken || clock_mono_ms() < dst->wary_until_ms;
}

/* Every fifth connection serves the newest mail, if it is not the only one:
 * fresh mail does not wait behind a backlog of days. */
static bool takes_newest(const struct link *l)
{
	return is_wary(l->dest) || (l->is_newest_first && l->dest->live > 1);
}

static bool takes_more(const struct link *l)
{
	if (is_wary(l->dest) && delivery_jobs(l->delivery) > 0)
		return false;
	return delivery_room(l->delivery) > 0;
}

/* One connection of many, or the only one, goes over to a host with fewer:
 * first the new one is made, then the old one ends (link_relieve). */
static bool seek_relief(struct dest *dst, int target)
{
	int other;

	if (dst->scout != NULL || TAILQ_EMPTY(&dst->ring) ||
	    !slots_have_room(dst))
		return false;
	dest_note_links(dst);
	other = machine_relief(&dst->machine, target);
	if (other != MACHINE_NONE)
		link_new(dst, other, LINK_SCOUT);
	return true;
}

/* Does it carry more than this one, that the load were more even without? */
static bool is_rather(const struct dest *dst, const struct link *a,
		      const struct link *b)
{
	unsigned of_a = dst->mtargets[a->target].links;
	unsigned of_b = dst->mtargets[b->target].links;

	return of_a != of_b ? of_a > of_b : a->jobs_done > b->jobs_done;
}

void link_relieve(struct dest *dst, const struct link *by)
{
	unsigned rank = dst->mtargets[by->target].rank;
	struct link *l, *most = NULL;

	if (dst->live <= dst->machine.limit)
		return;
	dest_note_links(dst);
	LIST_FOREACH (l, &dst->links, entry)
		if (l != by && l->is_ready && !l->is_leaving &&
		    l->kind != LINK_SINGLE && l->target != MACHINE_NONE &&
		    dst->mtargets[l->target].rank == rank &&
		    (most == NULL || is_rather(dst, l, most)))
			most = l;
	if (most != NULL)
		link_leave(most);
}

void link_fill(struct link *l)
{
	struct attempt *a;

	MX_ASSERT(l->is_ready && !l->is_leaving);
	if (l->jobs_done >= l->turn_at && l->target != MACHINE_NONE &&
	    seek_relief(l->dest, l->target))
		l->turn_at = l->jobs_done + TURN_JOBS;
	for (int n = 0; n < FILL_MAX && takes_more(l); n++) {
		a = dest_take(l->dest, takes_newest(l));
		if (a == NULL)
			break;
		delivery_give(l->delivery, a->job);
	}
	link_set_idle(l);
}
