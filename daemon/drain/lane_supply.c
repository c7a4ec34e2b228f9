/* A destination's connections for relaying: which of them has what waits, and
 * how many there are. */
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "daemon/drain/answers.h"
#include "daemon/drain/lane_priv.h"
#include "daemon/drain/link_priv.h"

/* The first behind that one (NULL: of all) whose network may have one more. */
static struct lane *next_fair(const struct dest *dst, struct lane *behind)
{
	unsigned most = lane_places(dst);
	struct lane *l = behind != NULL ? TAILQ_NEXT(behind, link)
					: TAILQ_FIRST(&dst->lanes.waiting);

	while (l != NULL && !lane_net_may_hold(&l->stake, most))
		l = TAILQ_NEXT(l, link);
	return l;
}

/* The first that can go over this one; who cannot is told. */
static struct lane *next_lane(const struct link *l)
{
	struct lane *lane, *next;

	if (hold_of(l->dest) != NULL || !drain_is_at_work(l->dest->drain))
		return NULL;
	for (lane = next_fair(l->dest, NULL); lane != NULL; lane = next) {
		if ((lane->needs & ~l->offered) == 0)
			return lane;
		next = next_fair(l->dest, lane);
		lane_answer(lane, LANE_OTHER,
			    SPAN_LIT("(ehlo) The server lacks an extension "
				     "that is needed"));
	}
	return NULL;
}

void lane_fill(struct link *l)
{
	struct lane *lane;

	MX_ASSERT(l->kind == LINK_RELAY);
	if (!l->is_asking || !link_is_free(l))
		return;
	lane = next_lane(l);
	if (lane != NULL)
		lane_give(l, lane);
	link_set_idle(l);
}

/* ---- Connections ---- */

void lane_ready(struct link *l)
{
	struct lanes *of = &l->dest->lanes;

	MX_ASSERT(!l->is_asking && of->trying > 0);
	l->is_asking = true;
	of->trying--;
	link_heard_of(l);
	lane_fill(l);
	turns_touch(l->dest);
}

/* One that works, and has no mail to carry, becomes one of ours. */
static void adopt(struct link *l)
{
	struct lanes *of = &l->dest->lanes;

	link_uncount(l);
	l->kind = LINK_RELAY;
	l->is_ready = false;
	l->is_asking = true;
	of->links++;
	l->dest->drain->lane_links++;
	lane_fill(l);
}

static bool is_idle(const struct link *l)
{
	return l->kind == LINK_USUAL && l->is_ready && link_is_free(l);
}

static bool may_have_more(const struct dest *dst)
{
	return dst->lanes.links < lane_places(dst);
}

static struct link *idle_link(struct dest *dst)
{
	struct link *l;

	LIST_FOREACH (l, &dst->links, entry)
		if (l->kind == LINK_RELAY && l->is_asking && link_is_free(l))
			return l;
	if (!TAILQ_EMPTY(&dst->ring) || !may_have_more(dst))
		return NULL;
	LIST_FOREACH (l, &dst->links, entry)
		if (is_idle(l))
			return l;
	return NULL;
}

void lanes_hand_out(struct dest *dst)
{
	struct link *l;

	while (next_fair(dst, NULL) != NULL && (l = idle_link(dst)) != NULL) {
		if (l->kind == LINK_RELAY)
			lane_fill(l);
		else
			adopt(l);
	}
}

static bool may_connect(const struct dest *dst)
{
	const struct lanes *of = &dst->lanes;

	return may_have_more(dst) && of->trying < of->count &&
	       clock_mono_ms() >= of->pause_ms && slots_have_room(dst);
}

static void connect_more(struct dest *dst)
{
	int target;

	while (may_connect(dst) && next_fair(dst, NULL) != NULL) {
		dest_note_links(dst);
		target = machine_any(&dst->machine, clock_mono_ms());
		if (target == MACHINE_NONE || !dst->mtargets[target].is_up)
			return;
		link_new(dst, target, LINK_RELAY);
	}
}

/* Another connection than those that there are: not the end of the world. */
static void could_not_connect(struct link *l, const struct delivery_end *end)
{
	struct dest *dst = l->dest;
	struct lanes *of = &dst->lanes;
	int64_t now = clock_mono_ms();
	unsigned here, live;

	if (end->why == DELIVERY_STARVED) {
		machine_starved(&dst->machine, now);
		of->pause_ms = now + SECONDS(1);
		return;
	}
	if (of->links > of->trying) { /* of those that work */
		of->cap = of->links - of->trying;
		of->capped_until_ms = now + dst->machine.params.probe_busy_ms;
	}
	if (l->target == MACHINE_NONE)
		return;
	dest_count_links(dst, l->target, &here, &live);
	machine_failed(&dst->machine, l->target,
		       end->why == DELIVERY_BUSY ||
				       end->why == DELIVERY_REFUSED ||
				       end->why == DELIVERY_SELF
			       ? FAULT_BUSY
			       : FAULT_GONE,
		       here, live, now);
	of->limit = 1;
	of->streak = 0;
}

void lane_ended(struct link *l, const struct delivery_end *end)
{
	struct dest *dst = l->dest;

	if (l->is_leaving)
		return;
	if (!l->is_asking) {
		link_say_end(l, end);
		could_not_connect(l, end);
		return;
	}
	/* else it was closed behind the one before, for being idle, say */
	if (end->why != DELIVERY_CLOSED && l->is_heard)
		lane_was_lost(dst);
	log_debug(EV_PROBE, LOG_STR("host", l->host),
		  LOG_STR("result", "a connection for relaying ended"),
		  LOG_STR("stage", end->stage),
		  LOG_SPAN("reply", buf_span(&end->reply.text)));
}

/* ---- What a destination has to do ---- */

void lanes_run(struct dest *dst)
{
	if (TAILQ_EMPTY(&dst->lanes.waiting))
		return;
	if (dest_is_down(dst)) {
		while (!TAILQ_EMPTY(&dst->lanes.waiting))
			lane_answer(TAILQ_FIRST(&dst->lanes.waiting), LANE_DOWN,
				    span_str(dst->last_reply));
		return;
	}
	if (!drain_is_at_work(dst->drain))
		return;
	lanes_hand_out(dst);
	if (dst->machine.state == DRAIN_UP)
		connect_more(dst);
}

bool lanes_want(const struct dest *dst)
{
	return !TAILQ_EMPTY(&dst->lanes.waiting) &&
	       dst->machine.state != DRAIN_UP &&
	       dst->live + dst->trying + dst->lanes.links == 0;
}
