/* A destination: the machine's decisions, carried out. */
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "daemon/drain/aside.h"
#include "daemon/drain/callout.h"
#include "daemon/drain/deferral.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/lane.h"
#include "daemon/drain/outages.h"

enum { RECORDS_PER_FALL = 1000, DOUBT_PAUSE_MS = 600000, DOUBT_MAX = 100 };

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct dest *dst = w->data;

	MX_ASSERT(dst->magic == DEST_MAGIC);
	(void)loop;
	(void)revents;
	dest_run(dst);
}

/* Links keep their target by name across a change of the route. */
static void relink(struct dest *dst)
{
	struct link *l;

	LIST_FOREACH (l, &dst->links, entry) {
		l->target = targets_find(dst, l->host);
		if (l->target == MACHINE_NONE)
			link_leave(l);
	}
}

static struct dest *dest_new(struct drain *d, struct route *route)
{
	struct dest *dst = mx_alloc(sizeof(*dst));
	const struct machine_params none = { 0 };

	dst->magic = DEST_MAGIC;
	dst->drain = d;
	dst->generation = d->generation;
	LIST_INIT(&dst->domains);
	LIST_INIT(&dst->links);
	TAILQ_INIT(&dst->ring);
	TAILQ_INIT(&dst->askers);
	TAILQ_INIT(&dst->lanes.waiting);
	dst->lanes.limit = 1;
	TAILQ_INIT(&dst->deferred);
	ev_timer_init(&dst->timer, on_timer, 0., 0.);
	dst->timer.data = dst;
	machine_init(&dst->machine, &none, random_secret());
	targets_build(dst, route);
	dest_set_params(dst);
	dst->flow.stop = stops_of_route(d, route->key);
	HASH_ADD_KEYPTR(hh, d->dests, dst->route->key.p, dst->route->key.n,
			dst);
	turns_enter_dest(dst);
	return dst;
}

/* The hash borrows the key from the route. */
static void adopt(struct dest *dst, struct route *route)
{
	HASH_DEL(dst->drain->dests, dst);
	targets_build(dst, route);
	relink(dst);
	dst->generation = dst->drain->generation;
	HASH_ADD_KEYPTR(hh, dst->drain->dests, dst->route->key.p,
			dst->route->key.n, dst);
}

/* What is known of a stranger's route is not all of it. */
static bool is_better(const struct dest *dst, const struct route *route)
{
	if (dst->route == route)
		return false;
	if (dst->route->is_brief != route->is_brief)
		return dst->route->is_brief;
	return dst->generation != dst->drain->generation ||
	       dst->route->expires_ms <= clock_mono_ms();
}

/*
 * Routes of equal keys are one destination; their facts (addresses, TLSA) are
 * those of the answer it was made from until that one expires, or a reload
 * throws away what was known.
 */
struct dest *dest_need(struct drain *d, struct route *route)
{
	struct dest *dst = dest_find(d, route);

	if (dst == NULL)
		return dest_new(d, route);
	if (is_better(dst, route))
		adopt(dst, route);
	return dst;
}

void dest_free(struct dest *dst)
{
	struct link *l;

	MX_ASSERT(LIST_EMPTY(&dst->domains) && TAILQ_EMPTY(&dst->ring));
	MX_ASSERT(TAILQ_EMPTY(&dst->lanes.waiting));
	while ((l = LIST_FIRST(&dst->links)) != NULL)
		link_free(l);
	ev_timer_stop(dst->drain->loop, &dst->timer);
	slots_forget(dst);
	probes_forget(dst);
	turns_leave_dest(dst);
	HASH_DEL(dst->drain->dests, dst);
	targets_clear(dst);
	flow_drop_watch(dst->drain, &dst->flow);
	dst->magic = 0;
	free(dst);
}

void dest_free_unused(struct dest *dst)
{
	if (LIST_EMPTY(&dst->domains) && LIST_EMPTY(&dst->links) &&
	    dst->at_risk == 0)
		dest_free(dst);
}

void dest_stop(struct dest *dst)
{
	struct link *l, *next;

	for (l = LIST_FIRST(&dst->links); l != NULL; l = next) {
		next = LIST_NEXT(l, entry);
		link_leave(l);
	}
}

