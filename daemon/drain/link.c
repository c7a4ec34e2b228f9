/* One connection of a destination: its life. */
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/risk.h"

enum { IDLE_MS = 5000 }; /* kept that long without work */

static void lane_count_in(struct dest *dst)
{
	dst->drain->lane_links++;
	dst->lanes.links++;
	dst->lanes.trying++;
}

static void lane_count_out(struct link *l)
{
	struct dest *dst = l->dest;

	MX_ASSERT(dst->lanes.links > 0 && dst->drain->lane_links > 0);
	MX_ASSERT(l->is_asking || dst->lanes.trying > 0);
	dst->drain->lane_links--;
	dst->lanes.links--;
	dst->lanes.trying -= !l->is_asking;
}

/* Scouts and those with a single unit are beside the connections that the
 * machine decides on. */
static void count_in(struct link *l)
{
	struct dest *dst = l->dest;

	MX_ASSERT(l->kind != LINK_SCOUT || dst->scout == NULL);
	if (l->kind == LINK_SINGLE)
		dst->singles++;
	else if (l->kind == LINK_CALLOUT)
		dst->callout_links++;
	else if (l->kind == LINK_RELAY)
		lane_count_in(dst);
	else if (l->kind == LINK_SCOUT)
		dst->scout = l;
	else
		dst->trying++;
}

void link_uncount(struct link *l)
{
	struct dest *dst = l->dest;

	if (l->kind == LINK_SINGLE) {
		MX_ASSERT(dst->singles > 0);
		dst->singles--;
		if (dst->aside == l)
			dst->aside = NULL;
	} else if (l->kind == LINK_CALLOUT) {
		MX_ASSERT(dst->callout_links > 0);
		dst->callout_links--;
	} else if (l->kind == LINK_RELAY) {
		lane_count_out(l);
	} else if (dst->scout == l) {
		dst->scout = NULL;
	} else if (l->is_ready) {
		MX_ASSERT(dst->live > 0);
		dst->live--;
	} else {
		MX_ASSERT(dst->trying > 0);
		dst->trying--;
	}
}

/* No more mail for it; it finishes what it has. */
void link_leave(struct link *l)
{
	struct dest *dst = l->dest;

	if (l->is_leaving)
		return;
	l->is_leaving = true;
	link_uncount(l);
	ev_timer_stop(dst->drain->loop, &l->idle);
	delivery_quit(l->delivery);
}

static void on_idle(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct link *l = w->data;

	MX_ASSERT(l->magic == LINK_MAGIC);
	(void)loop;
	(void)revents;
	link_leave(l);
}

static unsigned still_without(struct target *t)
{
	if (t->without != 0 && clock_mono_ms() >= t->without_until_ms)
		t->without = 0;
	return t->without;
}

/* No other mail waits behind a single unit: it has all the time there is. */
static int64_t connect_ms(const struct dest *dst, int target,
			  enum link_kind kind)
{
	return kind == LINK_SINGLE ? dst->machine.params.connect_timeout_ms
				   : machine_connect_ms(&dst->machine, target);
}

struct link *link_new(struct dest *dst, int target, enum link_kind kind)
{
	struct drain *d = dst->drain;
	struct target *t = &dst->targets[target];
	struct link *l = mx_alloc(sizeof(*l));
	struct delivery_options opt = {
		.loop = d->loop,
		.helo = d->config->hostname,
		.local_name = d->config->hostname,
		.host = t->host,
		.route = dst->route,
		.target = &t->addr,
		.tls = d->config->tls_client,
		.connect_timeout_ms = connect_ms(dst, target, kind),
		.reply_timeout_ms = d->config->drain.reply_timeout_ms,
		.greeting_timeout_ms =
			kind == LINK_SINGLE
				? 0
				: machine_greeting_ms(&dst->machine, target),
		.without = still_without(t),
		.rcpts_most = t->rcpts_most,
		.is_proven = clock_mono_ms() < t->proven_until_ms,
	};

	MX_ASSERT((size_t)target < dst->target_count);
	slots_limit(dst, &opt);
	l->magic = LINK_MAGIC;
	l->dest = dst;
	slots_take(l);
	l->target = target;
	l->without = opt.without;
	l->kind = kind;
	l->turn_at = TURN_JOBS;
	l->config = config_ref(d->config);
	l->is_newest_first = dst->serial++ % 5 == 1;
	l->started_ms = clock_mono_ms();
	memcpy(l->host, t->name, sizeof(l->host));
	ev_timer_init(&l->idle, on_idle, 0., 0.);
	l->idle.data = l;
	LIST_INSERT_HEAD(&dst->links, l, entry);
	count_in(l);
	if (kind != LINK_SINGLE && kind != LINK_CALLOUT)
		machine_started(&dst->machine, target, l->started_ms);
	l->delivery = delivery_new(&opt, d->link_events, l);
	return l;
}

void link_heard_of(const struct link *l)
{
	if (l->target != MACHINE_NONE)
		machine_greeted(&l->dest->machine, l->target, clock_mono_ms());
}

bool link_is_free(const struct link *l)
{
	return !l->is_leaving && delivery_jobs(l->delivery) == 0 &&
	       delivery_room(l->delivery) > 0;
}

void link_set_idle(struct link *l)
{
	struct ev_loop *loop = l->dest->drain->loop;

	if (delivery_jobs(l->delivery) > 0) {
		ev_timer_stop(loop, &l->idle);
	} else if (!ev_is_active(&l->idle)) {
		ev_timer_set(&l->idle, IDLE_MS / 1000., 0.);
		ev_timer_start(loop, &l->idle);
	}
}

void link_free(struct link *l)
{
	MX_ASSERT(l->is_leaving || l->dest->drain->is_stopping);
	ev_timer_stop(l->dest->drain->loop, &l->idle);
	risk_forget(l);
	LIST_REMOVE(l, entry);
	delivery_free(&l->delivery);
	slots_give_back(l);
	config_unref(&l->config);
	l->magic = 0;
	free(l);
}
