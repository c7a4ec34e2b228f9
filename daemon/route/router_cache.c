/* The answers that are known, and who waits for one. */
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/hash.h"
#include "daemon/route/build.h"
#include "daemon/route/router_priv.h"
#include "daemon/route/source.h"
#include "daemon/route/stale.h"

enum {
	QUERY_MAGIC = 0x70ad0911,
	ENTRIES_MAX = 10000,
	STRANGERS_MAX = 200, /* entries; nobody needs them for long */
	/* Without a new answer for so long, the expired one goes on for so
	 * long, then it is tried again (the idea of RFC 8767). */
	PATIENCE_MS = 1800,
	STALE_FOR_MS = 30000,
};

/* What is known, or being asked, under one cache key: a domain, or a
 * primary= that any number of domains share. */
struct entry {
	UT_hash_handle hh;
	TAILQ_ENTRY(entry) lru; /* head: used last */
	struct router *router;
	struct side *side;
	struct route *route;   /* the last answer worth keeping, or NULL */
	bool is_doubted;       /* look again; keep it for want of better */
	int64_t said_ms;       /* see report.h */
	struct lookup *lookup; /* under way, or NULL */
	ev_timer patience;
	struct query_list waiting;
	size_t key_len;
	char key[];
};

struct route_query {
	unsigned magic;
	struct router *router;
	TAILQ_ENTRY(route_query) link;	  /* of router->queries */
	TAILQ_ENTRY(route_query) waiting; /* of entry->waiting */
	struct entry *entry;		  /* NULL: route is the answer */
	struct route *route;
	ev_timer ready;
	route_cb *cb;
	void *arg;
	size_t domain_len;
	char domain[];
};

/* ---- Questions ---- */

static void query_free(struct route_query *q)
{
	ev_timer_stop(q->router->loop, &q->ready);
	if (q->entry != NULL)
		TAILQ_REMOVE(&q->entry->waiting, q, waiting);
	TAILQ_REMOVE(&q->router->queries, q, link);
	route_unref(&q->route);
	q->magic = 0;
	free(q);
}

static void on_ready(EV_P_ ev_timer *w, int revents)
{
	struct route_query *q = w->data;
	struct route *route;
	route_cb *cb = q->cb;
	void *arg = q->arg;

	(void)loop;
	(void)revents;
	MX_ASSERT(q->magic == QUERY_MAGIC);
	route = route_ref(q->route);
	query_free(q);
	cb(route, arg);
}

/* From the loop, so that no caller is called back before it returns. */
static void answer(struct route_query *q, struct route *route)
{
	if (q->entry != NULL)
		TAILQ_REMOVE(&q->entry->waiting, q, waiting);
	q->entry = NULL;
	q->route = route_ref(route);
	ev_timer_set(&q->ready, 0., 0.);
	ev_timer_start(q->router->loop, &q->ready);
}

/* ---- Entries ---- */

static void entry_free(struct entry *e)
{
	struct router *r = e->router;

	MX_ASSERT(TAILQ_EMPTY(&e->waiting));
	ev_timer_stop(r->loop, &e->patience);
	lookup_free(&e->lookup);
	route_unref(&e->route);
	HASH_DEL(r->entries, e);
	TAILQ_REMOVE(&e->side->lru, e, lru);
	e->side->count--;
	free(e);
}

/* A few at a time; those in use are passed over. */
static void evict(struct side *side)
{
	struct entry *e = TAILQ_LAST(&side->lru, entry_list), *before;

	for (unsigned tries = 0;
	     e != NULL && side->count > side->most && tries < 16;
	     e = before, tries++) {
		before = TAILQ_PREV(e, entry_list, lru);
		if (e->lookup == NULL && TAILQ_EMPTY(&e->waiting))
			entry_free(e);
	}
}

static bool is_fresh(const struct entry *e)
{
	return e->route != NULL && !e->is_doubted &&
	       e->route->findings == e->router->findings &&
	       clock_mono_ms() < e->route->expires_ms;
}

static void answer_all(struct entry *e, struct route *route)
{
	struct route_query *q;

	while ((q = TAILQ_FIRST(&e->waiting)) != NULL)
		answer(q, route);
}

static void go_stale(struct entry *e)
{
	struct route *old = e->route;

	if (!old->is_stale)
		log_warn(EV_ROUTE, LOG_SPAN("domain", old->domain),
			 LOG_STR("note", "DNS does not answer: the last route "
					 "goes on"),
			 LOG_SPAN("route", old->key));
	e->route = build_stale(old, clock_mono_ms() + STALE_FOR_MS);
	e->route->findings = e->router->findings;
	e->is_doubted = false;
	route_unref(&old);
}

static void on_looked_up(struct route *route, void *arg)
{
	struct entry *e = arg;

	e->lookup = NULL;
	ev_timer_stop(e->router->loop, &e->patience);
	if (stale_may_replace(e->route, route, clock_mono_ms())) {
		go_stale(e);
		route_unref(&route);
	} else {
		report_route(&e->router->budget, e->route, route, &e->said_ms);
		route_unref(&e->route);
		e->route = route;
		e->is_doubted = false;
	}
	answer_all(e, e->route);
	evict(e->side);
}

/* The look-up goes on; those who wait need not. */
static void on_patience(EV_P_ ev_timer *w, int revents)
{
	struct entry *e = w->data;

	(void)loop;
	(void)revents;
	MX_ASSERT(e->router->magic == ROUTER_MAGIC);
	if (!stale_may_go_on(e->route, clock_mono_ms()))
		return;
	go_stale(e);
	answer_all(e, e->route);
}