/* ---- What it has to do ---- */

static enum probe_class class_of(const struct dest *dst, int64_t now_ms)
{
	if (slots_is_strangers(dst))
		return PROBE_ROUTINE;
	if (callout_wants(dst) || lanes_want(dst))
		return PROBE_ASKED;
	return dst->is_called || machine_is_due_anew(&dst->machine, now_ms)
		       ? PROBE_NEWS
		       : PROBE_ROUTINE;
}

/* It is due; then only if there is something for it, and its turn. */
static bool may_probe(struct dest *dst, int64_t now_ms)
{
	bool is_wanted = !TAILQ_EMPTY(&dst->ring) || callout_wants(dst) ||
			 lanes_want(dst);

	return !is_wanted || probes_admit(dst, class_of(dst, now_ms), now_ms);
}

static void connect_more(struct dest *dst)
{
	struct machine *m = &dst->machine;
	int64_t now = clock_mono_ms();
	int target;

	for (;;) {
		bool is_probe = dst->trying == 0 && machine_is_due(m, now);
		bool is_known, has_mail;

		if (is_probe && !may_probe(dst, now))
			return;
		has_mail = dest_waiting(dst, dst->trying + 1, is_probe,
					&is_known) > dst->trying ||
			   callout_wants(dst) || lanes_want(dst);

		if (!is_known) {
			turns_touch(dst);
			return;
		}
		if (has_mail && !slots_have_room(dst)) {
			slots_wait(dst);
			return;
		}
		dest_note_links(dst);
		target = machine_next(m, has_mail, dst->live, dst->trying, now);
		probes_spend(dst);
		if (target == MACHINE_NONE)
			return;
		link_new(dst, target, LINK_USUAL);
	}
}

/* Beside mail that flows to a second choice, ask after the first. */
static void send_scout(struct dest *dst)
{
	int target;

	if (dst->scout != NULL || !slots_have_room(dst))
		return;
	target = machine_better(&dst->machine, clock_mono_ms());
	if (target != MACHINE_NONE)
		link_new(dst, target, LINK_SCOUT);
}

static bool is_up_or_down(enum drain_state s)
{
	return s == DRAIN_UP || s == DRAIN_DOWN;
}

/* For mx20ctl without the daemon.  Bounded: others are recorded when more
 * mail comes for them. */
static void record_domains(struct dest *dst)
{
	struct domain *dom;
	int left = RECORDS_PER_FALL;

	LIST_FOREACH (dom, &dst->domains, member) {
		if (left-- == 0)
			return;
		domain_record(dom);
	}
}

