/* A destination: the machine's decisions, carried out. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "daemon/drain/internal.h"
#include "daemon/drain/turns.h"

enum { RECORDS_PER_FALL = 1000, OLD_AT_ONCE = 64, DRY_A_TURN = 64 };

enum { STORE_MS = 300000 };

enum { DOUBT_PAUSE_MS = 600000, DOUBT_MAX = 100 };

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct dest *dst = w->data;

	MX_ASSERT(dst->magic == DEST_MAGIC);
	(void)loop;
	(void)revents;
	dest_run(dst);
}

static struct machine_params params_of(const struct dest *dst)
{
	const struct config *c = dst->drain->config;

	return (struct machine_params){
		.probe_max_ms = c->drain.probe_max_ms,
		.probe_busy_ms = c->drain.probe_busy_ms,
		.connect_timeout_ms = c->drain.connect_timeout_ms,
		.connections = slots_each(dst),
	};
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
	TAILQ_INIT(&dst->deferred);
	ev_timer_init(&dst->timer, on_timer, 0., 0.);
	dst->timer.data = dst;
	machine_init(&dst->machine, &none, random_secret());
	targets_build(dst, route);
	dst->machine.params = params_of(dst);
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
	dst->generation = dst->drain->generation;
	HASH_ADD_KEYPTR(hh, dst->drain->dests, dst->route->key.p,
			dst->route->key.n, dst);
}

struct dest *dest_find(struct drain *d, const struct route *route)
{
	struct dest *dst;

	HASH_FIND(hh, d->dests, route->key.p, route->key.n, dst);
	return dst;
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
	if (dst->route != route && (dst->generation != d->generation ||
				    dst->route->expires_ms <= clock_mono_ms()))
		adopt(dst, route);
	return dst;
}

void dest_free(struct dest *dst)
{
	struct link *l;

	while ((l = LIST_FIRST(&dst->links)) != NULL)
		link_free(l);
	ev_timer_stop(dst->drain->loop, &dst->timer);
	slots_forget(dst);
	turns_leave_dest(dst);
	HASH_DEL(dst->drain->dests, dst);
	targets_clear(dst);
	dst->magic = 0;
	free(dst);
}

void dest_stop(struct dest *dst)
{
	struct link *l, *next;

	for (l = LIST_FIRST(&dst->links); l != NULL; l = next) {
		next = LIST_NEXT(l, entry);
		link_leave(l);
	}
}

static void set_params(struct dest *dst)
{
	dst->machine.params = params_of(dst);
	if (dst->machine.limit > dst->machine.params.connections)
		dst->machine.limit = dst->machine.params.connections;
}

static void count(struct domain *dom, bool is_listed)
{
	if (dom->is_counted == is_listed)
		return;
	dom->is_counted = is_listed;
	dom->dest->listed += is_listed ? 1 : -1U;
	set_params(dom->dest);
}

void dest_weigh(struct domain *dom)
{
	count(dom, !dom->is_stranger);
}

void dest_join(struct dest *dst, struct domain *dom)
{
	dom->dest = dst;
	LIST_INSERT_HEAD(&dst->domains, dom, member);
	dest_weigh(dom);
}

void dest_quit(struct domain *dom)
{
	if (dom->dest == NULL)
		return;
	deferral_leave(dom);
	domain_leave_ring(dom);
	LIST_REMOVE(dom, member);
	count(dom, false);
	dom->dest = NULL; /* the sweep frees what nobody belongs to */
}

void dest_set_config(struct dest *dst, struct span none)
{
	(void)none;
	set_params(dst);
}

/* ---- What it has to do ---- */

/*
 * How many units wait for a connection, at most `most`.  A host is not probed
 * for mail that has been removed: for_probe has it looked up again.  So many
 * domains that have none any more leave the ring in one turn; is_known: none of
 * those behind them would have changed the number.
 */