static struct entry *entry_find(struct router *r, struct span key)
{
	struct entry *e;

	HASH_FIND(hh, r->entries, key.p, key.n, e);
	return e;
}

/* The key says which side it is on: see source_key. */
static struct entry *entry_get(struct router *r, struct span key,
			       struct side *side)
{
	struct entry *e = entry_find(r, key);

	if (e != NULL) {
		TAILQ_REMOVE(&side->lru, e, lru);
		TAILQ_INSERT_HEAD(&side->lru, e, lru);
		return e;
	}
	e = mx_alloc(sizeof(*e) + key.n);
	e->router = r;
	e->side = side;
	e->key_len = key.n;
	memcpy(e->key, key.p, key.n);
	TAILQ_INIT(&e->waiting);
	ev_timer_init(&e->patience, on_patience, 0., 0.);
	e->patience.data = e;
	HASH_ADD(hh, r->entries, key, e->key_len, e);
	TAILQ_INSERT_HEAD(&side->lru, e, lru);
	side->count++;
	return e;
}

static void attach(struct route_query *q)
{
	struct router *r = q->router;
	struct lookup_options opt;
	struct buf key = { 0 };
	struct entry *e;

	router_choose(r, span_of(q->domain, q->domain_len), &opt);
	source_key(&key, &opt);
	e = entry_get(r, buf_span(&key), router_side(r, &opt));
	buf_fini(&key);
	if (is_fresh(e)) {
		answer(q, e->route);
		return;
	}
	q->entry = e;
	TAILQ_INSERT_TAIL(&e->waiting, q, waiting);
	if (e->lookup == NULL)
		e->lookup = lookup_new(&opt, on_looked_up, e);
	if (e->route != NULL && !ev_is_active(&e->patience)) {
		ev_timer_set(&e->patience, PATIENCE_MS / 1000., 0.);
		ev_timer_start(r->loop, &e->patience);
	}
}

/* ---- Asked from outside ---- */

struct route_query *router_ask(struct router *r, struct span domain,
			       route_cb *cb, void *arg)
{
	struct route_query *q = mx_alloc(sizeof(*q) + domain.n);

	q->magic = QUERY_MAGIC;
	q->router = r;
	q->cb = cb;
	q->arg = arg;
	q->domain_len = domain.n;
	memcpy(q->domain, domain.p, domain.n);
	ev_timer_init(&q->ready, on_ready, 0., 0.);
	q->ready.data = q;
	TAILQ_INSERT_TAIL(&r->queries, q, link);
	attach(q);
	return q;
}

void route_cancel(struct route_query **qp)
{
	struct route_query *q = *qp;

	*qp = NULL;
	if (q == NULL)
		return;
	MX_ASSERT(q->magic == QUERY_MAGIC);
	query_free(q); /* the look-up goes on, for the cache */
}

bool router_answers_soon(struct router *r, struct span domain)
{
	struct lookup_options opt;
	struct buf key = { 0 };
	struct entry *e;

	router_choose(r, domain, &opt);
	if (opt.source != ROUTE_FROM_MX)
		return true;
	source_key(&key, &opt);
	e = entry_find(r, buf_span(&key));
	buf_fini(&key);
	return e != NULL && e->route != NULL && e->route->result == ROUTE_OK;
}

static struct entry *entry_of(struct router *r, struct span domain)
{
	struct lookup_options opt;
	struct buf key = { 0 };
	struct entry *e;

	router_choose(r, domain, &opt);
	source_key(&key, &opt);
	e = entry_find(r, buf_span(&key));
	buf_fini(&key);
	return e;
}

void router_forget(struct router *r, struct span domain)
{
	struct entry *e = entry_of(r, domain);

	if (e == NULL || e->lookup != NULL)
		return;
	if (e->route != NULL && e->route->sts.domain.n > 0)
		sts_forget(e->side->sts, e->route->sts.domain);
	e->is_doubted = true;
}

struct route *router_cached(struct router *r, struct span domain)
{
	struct entry *e = entry_of(r, domain);

	return e != NULL && is_fresh(e) ? route_ref(e->route) : NULL;
}

/* ---- All of it ---- */

void router_cache_init(struct router *r)
{
	for (int i = 0; i < SIDES; i++)
		TAILQ_INIT(&r->sides[i].lru);
	r->sides[OURS].most = ENTRIES_MAX;
	r->sides[STRANGERS].most = STRANGERS_MAX;
	TAILQ_INIT(&r->queries);
}

void router_cache_drop(struct router *r)
{
	struct route_query *q;
	struct entry *e;

	TAILQ_FOREACH (q, &r->queries, link) {
		ev_timer_stop(r->loop, &q->ready);
		route_unref(&q->route);
		if (q->entry != NULL)
			TAILQ_REMOVE(&q->entry->waiting, q, waiting);
		q->entry = NULL;
	}
	for (int i = 0; i < SIDES; i++)
		while ((e = TAILQ_FIRST(&r->sides[i].lru)) != NULL)
			entry_free(e);
}

void router_cache_ask_again(struct router *r)
{
	struct route_query *q;

	TAILQ_FOREACH (q, &r->queries, link)
		attach(q);
}

void router_cache_fini(struct router *r)
{
	struct route_query *q;

	router_cache_drop(r);
	while ((q = TAILQ_FIRST(&r->queries)) != NULL)
		query_free(q);
}
