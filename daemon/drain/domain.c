/* A domain with mail: its route, and its ready units in pages. */
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/log.h"
#include "daemon/drain/internal.h"
#include "daemon/drain/turns.h"

struct span domain_name(const struct domain *dom)
{
	return span_of(dom->name, dom->name_len);
}

struct domain *domain_find(struct drain *d, struct span name)
{
	struct domain *dom;

	HASH_FIND(hh, d->domains, name.p, name.n, dom);
	return dom;
}

bool domain_is_old(const struct domain *dom)
{
	return dom->route == NULL || clock_mono_ms() >= dom->ask_ms;
}

/* ---- The route ---- */

/* At most an hour: the clock may have been asleep, and ev_timer's is not
 * the route's. */
static void arm_expiry(struct domain *dom)
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
	TAILQ_INIT(&d->asking[0].waiting);
	TAILQ_INIT(&d->asking[1].waiting);
	d->asking[0].most = ASKING_MAX;
	d->asking[1].most = ASKING_STRANGERS;
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

static void ready_ids_clear(struct ready_ids *c)
{
	free(c->page);
	*c = (struct ready_ids){ 0 };
}

static void run_dry(struct domain *dom)
{
	if (dom->drain->is_blind)
		return;
	dom->has_mail = false;
	dom->idle_ms = clock_mono_ms();
	ready_ids_clear(&dom->oldest);
	ready_ids_clear(&dom->newest);
}

static void ask_no_more(struct domain *dom)
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
	ask_no_more(dom);
	dest_quit(dom);
	route_unref(&dom->route);
	dom->standing = HAS_NO_ROUTE;
	dom->stuck_ms = 0;
	if (!dom->drain->is_blind)
		run_dry(dom);
}

static void on_expiry(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct domain *dom = w->data;

	MX_ASSERT(dom->magic == DOMAIN_MAGIC);
	(void)loop;
	(void)revents;
	if (!domain_is_old(dom))
		arm_expiry(dom);
	else if (dom->has_mail)
		refresh(dom);
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
	dom->asks_in = &d->asking[dom->is_stranger];
	dom->is_known = router_knows(d->router, domain_name(dom));
	if (dom->is_known)
		TAILQ_INSERT_HEAD(&dom->asks_in->waiting, dom, asking);
	else
		TAILQ_INSERT_TAIL(&dom->asks_in->waiting, dom, asking);
	domain_ask_next(d);
}

/* Mail already waiting takes the new way at once. */
static void follow(struct domain *dom)
{
	struct drain *d = dom->drain;
	struct dest *was = dom->dest;
	struct dest *now = dest_need(d, dom->route);

	dom->standing = HAS_ROUTE;
	dom->stuck_ms = 0;
	if (was == now) {
		dest_weigh(dom);
	} else {
		dest_quit(dom);
		dest_join(now, dom);
		spool_domain_destination(d->spool, domain_name(dom),
					 dom->route->key);
		if (was != NULL)
			dest_trigger(now, "route");
	}
	if (dom->has_mail)
		domain_enter_ring(dom);
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
	dom->is_asking = false;
	dom->asks_in->count--;
	dom->route = route;
	dom->ask_ms = route->expires_ms;
	route_unref(&old);
	if (route->result == ROUTE_OK)
		follow(dom);
	else
		stand_still(dom, route->is_final ? HAS_DENIAL : HAS_NO_ROUTE);
	arm_expiry(dom);
	domain_ask_next(dom->drain);
}

/* A start with many domains must not flood the resolver; and when it does not
 * answer, those it is not needed for pass by. */
static void ask_next(struct drain *d, struct asking *a)
{
	struct domain *dom;

	while ((dom = TAILQ_FIRST(&a->waiting)) != NULL &&
	       a->count < (dom->is_known ? 2 * a->most : a->most)) {
		TAILQ_REMOVE(&a->waiting, dom, asking);
		dom->wants_ask = false;
		dom->is_asking = true;
		a->count++;
		dom->query =
			router_ask(d->router, domain_name(dom), on_route, dom);
	}
}