static unsigned waiting(struct dest *dst, unsigned most, bool for_probe,
			bool *is_known)
{
	struct domain *dom, *next;
	unsigned n = 0, dry = 0;

	*is_known = true;
	if (!drain_is_at_work(dst->drain))
		return 0;
	for (dom = TAILQ_FIRST(&dst->ring); dom != NULL && n < most;
	     dom = next) {
		next = TAILQ_NEXT(dom, ring);
		if (for_probe)
			domain_reread(dom);
		n += (unsigned)domain_waiting(dom, most - n);
		if (dom->has_mail)
			continue;
		domain_leave_ring(dom);
		if (++dry == DRY_A_TURN && n < most) {
			*is_known = TAILQ_EMPTY(&dst->ring);
			return n;
		}
	}
	return n;
}

/* Round-robin across domains.  One whose route grew old asks first, and is
 * back in the ring when it has its answer. */
struct attempt *dest_take(struct dest *dst, bool newest)
{
	int asked = 0, dry = 0;
	struct drain *d = dst->drain;
	struct domain *dom;

	if (!drain_is_at_work(d) || dest_held(dst) != NULL)
		return NULL;
	if (d->unsettled >= UNSETTLED_MAX) {
		d->is_full = true; /* settled() starts everyone again */
		return NULL;
	}
	while ((dom = TAILQ_FIRST(&dst->ring)) != NULL) {
		struct attempt *a;

		if (domain_is_old(dom)) {
			domain_ask(dom);
			if (++asked == OLD_AT_ONCE)
				return NULL;
			continue;
		}
		a = domain_take(dom, newest);
		domain_leave_ring(dom);
		if (dom->has_mail)
			domain_enter_ring(dom);
		if (a != NULL || d->is_blind)
			return a;
		if (++dry == DRY_A_TURN) {
			turns_touch(dst);
			return NULL;
		}
	}
	return NULL;
}

static void count_links(struct dest *dst)
{
	const struct link *l;

	for (size_t i = 0; i < dst->target_count; i++)
		dst->mtargets[i].links = 0;
	LIST_FOREACH (l, &dst->links, entry)
		if (l->kind != LINK_SINGLE && !l->is_leaving &&
		    l->target != MACHINE_NONE)
			dst->mtargets[l->target].links++;
}

bool dest_is_idle(struct dest *dst)
{
	const struct link *l;
	bool is_known;
	unsigned n;

	LIST_FOREACH (l, &dst->links, entry)
		if (l->delivery != NULL && delivery_jobs(l->delivery) > 0)
			return false;
	n = waiting(dst, 1, false, &is_known);
	if (!is_known)
		turns_touch(dst);
	return n == 0 && is_known;
}

