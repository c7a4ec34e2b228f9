#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/hash.h"
#include "config/allow/domains.h"
#include "daemon/route/build.h"
#include "daemon/route/last.h"
#include "daemon/route/lookup.h"
#include "daemon/route/report.h"
#include "daemon/route/source.h"
#include "daemon/route/stale.h"

enum {
	ROUTER_MAGIC = 0x7007e700,
	QUERY_MAGIC = 0x70ad0911,
	ENTRIES_MAX = 10000,
	STRANGERS_MAX = 200, /* entries; nobody needs them for long */
	/* Without a new answer for so long, the expired one goes on for so
	 * long, then it is tried again (the idea of RFC 8767). */
	PATIENCE_MS = 1800,
	STALE_FOR_MS = 30000,
	FILES_S = 5, /* how often the system's files are looked at */
};

TAILQ_HEAD(query_list, route_query);
TAILQ_HEAD(entry_list, entry);

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

/*
 * Strangers are the domains that are not listed, where our reports go.  What
 * their servers do must not delay the others, so they have a resolver, policies
 * and a cache of their own.  What the operator named (bounce.relay) is ours.
 */
enum { OURS, STRANGERS, SIDES };
struct side {
	struct resolver *resolver;
	struct sts *sts;
	struct entry_list lru;
	size_t count, most; /* entries */
};

struct router {
	unsigned magic;
	struct ev_loop *loop;
	struct config *config;
	struct side sides[SIDES];
	struct router_options opt;
	struct net_addr *local;
	struct self self;
	struct hosts hosts;
	ev_timer files;
	struct entry *entries;
	struct query_list queries;
	struct report_budget budget;
	struct arena scratch; /* of the last choose_source */
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

/* ---- What to look up ---- */

static void fact_of(struct router *r, struct span domain, struct buf *out)
{
	struct buf key = { 0 };

	last_key(&key, domain);
	if (r->opt.fact_get == NULL ||
	    r->opt.fact_get(buf_span(&key), out, r->opt.arg) != MX_OK)
		buf_reset(out);
	buf_fini(&key);
}

/* Not listed any more, but not a stranger either. */
static void choose_last(struct router *r, struct lookup_options *opt)
{
	struct buf text = { 0 };

	opt->is_ours = true;
	opt->source = ROUTE_FROM_MX; /* and not by bounce.relay */
	opt->hop_count = 0;
	arena_reset(&r->scratch);
	fact_of(r, opt->domain, &text);
	last_apply(opt, buf_span(&text), &r->scratch);
	buf_fini(&text);
}

static struct side *side_of(struct router *r, const struct lookup_options *opt)
{
	return &r->sides[opt->is_brief ? STRANGERS : OURS];
}

/* What opt borrows lives until the next call. */
static void choose_source(struct router *r, struct span domain,
			  struct lookup_options *opt)
{
	*opt = (struct lookup_options){ .loop = r->loop,
					.self = &r->self,
					.hosts = &r->hosts,
					.config = r->config };
	source_choose(opt, domain);
	if (!opt->is_ours && r->opt.is_left != NULL &&
	    r->opt.is_left(domain, r->opt.arg))
		choose_last(r, opt);
	opt->is_brief = !opt->is_ours && opt->source == ROUTE_FROM_MX;
	opt->resolver = side_of(r, opt)->resolver;
	opt->sts = side_of(r, opt)->sts;
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

	choose_source(r, span_of(q->domain, q->domain_len), &opt);
	source_key(&key, &opt);
	e = entry_get(r, buf_span(&key), side_of(r, &opt));
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

/* ---- The module ---- */

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

	choose_source(r, domain, &opt);
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

