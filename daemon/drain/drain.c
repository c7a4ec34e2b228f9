/* The drain as the rest of the daemon sees it. */
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/log.h"
#include "daemon/drain/internal.h"
#include "daemon/drain/turns.h"
#include "daemon/sts/known.h"

enum {
	SWEEP_S = 60,
	SIGHT_S = 1,
	FORGET_MS = 600000,
	REAP_MAX = 16,
};

#define FACTS_KEPT_MS DAYS(30)

/* ---- From the spool ---- */

static void on_announced(struct span name, void *arg)
{
	domain_announce(domain_need(arg, name));
	expire_look(arg);
}

static bool on_domain(const struct spool_domain *row, void *arg)
{
	struct drain *d = arg;

	if (row->ready > 0)
		domain_announce(domain_need(d, span_str(row->name)));
	else if (row->units > 0)
		(void)unlisted_may_go(domain_need(d, span_str(row->name)));
	if (row->deferred > 0)
		deferral_recall(d, span_str(row->name));
	return true;
}

/* ---- A spool that cannot be read just now ---- */

/* Every domain that has mail: at the start. */
static void list_domains(struct drain *d)
{
	enum mx_err err = spool_domains(d->spool, span_of("", 0), on_domain, d);

	d->is_listed = err == MX_OK || err == MX_ECORRUPT;
	if (err != MX_OK)
		drain_is_unreadable(d, span_of(NULL, 0), err);
}

static void ask_if_none(struct domain *dom)
{
	if (dom->has_mail && dom->route == NULL)
		domain_ask(dom);
}

static void touch(struct dest *dst, struct span name)
{
	(void)name;
	turns_touch(dst);
}

static void on_sight(struct ev_loop *loop, ev_timer *w, int revents)
{
	static const struct visit_ops look_again = { ask_if_none, touch };
	struct drain *d = w->data;

	(void)loop;
	(void)revents;
	d->is_blind = false;
	if (!d->is_listed)
		list_domains(d);
	turns_visit(d, &look_again, SPAN_LIT(""));
	drain_reap(d);
}

void drain_go_on(struct drain *d)
{
	static const struct visit_ops everyone = { NULL, touch };

	d->is_full = false;
	turns_visit(d, &everyone, SPAN_LIT(""));
	drain_reap(d);
}

void drain_is_unreadable(struct drain *d, struct span domain, enum mx_err err)
{
	int64_t now = clock_mono_ms();

	if (d->blind_said_ms == 0 || now - d->blind_said_ms >= MINUTES(1)) {
		d->blind_said_ms = now;
		log_error(EV_SPOOL, LOG_SPAN("domain", domain),
			  LOG_STR("error", "cannot be read, tried again: "
					   "mail waits for that"),
			  LOG_STR("cause", mx_strerror(err)));
	}
	if (err == MX_ECORRUPT || d->is_blind)
		return; /* what is damaged stays so */
	d->is_blind = true;
	ev_timer_set(&d->sight, SIGHT_S, 0.);
	ev_timer_start(d->loop, &d->sight);
}

/* ---- Reports to domains that take no mail at all ---- */

/* "(route) 5.1.2 NXDOMAIN for example.org"; lives as long as the unit. */
static struct span denial_reply(struct attempt *a, const struct route *r)
{
	struct buf text = { 0 };
	struct span reply;

	if (r->result == ROUTE_NULL_MX)
		return SPAN_LIT("(route) 5.1.10 Recipient domain takes no "
				"mail (null MX)");
	buf_addf(&text, "(route) 5.1.2 %.*s", SPAN_ARG(r->reason));
	reply = arena_span(&a->job->unit->arena, buf_span(&text));
	buf_fini(&text);
	return reply;
}

/* That of a look-up that is still to be believed. */
static bool is_final(const struct domain *dom)
{
	return dom->standing == HAS_DENIAL && dom->route != NULL &&
	       dom->route->is_final && !dom->is_asking && !dom->wants_ask;
}

static void reap_domain(struct domain *dom)
{
	struct drain *d = dom->drain;
	size_t n = 0;
	struct attempt *a;

	while (n < REAP_MAX && dom->has_mail && is_final(dom) &&
	       drain_is_at_work(d)) {
		if (d->unsettled >= UNSETTLED_MAX) {
			d->is_full = true; /* then drain_go_on */
			return;
		}
		a = domain_take(dom, false);
		if (a == NULL)
			break;
		n++;
		if (a->job->unit->envelope.is_dsn)
			conclude_with(a, OUTCOME_PERMANENT,
				      denial_reply(a, dom->route));
		else
			attempt_drop(a); /* not to be returned for this */
	}
	if (n == REAP_MAX)
		drain_reap(d);
}