static void connect_more(struct dest *dst)
{
	struct machine *m = &dst->machine;
	int64_t now = clock_mono_ms();
	int target;

	for (;;) {
		bool is_probe = dst->trying == 0 && machine_is_due(m, now);
		bool is_known;
		bool has_mail = waiting(dst, dst->trying + 1, is_probe,
					&is_known) > dst->trying;

		if (!is_known) {
			turns_touch(dst);
			return;
		}
		if (has_mail && !slots_have_room(dst)) {
			slots_wait(dst);
			return;
		}
		count_links(dst);
		target = machine_next(m, has_mail, dst->live, dst->trying, now);
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

/* One connection of many, or the only one, goes over to a host with fewer:
 * first the new one is made, then the old one ends (dest_relieve). */
bool dest_seek_relief(struct dest *dst, int target)
{
	int other;

	if (dst->scout != NULL || TAILQ_EMPTY(&dst->ring) ||
	    !slots_have_room(dst))
		return false;
	count_links(dst);
	other = machine_relief(&dst->machine, target);
	if (other != MACHINE_NONE)
		link_new(dst, other, LINK_SCOUT);
	return true;
}

/* Does it carry more than this one, that the load were more even without? */
static bool is_rather(const struct dest *dst, const struct link *a,
		      const struct link *b)
{
	unsigned of_a = dst->mtargets[a->target].links;
	unsigned of_b = dst->mtargets[b->target].links;

	return of_a != of_b ? of_a > of_b : a->jobs_done > b->jobs_done;
}

void dest_relieve(struct dest *dst, const struct link *by)
{
	unsigned rank = dst->mtargets[by->target].rank;
	struct link *l, *most = NULL;

	if (dst->live <= dst->machine.limit)
		return;
	count_links(dst);
	LIST_FOREACH (l, &dst->links, entry)
		if (l != by && l->is_ready && !l->is_leaving &&
		    l->kind != LINK_SINGLE && l->target != MACHINE_NONE &&
		    dst->mtargets[l->target].rank == rank &&
		    (most == NULL || is_rather(dst, l, most)))
			most = l;
	if (most != NULL)
		link_leave(most);
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
	if (now == DRAIN_DOWN)
		record_domains(dst);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

static void arm(struct dest *dst)
{
	int64_t at = TAILQ_EMPTY(&dst->ring) ? 0 : machine_timer(&dst->machine);
	int64_t wait;

	at = earlier(at, earlier(deferral_timer(dst), aside_timer(dst)));
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
	bool had_mail = !TAILQ_EMPTY(&dst->ring);
	struct link *l, *next;

	if (dest_held(dst) != NULL) {
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
	connect_more(dst);
	if (had_mail && drain_is_at_work(dst->drain))
		send_scout(dst);
	note_state(dst);
	arm(dst);
}

/* ---- What is remembered ---- */

void dest_note_text(struct dest *dst, int target, struct span reply)
{
	snprintf(dst->last_reply, sizeof(dst->last_reply), "%.*s",
		 SPAN_ARG(reply));
	if (target != MACHINE_NONE)
		snprintf(dst->targets[target].last_reply,
			 sizeof(dst->targets[target].last_reply), "%s",
			 dst->last_reply);
}

void dest_note(struct dest *dst, int target, const struct smtp_reply *reply)
{
	struct buf line = { 0 };

	smtp_reply_print(&line, reply);
	dest_note_text(dst, target, buf_span(&line));
	buf_fini(&line);
}

/* So that the next start knows how old its knowledge is. */
void dest_store_now_and_then(struct dest *dst, int target)
{
	if (clock_mono_ms() - dst->targets[target].stored_ms >= STORE_MS &&
	    (dst->mtargets[target].is_up || dst->mtargets[target].is_down))
		dest_store_target(dst, target);
}

void dest_store_target(struct dest *dst, int target)
{
	const struct target *t = &dst->targets[target];
	const struct machine_target *mt = &dst->mtargets[target];
	struct spool_target st = { .is_up = mt->is_up };
	int64_t good = mt->good_ms, now = clock_mono_ms();

	if (slots_is_strangers(dst)) /* reports can do without */
		return;
	dst->targets[target].stored_ms = now;
	st.since_ms = clock_wall_ms() - (now - mt->since_ms);
	st.checked_ms = clock_wall_ms() - (now - mt->heard_ms);
	st.latency_ms = (uint32_t)(good < UINT32_MAX ? good : UINT32_MAX);
	snprintf(st.name, sizeof(st.name), "%s", t->name);
	snprintf(st.last_reply, sizeof(st.last_reply), "%s", t->last_reply);
	snprintf(st.ehlo, sizeof(st.ehlo), "%s", t->ehlo);
	spool_target_put(dst->drain->spool, &st);
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

void dest_forget(struct dest *dst)
{
	count_links(dst);
	machine_forget(&dst->machine, config_stale_ms(dst->drain->config),
		       clock_mono_ms());
}

/* ---- Triggers ---- */

void dest_trigger(struct dest *dst, const char *why)
{
	if (dst->machine.state != DRAIN_UP)
		log_info(EV_WAKE, LOG_SPAN("destination", dst->route->key),
			 LOG_STR("why", why));
	machine_trigger(&dst->machine, clock_mono_ms());
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
	turns_touch(dst);
}

void dest_count_links(const struct dest *dst, int target, unsigned *here,
		      unsigned *live)
{
	const struct link *l;

	*here = *live = 0;
	LIST_FOREACH (l, &dst->links, entry) {
		if (!l->is_ready || l->is_leaving)
			continue;
		*live += 1;
		*here += l->target == target;
	}
}