	choose_source(r, domain, &opt);
	source_key(&key, &opt);
	e = entry_find(r, buf_span(&key));
	buf_fini(&key);
	return e;
}

void router_remember(struct router *r, struct span domain)
{
	const struct config_domain *row =
		domains_find(r->config->domains, domain);
	struct buf text = { 0 }, was = { 0 }, key = { 0 };

	if (row == NULL || r->opt.fact_get == NULL)
		return;
	last_print(&text, r->config, row);
	fact_of(r, domain, &was);
	if (!span_eq(buf_span(&text), buf_span(&was))) {
		last_key(&key, domain);
		r->opt.fact_put(buf_span(&key), buf_span(&text), r->opt.arg);
	}
	buf_fini(&key);
	buf_fini(&was);
	buf_fini(&text);
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

static void learn_self(struct router *r)
{
	struct net_addr *host = NULL;
	size_t count = 0;

	if (net_addr_local(&host, &count) != MX_OK) {
		if (r->self.host_count > 0)
			return; /* those of the last look go on */
		log_warn(EV_ROUTE,
			 LOG_STR("error",
				 "cannot list the addresses "
				 "of this host: it is known by name only"));
	}
	self_fini(&r->self);
	self_init(&r->self, r->config, r->local, r->opt.local_count, host,
		  count);
	free(host);
}

/* Ours come from the spool again: nothing is lost by a new cache.  Those of
 * strangers have no place there. */
static void renew_policies(struct router *r)
{
	for (int i = 0; i < SIDES; i++) {
		struct sts_options opt = {
			.loop = r->loop,
			.resolver = r->sides[i].resolver,
			.self = &r->self,
			.port = r->config->tls.sts_port,
			.tls = r->config->tls_client,
			.for_strangers = i == STRANGERS,
		};

		if (i == OURS)
			opt.facts = (struct sts_facts){ r->opt.fact_put,
							r->opt.fact_get,
							r->opt.arg };
		r->sides[i].sts = sts_new(&opt);
	}
}

/* Nobody tells us when name servers, hosts or our own addresses change: a
 * laptop that moves, a container whose files are filled in after its start. */
static void on_files(EV_P_ ev_timer *w, int revents)
{
	struct router *r = w->data;

	(void)loop;
	(void)revents;
	MX_ASSERT(r->magic == ROUTER_MAGIC);
	hosts_refresh(&r->hosts, HOSTS_FILE);
	for (int i = 0; i < SIDES; i++)
		resolver_refresh(r->sides[i].resolver);
	learn_self(r);
}

static void files_start(struct router *r)
{
	hosts_refresh(&r->hosts, HOSTS_FILE);
	ev_timer_init(&r->files, on_files, FILES_S, FILES_S);
	r->files.data = r;
	ev_timer_start(r->loop, &r->files);
}

enum mx_err router_check(struct ev_loop *loop, const struct config *config,
			 struct buf *why)
{
	return resolver_check(loop, config, why);
}

enum mx_err router_new(struct router **out, const struct router_options *opt,
		       struct buf *why)
{
	struct router *r = mx_alloc(sizeof(*r));
	enum mx_err err;

	*out = NULL;
	r->magic = ROUTER_MAGIC;
	r->loop = opt->loop;
	r->opt = *opt;
	r->config = config_ref(opt->config);
	router_listens(r, opt->local, opt->local_count);
	for (int i = 0; i < SIDES; i++)
		TAILQ_INIT(&r->sides[i].lru);
	r->sides[OURS].most = ENTRIES_MAX;
	r->sides[STRANGERS].most = STRANGERS_MAX;
	TAILQ_INIT(&r->queries);
	learn_self(r);
	files_start(r);
	for (int i = 0; i < SIDES; i++) {
		err = resolver_new(&r->sides[i].resolver, r->loop, r->config,
				   i == STRANGERS ? RESOLVER_STRANGERS
						 : RESOLVER_OURS,
				   why);
		if (err != MX_OK) {
			router_free(&r);
			return err;
		}
	}
	renew_policies(r);
	*out = r;
	return MX_OK;
}

struct resolver *router_strangers(struct router *r)
{
	return r->sides[STRANGERS].resolver;
}

static void drop_entries(struct router *r)
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

void router_free(struct router **rp)
{
	struct router *r = *rp;
	struct route_query *q;

	*rp = NULL;
	if (r == NULL)
		return;
	drop_entries(r);
	while ((q = TAILQ_FIRST(&r->queries)) != NULL)
		query_free(q);
	for (int i = 0; i < SIDES; i++) {
		sts_free(&r->sides[i].sts);
		resolver_free(&r->sides[i].resolver);
	}
	self_fini(&r->self);
	ev_timer_stop(r->loop, &r->files);
	hosts_fini(&r->hosts);
	config_unref(&r->config);
	arena_reset(&r->scratch);
	free(r->local);
	r->magic = 0;
	free(r);
}

void router_listens(struct router *r, const struct net_addr *local,
		    size_t count)
{
	free(r->local);
	r->local = mx_alloc_array(count + 1, sizeof(*r->local));
	for (size_t i = 0; i < count; i++)
		r->local[i] = local[i];
	r->opt.local_count = count;
}

/* A new context: libunbound's cache is dropped as well, and a changed
 * /etc/resolv.conf is read. */
static void renew_resolver(struct router *r, int side)
{
	struct resolver *resolver;
	struct buf why = { 0 };

	if (resolver_new(&resolver, r->loop, r->config,
			 side == STRANGERS ? RESOLVER_STRANGERS : RESOLVER_OURS,
			 &why) == MX_OK) {
		resolver_retire(&r->sides[side].resolver);
		r->sides[side].resolver = resolver;
	} else {
		log_error(EV_ROUTE, LOG_SPAN("error", buf_span(&why)),
			  LOG_STR("note", "the old name servers stay"));
	}
	buf_fini(&why);
}

void router_reload(struct router *r, struct config *config)
{
	struct config *old = r->config;
	struct sts *old_sts[SIDES];
	struct route_query *q;

	drop_entries(r);
	r->config = config_ref(config);
	learn_self(r);
	hosts_refresh(&r->hosts, HOSTS_FILE);
	for (int i = 0; i < SIDES; i++) {
		old_sts[i] = r->sides[i].sts;
		sts_stop(old_sts[i]); /* it asks the old resolver */
		renew_resolver(r, i);
	}
	renew_policies(r); /* before the last user of libcurl goes */
	for (int i = 0; i < SIDES; i++)
		sts_free(&old_sts[i]);
	config_unref(&old);
	TAILQ_FOREACH (q, &r->queries, link)
		attach(q);
}