static void note_state(struct dest *dst)
{
	enum drain_state now = dst->machine.state;
	int64_t wall = clock_wall_ms();

	if (!is_up_or_down(now) || now == dst->logged)
		return;
	log_at(now == DRAIN_UP ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, EV_STATE,
	       LOG_SPAN("destination", dst->route->key),
	       LOG_STR("from", drain_state_name(dst->logged)),
	       LOG_STR("to", drain_state_name(now)),
	       LOG_INT("after_s",
		       dst->since_ms > 0 ? (wall - dst->since_ms) / 1000 : 0),
	       LOG_STR("reply", dst->last_reply));
	dst->logged = now;
	dst->since_ms = wall;
	if (dst->drain->known != NULL)
		known_note_state(dst->drain->known, dst->route->key,
				 now == DRAIN_DOWN, wall);
	if (now == DRAIN_DOWN)
		record_domains(dst);
	outages_note(dst);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

/* What is due and finds no room is called when there is some, or its turn. */
static int64_t machine_at(struct dest *dst)
{
	bool is_wanted = !TAILQ_EMPTY(&dst->ring) || callout_is_awaited(dst);
	int64_t at = is_wanted ? machine_timer(&dst->machine) : 0;

	if (at == 0 || at > clock_mono_ms())
		return at;
	if (dst->probe_in != NULL)
		return 0;
	if (slots_have_room(dst))
		return at;
	slots_wait(dst);
	return 0;
}

static void arm(struct dest *dst)
{
	int64_t at = machine_at(dst);
	int64_t wait;

	at = earlier(at, earlier(deferral_timer(dst), aside_timer(dst)));
	at = earlier(at, callout_timer(dst));
	wait = at - clock_mono_ms();
	ev_timer_stop(dst->drain->loop, &dst->timer);
	if (at == 0 || !drain_is_at_work(dst->drain))
		return;
	if (wait <= 0 && dst->scout != NULL) /* when that ends */
		return;
	ev_timer_set(&dst->timer, wait > 0 ? (double)wait / 1000. : 0., 0.);
	ev_timer_start(dst->drain->loop, &dst->timer);
}

void dest_run(struct dest *dst)
{
	bool is_in_use = !TAILQ_EMPTY(&dst->ring) || dst->lanes.links > 0;
	struct link *l, *next;

	MX_ASSERT(dst->magic == DEST_MAGIC);
	if (hold_of(dst) != NULL || dst->flow.stop != NULL) {
		callout_held(dst);
		lanes_held(dst);
	}
	if (hold_of(dst) != NULL ||
	    (dst->flow.stop != NULL && !dst->flow.is_trial)) {
		ev_timer_stop(dst->drain->loop, &dst->timer);
		return;
	}
	for (l = LIST_FIRST(&dst->links); l != NULL; l = next) {
		next = LIST_NEXT(l, entry);
		if (TAILQ_EMPTY(&dst->ring))
			break;
		if (l->is_ready && !l->is_leaving)
			link_fill(l);
	}
	deferral_look(dst);
	deferral_call(dst);
	aside_look(dst);
	if (dst->flow.stop == NULL) {
		callout_run(dst);
		lanes_run(dst);
	}
	connect_more(dst);
	if (is_in_use && drain_is_at_work(dst->drain))
		send_scout(dst);
	note_state(dst);
	arm(dst);
}

/* ---- Triggers ---- */

void dest_trigger(struct dest *dst, const char *why)
{
	if (dst->machine.state != DRAIN_UP)
		log_info(EV_WAKE, LOG_SPAN("destination", dst->route->key),
			 LOG_STR("why", why));
	machine_trigger(&dst->machine, clock_mono_ms());
	dst->is_called = true;
	aside_hurry(dst);
	turns_touch(dst);
}

void dest_heard_from(struct dest *dst, int target)
{
	if (TAILQ_EMPTY(&dst->ring) ||
	    !machine_heard(&dst->machine, target, clock_mono_ms()))
		return;
	log_info(EV_WAKE, LOG_SPAN("destination", dst->route->key),
		 LOG_STR("host", dst->targets[target].name),
		 LOG_STR("why", "it connected"));
	dst->is_called = true;
	turns_touch(dst);
}

/*
 * A host of an MX set that leads back here: what is not better than it would
 * bring the mail round to us (RFC 5321 section 5.1).  No route of before is
 * used any more; the first of the domains learn it now.  Whom the operator
 * named is tried again and again, and the next on his list may have the mail;
 * of strangers nobody would learn.
 */
void dest_found_here(struct dest *dst, int target)
{
	enum route_source via = dst->route->source;
	struct domain *dom, *next;
	unsigned n = 0;

	if (slots_is_strangers(dst) ||
	    (via != ROUTE_FROM_MX && via != ROUTE_FROM_ADDRESS))
		return;
	router_found_here(dst->drain->router, &dst->targets[target].addr);
	for (dom = LIST_FIRST(&dst->domains); dom != NULL && n++ < DOUBT_MAX;
	     dom = next) {
		next = LIST_NEXT(dom, member);
		if (dom->has_mail)
			domain_ask(dom);
	}
}

/*
 * An MTA-STS policy that cannot be met may have been replaced: it is fetched
 * again long before its mail fails for good (RFC 8461 section 5.1).
 */
void dest_doubt_policy(struct dest *dst)
{
	int64_t now = clock_mono_ms();
	struct domain *dom, *next;
	unsigned n = 0;

	if (dst->doubted_ms != 0 && now - dst->doubted_ms < DOUBT_PAUSE_MS)
		return;
	dst->doubted_ms = now;
	for (dom = LIST_FIRST(&dst->domains); dom != NULL && n++ < DOUBT_MAX;
	     dom = next) {
		next = LIST_NEXT(dom, member);
		router_forget(dst->drain->router, domain_name(dom));
		if (dom->has_mail)
			domain_ask(dom);
	}
}