/* Strangers have places of their own: nobody waits for their name servers. */
void domain_ask_next(struct drain *d)
{
	for (size_t i = 0; i < COUNT(d->asking); i++)
		ask_next(d, &d->asking[i]);
}

/* ---- Life ---- */

struct domain *domain_need(struct drain *d, struct span name)
{
	struct domain *dom = domain_find(d, name);

	if (dom != NULL)
		return dom;
	dom = mx_alloc(sizeof(*dom));
	dom->magic = DOMAIN_MAGIC;
	dom->drain = d;
	dom->name = mx_alloc(name.n + 1);
	memcpy(dom->name, name.p, name.n);
	dom->name_len = name.n;
	ev_timer_init(&dom->expiry, on_expiry, 0., 0.);
	dom->expiry.data = dom;
	HASH_ADD_KEYPTR(hh, d->domains, dom->name, dom->name_len, dom);
	turns_enter_domain(dom);
	return dom;
}

void domain_free(struct domain *dom)
{
	struct drain *d = dom->drain;

	aside_forget_domain(dom);
	dest_quit(dom);
	ask_no_more(dom);
	turns_leave_domain(dom);
	HASH_DEL(d->domains, dom);
	ready_ids_clear(&dom->oldest);
	ready_ids_clear(&dom->newest);
	route_unref(&dom->route);
	dom->magic = 0;
	free(dom->name);
	free(dom);
}

/* ---- The ring of its destination ---- */

void domain_enter_ring(struct domain *dom)
{
	if (dom->in_ring || dom->dest == NULL || dom->is_asking ||
	    dom->wants_ask)
		return;
	TAILQ_INSERT_TAIL(&dom->dest->ring, dom, ring);
	dom->in_ring = true;
}

void domain_leave_ring(struct domain *dom)
{
	if (!dom->in_ring)
		return;
	TAILQ_REMOVE(&dom->dest->ring, dom, ring);
	dom->in_ring = false;
}

static void start_over(struct domain *dom)
{
	ready_ids_clear(&dom->oldest);
	ready_ids_clear(&dom->newest);
	dom->is_rewound = false;
	dom->rewound_ms = clock_mono_ms();
}

static void wake(struct domain *dom)
{
	switch (dom->standing) {
	case HAS_ROUTE:
		if (domain_is_old(dom)) {
			domain_ask(dom);
			break;
		}
		domain_enter_ring(dom);
		turns_touch(dom->dest);
		break;
	case HAS_DENIAL:
		if (domain_is_old(dom))
			domain_ask(dom);
		else
			drain_reap(dom->drain);
		break;
	case HAS_NO_ROUTE:
		if (domain_is_old(dom))
			domain_ask(dom);
		break;
	}
}

/* Which destination it waits for: the row of a domain goes with its mail, so
 * this is written again for each outage, and only then. */
void domain_record(struct domain *dom)
{
	if (!dom->has_mail || dom->is_recorded || dom->route == NULL)
		return;
	dom->is_recorded = true;
	spool_domain_destination(dom->drain->spool, domain_name(dom),
				 dom->route->key);
}

/*
 * New mail stands behind the cursor, but a unit that is due again or took
 * long to arrive stands before it: the page is finished first, then looked at
 * from the oldest again.
 */
void domain_announce(struct domain *dom)
{
	if (dom->has_mail)
		dom->is_rewound = true;
	else
		start_over(dom);
	dom->newest.edge = 0;
	dom->newest.at = dom->newest.count = 0;
	dom->has_mail = true;
	if (dom->dest != NULL && dom->dest->logged == DRAIN_DOWN)
		domain_record(dom);
	wake(dom);
}

void domain_rewind(struct domain *dom)
{
	start_over(dom);
	dom->has_mail = true;
	wake(dom);
}

/* ---- Taking units ---- */

static enum mx_err fetch_oldest(struct domain *dom)
{
	struct ready_ids *c = &dom->oldest;
	struct drain *d = dom->drain;
	int64_t now = clock_mono_ms();
	enum mx_err err;

