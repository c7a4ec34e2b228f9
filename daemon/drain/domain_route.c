/* The route of a domain: asked for when mail waits, in turn with others. */
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "config/allow/domains.h"
#include "daemon/drain/callout.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/lane.h"
#include "daemon/drain/unlisted.h"

enum { REFRESH_MAX = 50 }; /* old routes asked for again each 100 ms */

/* At most an hour: the clock may have been asleep, and ev_timer's is not
 * the route's. */
void domain_arm_expiry(struct domain *dom)
{
	int64_t wait = dom->ask_ms - clock_mono_ms();

	if (wait < SECONDS(1))
		wait = SECONDS(1);
	if (wait > HOURS(1))
		wait = HOURS(1);
	ev_timer_stop(dom->drain->loop, &dom->expiry);
	ev_timer_set(&dom->expiry, (double)wait / 1000., 0.);
	ev_timer_start(dom->drain->loop, &dom->expiry);
}

/* ---- Routes that grew old ---- */

/*
 * Many domains with mail and short TTLs must not keep the resolver busy for
 * ever: routes that grew old are asked for again so many at a time.  Meanwhile
 * their domains stay where they are; one whose turn it is to be delivered asks
 * at once (dest_take).
 */
static void on_pace(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct drain *d = w->data;
	struct domain *dom;

	(void)revents;
	for (int n = 0; n < REFRESH_MAX; n++) {
		dom = TAILQ_FIRST(&d->to_refresh);
		if (dom == NULL)
			return;
		domain_ask(dom);
	}
	ev_timer_set(w, 0.1, 0.);
	ev_timer_start(loop, w);
}

void domain_pace_start(struct drain *d)
{
	static const unsigned most[OF_COUNT] = {
		[OF_LISTED] = ASKING_MAX,
		[OF_STRANGERS] = ASKING_STRANGERS,
		[OF_STARS] = ASKING_STARS,
	};

	for (size_t i = 0; i < OF_COUNT; i++) {
		TAILQ_INIT(&d->asking[i].waiting);
		d->asking[i].most = most[i];
	}
	TAILQ_INIT(&d->to_refresh);
	ev_timer_init(&d->pace, on_pace, 0., 0.);
	d->pace.data = d;
}

void domain_pace_stop(struct drain *d)
{
	ev_timer_stop(d->loop, &d->pace);
}

static void refresh(struct domain *dom)
{
	struct drain *d = dom->drain;

	if (dom->wants_refresh || dom->wants_ask || dom->is_asking)
		return;
	dom->wants_refresh = true;
	TAILQ_INSERT_TAIL(&d->to_refresh, dom, refresh);
	if (ev_is_active(&d->pace))
		return;
	ev_timer_set(&d->pace, 0., 0.);
	ev_timer_start(d->loop, &d->pace);
}

static void leave_refresh(struct domain *dom)
{
	if (dom->wants_refresh)
		TAILQ_REMOVE(&dom->drain->to_refresh, dom, refresh);
	dom->wants_refresh = false;
}

static void on_expiry(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct domain *dom = w->data;

	MX_ASSERT(dom->magic == DOMAIN_MAGIC);
	(void)loop;
	(void)revents;
	if (!domain_is_old(dom))
		domain_arm_expiry(dom);
	else if (dom->has_mail)
		refresh(dom);
}

/* ---- Asking ---- */

void domain_ask_no_more(struct domain *dom)
{
	struct drain *d = dom->drain;

	leave_refresh(dom);
	if (dom->wants_ask)
		TAILQ_REMOVE(&dom->asks_in->waiting, dom, asking);
	if (dom->is_asking)
		dom->asks_in->count--;
	dom->wants_ask = dom->is_asking = false;
	if (dom->query != NULL)
		route_cancel(&dom->query);
	ev_timer_stop(d->loop, &dom->expiry);
}

/* Held: until it is announced again nothing is to be done. */
static void stand_aside(struct domain *dom)
{
	domain_ask_no_more(dom);
	dest_quit(dom);
	route_unref(&dom->route);
	dom->standing = HAS_NO_ROUTE;
	dom->stuck_ms = 0;
	callout_no_route(dom);
	lanes_no_route(dom);
	if (!dom->drain->is_blind)
		domain_run_dry(dom);
}

/* A start with many domains must not flood the resolver; and when it does not
 * answer, those it is not needed for pass by. */
static void ask_next(struct drain *d, struct asking *a)
{
	struct domain *dom;

	while ((dom = TAILQ_FIRST(&a->waiting)) != NULL &&
	       a->count < (dom->is_known ? 2 * a->most : a->most)) {
		MX_ASSERT(dom->wants_ask && !dom->is_asking);
		TAILQ_REMOVE(&a->waiting, dom, asking);
		dom->wants_ask = false;
		dom->is_asking = true;
		a->count++;
		dom->query = router_ask(d->router, domain_name(dom),
					d->on_route, dom);
	}
}

static enum asking_of asks_as(const struct domain *dom)
{
	const struct config_domain *row = domains_find(
		dom->drain->config->domains, domain_name(dom));

	if (dom->is_stranger)
		return OF_STRANGERS;
	return row != NULL && span_starts(row->name, SPAN_LIT("*."))
		       ? OF_STARS
		       : OF_LISTED;
}

/* Each kind has places of its own: strangers have name servers that are silent,
 * and of subdomains as many as anybody makes up. */
void domain_ask_next(struct drain *d)
{
	for (size_t i = 0; i < COUNT(d->asking); i++)
		ask_next(d, &d->asking[i]);
}

/* A stale route is not used, and a new one asked for only when mail waits. */
void domain_ask(struct domain *dom)
{
	struct drain *d = dom->drain;

	leave_refresh(dom);
	domain_leave_ring(dom);
	if (!unlisted_may_go(dom)) {
		stand_aside(dom);
		return;
	}
	if (dom->is_asking || dom->wants_ask)
		return;
	dom->wants_ask = true;
	dom->asks_in = &d->asking[asks_as(dom)];
	dom->is_known = router_answers_soon(d->router, domain_name(dom));
	if (dom->is_known)
		TAILQ_INSERT_HEAD(&dom->asks_in->waiting, dom, asking);
	else
		TAILQ_INSERT_TAIL(&dom->asks_in->waiting, dom, asking);
	domain_ask_next(d);
}

struct domain *domain_need(struct drain *d, struct span name)
{
	struct domain *dom = domain_find(d, name);

	if (dom != NULL)
		return dom;
	dom = mx_alloc(sizeof(*dom));
	dom->magic = DOMAIN_MAGIC;
	dom->drain = d;
	TAILQ_INIT(&dom->waiting);
	TAILQ_INIT(&dom->hails);
	TAILQ_INIT(&dom->lanes);
	dom->name = mx_alloc(name.n + 1);
	memcpy(dom->name, name.p, name.n);
	dom->name_len = name.n;
	dom->flow.stop = stops_of_domain(d, name);
	ev_timer_init(&dom->expiry, on_expiry, 0., 0.);
	dom->expiry.data = dom;
	HASH_ADD_KEYPTR(hh, d->domains, dom->name, dom->name_len, dom);
	turns_enter_domain(dom);
	return dom;
}

struct domain *domain_need_bounded(struct drain *d, struct span name)
{
	struct domain *dom = domain_find(d, name);

	if (dom != NULL)
		return dom;
	if (d->callouts.domains >= CALLOUT_DOMAINS_MAX)
		return NULL;
	dom = domain_need(d, name);
	dom->is_for_questions = true;
	d->callouts.domains++;
	return dom;
}
