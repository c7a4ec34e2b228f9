/* The drain as the rest of the daemon sees it. */
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/drain/aside.h"
#include "daemon/drain/callout.h"
#include "daemon/drain/deferral.h"
#include "daemon/drain/departure.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/due.h"
#include "daemon/drain/expire.h"
#include "daemon/drain/join.h"
#include "daemon/drain/lane.h"
#include "daemon/drain/order.h"
#include "daemon/drain/parked.h"
#include "daemon/drain/risk.h"
#include "daemon/drain/unlisted.h"

/* ---- From the spool ---- */

static void on_announced(struct span name, void *arg)
{
	if (drain_admits(arg, name))
		domain_announce(domain_need(arg, name));
	expire_look(arg);
}

static bool on_domain(const struct spool_domain *row, void *arg)
{
	struct drain *d = arg;

	if (row->units > 0 && !drain_admits(d, span_str(row->name)))
		return true;
	flow_recall(d, row);
	if (row->ready > 0)
		domain_announce(domain_need(d, span_str(row->name)));
	else if (row->units > 0)
		(void)unlisted_may_go(domain_need(d, span_str(row->name)));
	if (row->deferred > 0)
		deferral_recall(d, span_str(row->name));
	return true;
}

/* Every domain that has mail: at the start. */
static void list_domains(struct drain *d)
{
	enum mx_err err = spool_domains(d->spool, span_of("", 0), on_domain, d);

	d->is_listed = err == MX_OK || err == MX_ECORRUPT;
	if (err != MX_OK)
		drain_is_unreadable(d, span_of(NULL, 0), err);
}

/* ---- New settings ---- */

/* Those that were not seen yet go on as before. */
static void review(struct domain *dom)
{
	if (dom->has_mail || dom->route != NULL)
		domain_ask(dom);
	else
		(void)unlisted_may_go(dom);
}

/* ---- Life ---- */

static void ask_if_none(struct domain *dom)
{
	if (dom->has_mail && dom->route == NULL)
		domain_ask(dom);
}

static void on_sight(struct ev_loop *loop, ev_timer *w, int revents)
{
	static const struct visit_ops look_again = { ask_if_none, NULL };
	struct drain *d = w->data;

	(void)loop;
	(void)revents;
	d->is_blind = false;
	if (!d->is_listed)
		list_domains(d);
	turns_visit(d, &look_again, SPAN_LIT(""));
	drain_go_on(d);
}

struct drain *drain_new(const struct drain_options *opt)
{
	struct drain *d = mx_alloc(sizeof(*d));

	d->loop = opt->loop;
	d->spool = opt->spool;
	d->router = opt->router;
	d->known = opt->known;
	d->config = config_ref(opt->config);
	d->proof = opt->proof;
	d->history = opt->history;
	d->traces = opt->traces;
	d->tally = opt->tally;
	d->generation = 1;
	d->reminded_ms = clock_mono_ms();
	slots_start(d, opt->most_links);
	probes_start(d);
	drain_strangers_start(d);
	domain_pace_start(d);
	turns_start(d, dest_run);
	link_start(d);
	callout_start(d);
	lanes_start(d);
	domain_follow_start(d);
	drain_reap_start(d);
	drain_sweep_start(d);
	ev_init(&d->sight, on_sight);
	d->sight.data = d;
	risk_start(d);
	join_start(d);
	departure_start(d);
	parked_start(d);
	order_start(d);
	due_start(d);
	expire_start(d);
	holds_load(d);
	stops_load(d);
	spool_subscribe(d->spool, on_announced, d);
	list_domains(d);
	return d;
}

void drain_stop(struct drain *d)
{
	struct dest *dst, *tmp;

	d->is_stopping = true;
	join_hurry(d);
	departure_stop(d);
	parked_forget(d);
	HASH_ITER (hh, d->dests, dst, tmp)
		dest_stop(dst);
}

size_t drain_busy(const struct drain *d)
{
	/* nothing more becomes of outcomes that cannot be recorded */
	return d->is_broken ? 0 : HASH_COUNT(d->attempts);
}

/* Deliveries own the jobs they have; what the spool still works on comes back
 * to a drain that is gone. */