	if (dom->is_rewound && now - dom->rewound_ms >= SECONDS(1)) {
		c->edge = 0;
		dom->is_rewound = false;
		dom->rewound_ms = now;
	}
	c->at = 0;
	err = spool_ready(d->spool, domain_name(dom), c->edge, c->page,
			  PAGE_IDS, &c->count);
	if (err == MX_OK && c->count == 0 && dom->is_rewound) {
		dom->is_rewound = false;
		dom->rewound_ms = now;
		err = spool_ready(d->spool, domain_name(dom), 0, c->page,
				  PAGE_IDS, &c->count);
	}
	return err;
}

static enum mx_err fetch_newest(struct domain *dom)
{
	struct ready_ids *c = &dom->newest;

	c->at = 0;
	return spool_ready_newest(dom->drain->spool, domain_name(dom), c->edge,
				  c->page, PAGE_IDS, &c->count);
}

/* The next id that is not in flight, left in place; 0: none is known. */
static bool is_skipped(const struct domain *dom, uint64_t id)
{
	return attempt_has(dom->drain, id, dom) ||
	       aside_has(dom->drain, id, dom);
}

static uint64_t peek(struct domain *dom, bool newest)
{
	struct ready_ids *c = newest ? &dom->newest : &dom->oldest;
	enum mx_err err;

	if (c->page == NULL)
		c->page = mx_alloc_array(PAGE_IDS, sizeof(*c->page));
	for (;;) {
		while (c->at < c->count && is_skipped(dom, c->page[c->at]))
			c->at++;
		if (c->at < c->count)
			return c->page[c->at];
		err = newest ? fetch_newest(dom) : fetch_oldest(dom);
		if (err != MX_OK)
			drain_is_unreadable(dom->drain, domain_name(dom), err);
		if (c->count == 0)
			return 0;
		c->edge = c->page[c->count - 1];
	}
}

/* Nothing was found.  No domain runs dry on a failed look. */
size_t domain_waiting(struct domain *dom, size_t most)
{
	struct ready_ids *c = &dom->oldest;
	size_t n = 0;

	if (peek(dom, false) == 0) {
		if (!dom->drain->is_blind)
			dom->has_mail = dom->is_recorded = false;
		return 0;
	}
	for (size_t i = c->at; i < c->count && n < most; i++)
		if (!is_skipped(dom, c->page[i]))
			n++;
	return n;
}

void domain_reread(struct domain *dom)
{
	ready_ids_clear(&dom->oldest);
}

static struct attempt *load(struct domain *dom, uint64_t id)
{
	struct unit *u = NULL;
	enum mx_err err =
		spool_unit_load(dom->drain->spool, id, domain_name(dom), &u);

	if (err == MX_ENOENT)
		return NULL; /* delivered or removed since it was listed */
	if (err == MX_ECORRUPT)
		log_error(EV_SPOOL, LOG_ID("mid", id),
			  LOG_STR("error", mx_strerror(err)));
	else if (err != MX_OK)
		drain_is_unreadable(dom->drain, domain_name(dom), err);
	if (err != MX_OK)
		return NULL;
	if (u->state != UNIT_READY || u->rcpt_count == 0 ||
	    !unlisted_takes(dom, u)) {
		unit_free(&u);
		return NULL;
	}
	if (u->envelope.is_dsn && !cap_allows(dom)) {
		cap_defer(attempt_new(dom, &u));
		return NULL;
	}
	return attempt_new(dom, &u);
}

struct attempt *domain_take_unit(struct domain *dom, uint64_t id)
{
	return attempt_has(dom->drain, id, dom) ? NULL : load(dom, id);
}

struct attempt *domain_take(struct domain *dom, bool newest)
{
	struct attempt *a;
	uint64_t id;

	dom->is_barred = false;
	while (!cap_is_full(dom) && (id = peek(dom, newest)) != 0) {
		a = load(dom, id);
		if (dom->drain->is_blind)
			return NULL; /* it is where it was */
		if (dom->is_barred)
			break; /* nor anything behind it */
		if (newest)
			dom->newest.at++;
		else
			dom->oldest.at++;
		if (a != NULL)
			return a;
	}
	if (newest && !dom->drain->is_blind && !dom->is_barred)
		return domain_take(dom, false);
	run_dry(dom);
	return NULL;
}
