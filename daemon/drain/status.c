/* What status shows of a destination. */
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "daemon/drain/drain_priv.h"

const char *drain_state_name(enum drain_state s)
{
	static const char *const names[] = {
		[DRAIN_UNKNOWN] = "unknown",
		[DRAIN_PROBING] = "probing",
		[DRAIN_UP] = "up",
		[DRAIN_DOWN] = "down",
	};

	return names[s];
}

static int64_t to_wall(int64_t mono_ms)
{
	return mono_ms == 0 ? 0 : clock_wall_ms() - (clock_mono_ms() - mono_ms);
}

static bool is_being_tried(const struct dest *dst, size_t target)
{
	const struct link *l;

	LIST_FOREACH (l, &dst->links, entry)
		if (!l->is_ready && !l->is_leaving && l->target == (int)target)
			return true;
	return false;
}

static enum drain_state target_state(const struct dest *dst, size_t i)
{
	const struct machine_target *mt = &dst->mtargets[i];

	if (mt->is_up)
		return DRAIN_UP;
	if (is_being_tried(dst, i))
		return DRAIN_PROBING;
	return mt->is_down ? DRAIN_DOWN : DRAIN_UNKNOWN;
}

static void list_targets(struct drain *d, const struct dest *dst,
			 struct status_destination *out)
{
	size_t n = dst->target_count;

	if (n > d->status_cap) {
		d->status = mx_realloc(d->status, n * sizeof(*d->status));
		d->status_cap = n;
	}
	for (size_t i = 0; i < n; i++)
		d->status[i] = (struct status_target){
			.name = span_str(dst->targets[i].name),
			.state = drain_state_name(target_state(dst, i)),
			.since_ms = to_wall(dst->mtargets[i].since_ms),
			.checked_ms = to_wall(dst->mtargets[i].heard_ms),
			.last_reply = span_str(dst->targets[i].last_reply),
			.mismatch_ms = to_wall(
				target_mismatch_ms(&dst->targets[i])),
		};
	for (size_t i = 0; i < n; i++)
		if (d->status[i].checked_ms > out->checked_ms)
			out->checked_ms = d->status[i].checked_ms;
	out->targets = d->status;
	out->target_count = n;
}

/* No route that can be used: the reason stands where a reply would. */
static void without_route(const struct domain *dom,
			  struct status_destination *out)
{
	if (dom->route == NULL)
		return;
	out->state = drain_state_name(DRAIN_DOWN);
	out->is_down = true;
	out->since_ms = dom->stuck_ms;
	out->next_probe_ms = to_wall(dom->ask_ms);
	out->last_reply = dom->route->reason;
}

/* Whoever looks while it is probed again shall not think that it is well. */
static bool is_down(const struct dest *dst)
{
	if (dst->machine.state != DRAIN_PROBING)
		return dst->machine.state == DRAIN_DOWN;
	for (size_t i = 0; i < dst->target_count; i++)
		if (!dst->mtargets[i].is_down)
			return false;
	return dst->target_count > 0;
}

static const struct braked *braked_by(struct drain *d, struct span name,
				      const struct domain *dom)
{
	const struct stop *s;

	if (dom != NULL)
		return flow_stopped_by(dom);
	s = stops_of_domain(d, name);
	return s != NULL ? &s->why : NULL;
}

static void of_dest(struct drain *d, struct dest *dst,
		    struct status_destination *out)
{
	const struct dest_hold *hold = hold_of(dst);

	out->state = drain_state_name(dst->machine.state);
	out->is_down = is_down(dst);
	out->since_ms = to_wall(dst->machine.since_ms);
	if (dst->machine.state == DRAIN_DOWN &&
	    (!TAILQ_EMPTY(&dst->ring) || dst->pilot_count > 0))
		out->next_probe_ms = to_wall(machine_timer(&dst->machine));
	out->last_reply = span_str(dst->last_reply);
	out->name = dst->route->key;
	out->is_strangers = dst->listed == 0;
	out->hold_name = hold != NULL ? hold->name : NULL;
	out->hold_reason = hold != NULL ? hold->reason : NULL;
	out->connections =
		(int)(dst->live + dst->lanes.links - dst->lanes.trying);
	list_targets(d, dst, out);
}

bool drain_status(struct drain *d, struct span name,
		  struct status_destination *out)
{
	const struct domain *dom = domain_find(d, name);

	memset(out, 0, sizeof(*out));
	out->state = drain_state_name(DRAIN_UNKNOWN);
	out->braked = braked_by(d, name, dom);
	if (dom == NULL)
		return false;
	if (dom->dest == NULL) {
		without_route(dom, out);
		return true;
	}
	of_dest(d, dom->dest, out);
	return true;
}

void drain_destinations(struct drain *d, size_t most, drain_dest_cb *cb,
			void *arg)
{
	struct status_destination out;
	struct dest *dst;

	TAILQ_FOREACH (dst, &d->turns.dests, all) {
		if (most-- == 0)
			return;
		memset(&out, 0, sizeof(out));
		out.braked =
			dst->flow.stop != NULL ? &dst->flow.stop->why : NULL;
		of_dest(d, dst, &out);
		cb(&out, arg);
	}
}

static bool dest_flows(struct dest *dst)
{
	if (hold_of(dst) != NULL || dst->flow.stop != NULL)
		return false;
	switch (dst->machine.state) {
	case DRAIN_UP:
		return true;
	case DRAIN_UNKNOWN: /* unless something waits for the answer */
		return TAILQ_EMPTY(&dst->ring);
	case DRAIN_PROBING:
	case DRAIN_DOWN:
		break;
	}
	return false;
}

bool drain_has_domain(struct drain *d, struct span name, size_t *all)
{
	*all = HASH_COUNT(d->domains);
	return domain_find(d, name) != NULL;
}

bool drain_flows(struct drain *d, struct span name)
{
	const struct domain *dom = domain_find(d, name);
	struct route *route;
	struct dest *dst;
	bool flows;

	if (!drain_is_at_work(d))
		return false;
	if (stops_of_domain(d, name) != NULL)
		return false;
	if (dom != NULL)
		return dom->dest != NULL ? dest_flows(dom->dest)
					 : dom->route == NULL && !dom->has_mail;
	route = router_cached(d->router, name);
	if (route == NULL)
		return true;
	dst = dest_find(d, route);
	flows = route->result == ROUTE_OK && (dst == NULL || dest_flows(dst));
	route_unref(&route);
	return flows;
}