static void drop_attempts(struct drain *d)
{
	struct attempt *a, *tmp;

	HASH_ITER (hh, d->attempts, a, tmp) {
		HASH_DEL(d->attempts, a);
		ev_timer_stop(d->loop, &a->retry);
		attempt_end_orders(a, MX_ESTOP);
		a->drain = NULL;
		if (a->is_submitted)
			continue;
		if (a->is_concluding)
			delivery_job_free(&a->job);
		free(a);
	}
}

void drain_free(struct drain **dp)
{
	struct drain *d = *dp;
	struct dest *dst, *dtmp;
	struct domain *dom, *tmp;

	if (d == NULL)
		return;
	*dp = NULL;
	d->is_stopping = true;
	spool_subscribe(d->spool, NULL, NULL);
	parked_forget(d);
	due_stop(d);
	expire_stop(d);
	risk_stop(d);
	domain_pace_stop(d);
	drain_sweep_stop(d);
	ev_timer_stop(d->loop, &d->sight);
	HASH_ITER (hh, d->domains, dom, tmp)
		dest_quit(dom);
	HASH_ITER (hh, d->dests, dst, dtmp)
		dest_free(dst);
	callout_stop(d);
	slots_stop(d); /* the last connections are gone */
	probes_stop(d);
	join_forget(d);
	departure_stop(d);
	drop_attempts(d);
	HASH_ITER (hh, d->domains, dom, tmp)
		domain_free(dom);
	drain_strangers_stop(d);
	MX_ASSERT(d->dests == NULL && d->domains == NULL);
	turns_stop(d);
	aside_forget(d);
	holds_forget(d);
	stops_forget(d);
	config_unref(&d->config);
	buf_fini(&d->text);
	free(d->status);
	free(d);
}

static void set_params(struct dest *dst, struct span none)
{
	(void)none;
	dest_set_params(dst);
}

void drain_reload(struct drain *d, struct config *config)
{
	static const struct visit_ops all = { review, set_params };
	struct config *old = d->config;

	d->config = config_ref(config);
	d->generation++;
	turns_visit(d, &all, SPAN_LIT(""));
	config_unref(&old);
}

/* ---- Triggers ---- */

static void flush_domain(struct domain *dom)
{
	if (dom->standing == HAS_ROUTE || !dom->has_mail)
		return;
	dom->is_flushed = true;
	router_forget(dom->drain->router, domain_name(dom));
	domain_ask(dom);
}

static void flush_dest(struct dest *dst, struct span name)
{
	(void)name;
	dest_trigger(dst, "flush");
}

void drain_flush(struct drain *d, struct span name)
{
	static const struct visit_ops all = { flush_domain, flush_dest };
	struct domain *dom;

	if (name.n == 0) {
		turns_visit(d, &all, name);
		return;
	}
	dom = domain_need(d, name);
	flush_domain(dom);
	if (dom->dest != NULL)
		dest_trigger(dom->dest, "flush");
}

void drain_heard_from(struct drain *d, const struct net_addr *peer)
{
	struct at_address *p = targets_at(d, peer);
	struct target *t, *next;

	if (p == NULL)
		return;
	for (t = LIST_FIRST(&p->targets); t != NULL; t = next) {
		next = LIST_NEXT(t, same);
		dest_heard_from(t->dest, (int)t->index);
	}
}

bool drain_goes_to_address(struct drain *d, const struct net_addr *addr)
{
	const struct at_address *p = targets_at(d, addr);
	const struct target *t;

	if (p == NULL)
		return false;
	LIST_FOREACH (t, &p->targets, same)
		if (!slots_is_strangers(t->dest))
			return true;
	return false;
}

static bool has_address(const struct route *r, const struct net_addr *peer)
{
	for (size_t h = 0; h < r->host_count; h++)
		for (size_t a = 0; a < r->hosts[h].addr_count; a++)
			if (net_addr_eq(&r->hosts[h].addrs[a], peer))
				return true;
	return false;
}

/* Also for a domain without mail, if its route is known. */
bool drain_is_target(struct drain *d, struct span name,
		     const struct net_addr *peer)
{
	const struct domain *dom = domain_find(d, name);
	struct route *r;
	bool is_target;

	if (dom != NULL && dom->dest != NULL)
		return has_address(dom->dest->route, peer);
	r = router_cached(d->router, name);
	is_target = r != NULL && has_address(r, peer);
	route_unref(&r);
	return is_target;
}
