/* Where a domain goes, now that its route is known. */
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/drain/callout.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/lane.h"
#include "daemon/drain/offers.h"

/* Nobody's mail goes there any more: what a connection has not begun with comes
 * back, and need not wait behind what the old host leaves unanswered. */
static void leave_alone(struct dest *dst)
{
	if (dst != NULL && LIST_EMPTY(&dst->domains))
		dest_stop(dst);
}

/* Mail already waiting takes the new way at once. */
static void follow(struct domain *dom)
{
	struct drain *d = dom->drain;
	struct dest *was = dom->dest;
	struct dest *now = dest_need(d, dom->route);

	MX_ASSERT(now->magic == DEST_MAGIC);
	dom->standing = HAS_ROUTE;
	dom->stuck_ms = 0;
	offers_remember(dom);
	if (was == now) {
		dest_weigh(dom);
	} else {
		dest_quit(dom);
		leave_alone(was);
		dest_join(now, dom);
		spool_domain_destination(d->spool, domain_name(dom),
					 dom->route->key);
		if (was != NULL)
			dest_trigger(now, "route");
	}
	if (dom->has_mail)
		domain_enter_ring(dom);
	callout_enter(dom);
	lanes_enter(dom);
	turns_touch(now);
}

/*
 * A look-up is a probe of its own kind: seconds apart at first, and never far,
 * since one costs so little.  An outage that DNS makes is over soon after it
 * says so.
 */
static int64_t next_ask_ms(const struct domain *dom, int64_t now)
{
	const struct config *c = dom->drain->config;
	const struct machine_params p = { .probe_max_ms =
						  c->drain.probe_max_ms };
	unsigned percent = 80 + (unsigned)(clock_wall_ms() % 41);
	int64_t wait = machine_wait_ms(&p, now - dom->stuck_mono_ms, FAULT_GONE,
				       percent);

	return now + (wait < SECONDS(10) ? wait : SECONDS(10));
}

static void stand_still(struct domain *dom, int standing)
{
	int64_t now = clock_mono_ms();

	dest_quit(dom);
	dom->standing = standing;
	callout_no_route(dom);
	lanes_no_route(dom);
	if (dom->stuck_ms == 0) {
		dom->stuck_ms = clock_wall_ms();
		dom->stuck_mono_ms = now;
	}
	if (standing == HAS_NO_ROUTE)
		dom->ask_ms = next_ask_ms(dom, now);
	if (standing == HAS_DENIAL && dom->has_mail)
		drain_reap(dom->drain);
}

static void on_route(struct route *route, void *arg)
{
	struct domain *dom = arg;
	struct route *old = dom->route;

	MX_ASSERT(dom->magic == DOMAIN_MAGIC);
	dom->query = NULL;
	MX_ASSERT(dom->is_asking && dom->asks_in->count > 0);
	dom->is_asking = false;
	dom->asks_in->count--;
	dom->route = route;
	dom->ask_ms = route->expires_ms;
	route_unref(&old);
	if (route->result == ROUTE_OK)
		follow(dom);
	else
		stand_still(dom, route->is_final ? HAS_DENIAL : HAS_NO_ROUTE);
	if (dom->is_flushed && dom->dest != NULL) {
		dom->is_flushed = false;
		dest_trigger(dom->dest, "flush");
	}
	domain_arm_expiry(dom);
	domain_ask_next(dom->drain);
}

void domain_follow_start(struct drain *d)
{
	d->on_route = on_route;
}