void drain_reap(struct drain *d)
{
	static const struct visit_ops reap = { reap_domain, NULL };

	turns_visit(d, &reap, SPAN_LIT(""));
}

/* ---- Forgetting ---- */

/* Those with deferred or held mail stay, for status. */
static bool is_forgettable(const struct domain *dom, int64_t now)
{
	struct spool_domain row;

	if (dom->has_mail || dom->in_flight > 0 || dom->is_asking ||
	    dom->wants_ask || now - dom->idle_ms < FORGET_MS)
		return false;
	return spool_domain_get(dom->drain->spool, domain_name(dom), &row) !=
		       MX_OK ||
	       row.units == 0;
}

/* Of hosts that are in no route any more. */
static void forget_facts(struct drain *d, int64_t now)
{
	if (now < d->forget_ms)
		return;
	d->forget_ms = now + DAYS(1);
	spool_forget(d->spool, clock_wall_ms() - FACTS_KEPT_MS,
		     sts_known_is_over, NULL, NULL);
}

static void sweep_domain(struct domain *dom)
{
	if (is_forgettable(dom, clock_mono_ms()))
		domain_free(dom);
}

static void sweep_dest(struct dest *dst, struct span name)
{
	(void)name;
	dest_forget(dst);
	if (LIST_EMPTY(&dst->domains) && LIST_EMPTY(&dst->links) &&
	    dst->at_risk == 0)
		dest_free(dst);
}

static void on_sweep(struct ev_loop *loop, ev_timer *w, int revents)
{
	static const struct visit_ops sweep = { sweep_domain, sweep_dest };
	struct drain *d = w->data;

	(void)loop;
	(void)revents;
	unlisted_remind(d);
	forget_facts(d, clock_mono_ms());
	turns_visit(d, &sweep, SPAN_LIT(""));
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

struct drain *drain_new(const struct drain_options *opt)
{
	struct drain *d = mx_alloc(sizeof(*d));

	d->loop = opt->loop;
	d->spool = opt->spool;
	d->router = opt->router;
	d->config = config_ref(opt->config);
	d->generation = 1;
	d->reminded_ms = clock_mono_ms();
	slots_start(d, opt->most_links);
	domain_pace_start(d);
	turns_start(d);
	ev_timer_init(&d->sweep, on_sweep, SWEEP_S, SWEEP_S);
	d->sweep.data = d;
	ev_timer_start(d->loop, &d->sweep);
	ev_init(&d->sight, on_sight);
	d->sight.data = d;
	risk_start(d);
	join_start(d);
	expire_start(d);
	holds_load(d);
	spool_subscribe(d->spool, on_announced, d);
	list_domains(d);
	return d;
}

void drain_stop(struct drain *d)
{
	struct dest *dst, *tmp;

	d->is_stopping = true;
	join_hurry(d);
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
static void drop_hands(struct drain *d)
{
	struct attempt *a, *tmp;

	HASH_ITER (hh, d->attempts, a, tmp) {
		HASH_DEL(d->attempts, a);
		if (ev_is_active(&a->retry))
			ev_timer_stop(d->loop, &a->retry);
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
	expire_stop(d);
	risk_stop(d);
	domain_pace_stop(d);
	ev_timer_stop(d->loop, &d->sweep);
	ev_timer_stop(d->loop, &d->sight);
	HASH_ITER (hh, d->domains, dom, tmp)
		dest_quit(dom);
	HASH_ITER (hh, d->dests, dst, dtmp)
		dest_free(dst);
	slots_stop(d); /* the last connections are gone */
	join_forget(d);
	drop_hands(d);
	HASH_ITER (hh, d->domains, dom, tmp)
		domain_free(dom);
	turns_stop(d);
	aside_forget(d);
	holds_forget(d);
	config_unref(&d->config);
	buf_fini(&d->text);
	free(d->status);
	free(d);
}

void drain_reload(struct drain *d, struct config *config)
{
	static const struct visit_ops all = { review, dest_set_config };
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
	r = router_known(d->router, name);
	is_target = r != NULL && has_address(r, peer);
	route_unref(&r);
	return is_target;
}
