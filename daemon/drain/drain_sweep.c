/* What has nothing to do is forgotten. */
#include <stdlib.h>

#include "common/base/clock.h"
#include "daemon/drain/aside.h"
#include "daemon/drain/braking.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/offers.h"
#include "daemon/drain/outages.h"
#include "daemon/drain/unlisted.h"
#include "daemon/known/downtime.h"
#include "daemon/report/daily.h"
#include "daemon/sts/known.h"

enum { SWEEP_S = 60, FORGET_MS = 600000 };

#define FACTS_KEPT_MS DAYS(30)

/* Those with deferred or held mail stay, for status. */
static bool is_forgettable(const struct domain *dom, int64_t now)
{
	struct spool_domain row;

	if (dom->has_mail || dom->callouts > 0 || dom->lane_count > 0 || dom->in_flight > 0 ||
	    dom->is_asking || dom->wants_ask || now - dom->idle_ms < FORGET_MS)
		return false;
	return spool_domain_get(dom->drain->spool, domain_name(dom), &row) !=
		       MX_OK ||
	       row.units == 0;
}

static bool is_over(struct span key, struct span value)
{
	return sts_known_is_over(key, value) ||
	       daily_is_over(key, value, clock_wall_ms()) ||
	       outage_is_over(key, value, clock_wall_ms()) ||
	       tally_is_over(key, clock_wall_ms()) ||
	       trace_is_over(key, value, clock_wall_ms()) ||
	       downtime_is_over(key, value, clock_wall_ms()) ||
	       offers_is_over(key, value, clock_wall_ms());
}

/* Of hosts that are in no route any more, and what is old. */
static void forget_facts(struct drain *d, int64_t now)
{
	if (now < d->forget_ms)
		return;
	d->forget_ms = now + DAYS(1);
	spool_forget(d->spool, clock_wall_ms() - FACTS_KEPT_MS, is_over, NULL,
		     NULL);
}

void domain_free(struct domain *dom)
{
	struct drain *d = dom->drain;

	strangers_note(dom, false);
	aside_forget_domain(dom);
	dest_quit(dom);
	domain_ask_no_more(dom);
	turns_leave_domain(dom);
	HASH_DEL(d->domains, dom);
	d->callouts.domains -= dom->is_for_questions;
	domain_start_over(dom);
	route_unref(&dom->route);
	flow_drop_watch(d, &dom->flow);
	dom->magic = 0;
	free(dom->name);
	free(dom);
}

static void sweep_domain(struct domain *dom)
{
	braking_sweep(dom->drain, &dom->flow);
	braking_try_domain(dom, clock_mono_ms());
	if (is_forgettable(dom, clock_mono_ms()))
		domain_free(dom);
}

static void sweep_dest(struct dest *dst, struct span name)
{
	(void)name;
	dest_forget(dst);
	outages_still(dst);
	braking_sweep(dst->drain, &dst->flow);
	braking_try_dest(dst, clock_mono_ms());
	dest_free_unused(dst);
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

void drain_sweep_start(struct drain *d)
{
	ev_timer_init(&d->sweep, on_sweep, SWEEP_S, SWEEP_S);
	d->sweep.data = d;
	ev_timer_start(d->loop, &d->sweep);
}

void drain_sweep_stop(struct drain *d)
{
	ev_timer_stop(d->loop, &d->sweep);
}
