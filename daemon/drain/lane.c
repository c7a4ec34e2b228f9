/* Relayed mail: its connections, and what is told of them. */
#include "daemon/drain/lane.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/smtp/address.h"
#include "daemon/drain/answers.h"
#include "daemon/drain/canary.h"
#include "daemon/drain/lane_priv.h"
#include "daemon/drain/link_priv.h"

enum { IDLE_MS = 5000, LOOK_MS = 200 };

/* It was heard of: is up, if it was, and its facts are of now. */
static void heard_of(const struct link *l)
{
	if (l->target != MACHINE_NONE)
		machine_greeted(&l->dest->machine, l->target, clock_mono_ms());
}

/* ---- Carrying ---- */

static struct lane *lane_of(const struct delivery_job *job)
{
	struct lane *lane = job->arg;

	MX_ASSERT(lane->magic == LANE_MAGIC);
	return lane;
}

/* RFC 5321 section 4.1.1.3: a reply to RCPT is about the recipient. */
static void learn(const struct link *l, const struct lane *lane,
		  const struct delivery_job *job, size_t i, enum meaning m)
{
	const struct recipient *r = &job->unit->rcpts[i];
	struct known *known = l->dest->drain->known;
	enum known_said said = SAID_NOTHING;

	if (known == NULL || (m != MEANS_YES && m != MEANS_NEVER))
		return;
	said = known_meaning_from(job->set[i].reply, job->unit->envelope.from);
	if (said == SAID_NOTHING ||
	    (said == SAID_NO && !flow_knows_its_own(lane->domain)))
		return;
	known_learn(known, r->domain, smtp_local_of(r->path),
		    l->dest->route->key, said == SAID_YES, false,
		    job->set[i].reply, clock_wall_ms());
}

static void on_rcpt(struct delivery *dl, struct delivery_job *job, size_t i,
		    enum meaning m, void *arg)
{
	struct lane *lane = lane_of(job);
	struct link *l = arg;

	(void)dl;
	l->is_heard = true;
	heard_of(l);
	learn(l, lane, job, i, m);
	lane->listener->on_rcpt(i, m, job->set[i].reply, lane->arg);
}

/* It has its connection no longer. */
static void part(struct lane *lane)
{
	lane->carrier->lane = NULL;
	lane->carrier = NULL;
	lane->state = LANE_OVER;
	lane_net_leave(&lane->stake);
}

static void on_done(struct delivery *dl, struct delivery_job *job, void *arg)
{
	struct lane *lane = lane_of(job);
	struct link *l = arg;
	const struct delivery_end *end = delivery_ending(dl);

	MX_ASSERT(lane->job == job && lane->carrier == l && l->lane == lane);
	lane->job = NULL;
	part(lane);
	l->jobs_done++;
	link_learn_without(l, dl);
	if (delivery_job_is_decided(job)) {
		heard_of(l);
		link_test_without(l, true);
		lane_went_well(l->dest);
		lane_learn_latency(l, job);
	}
	if (delivery_job_count(job, OUTCOME_DELIVERED) > 0)
		canary_relayed(lane->domain);
	lane->listener->on_done(job, end, lane->arg);
	delivery_job_free(&job);
}

static const struct delivery_listener lane_listener = {
	.on_done = on_done,
	.on_rcpt = on_rcpt,
};

static void give(struct link *l, struct lane *lane)
{
	struct lane_peer peer = {
		.host = span_str(l->host),
		.size_most = l->size_most,
		.offered = l->offered,
		.conn_ms = l->jobs_done > 0 ? 0 : l->conn_ms,
		.is_reused = l->jobs_done > 0,
		.is_only = l->dest->target_count == 1,
	};

	lane_take_from_queue(lane);
	lane->carrier = l;
	l->lane = lane;
	l->is_heard = l->jobs_done == 0;
	ev_timer_stop(l->dest->drain->loop, &lane->deadline);
	ev_timer_stop(l->dest->drain->loop, &l->idle);
	lane->job = delivery_job_new(&lane->unit, lane->source,
				     l->dest->drain->lane_listener, lane);
	lane->job->more = MORE_RCPTS;
	lane->job->bytes = 0;
	lane->listener->on_begun(&peer, lane->arg);
	delivery_give(l->delivery, lane->job);
}

static bool is_free(const struct link *l)
{
	return !l->is_leaving && delivery_jobs(l->delivery) == 0 &&
	       delivery_room(l->delivery) > 0;
}

/* The first behind that one (NULL: of all) whose network may have one more. */
static struct lane *next_fair(const struct dest *dst, struct lane *behind)
{
	unsigned most = lane_places(dst);
	struct lane *l = behind != NULL ? TAILQ_NEXT(behind, link)
					: TAILQ_FIRST(&dst->lanes.waiting);

	while (l != NULL && !lane_net_may_hold(&l->stake, most))
		l = TAILQ_NEXT(l, link);
	return l;
}

/* The first that can go over this one; who cannot is told. */
static struct lane *next_lane(const struct link *l)
{
	struct lane *lane, *next;

	if (hold_of(l->dest) != NULL || !drain_is_at_work(l->dest->drain))
		return NULL;
	for (lane = next_fair(l->dest, NULL); lane != NULL; lane = next) {
		if ((lane->needs & ~l->offered) == 0)
			return lane;
		next = next_fair(l->dest, lane);
		lane_answer(lane, LANE_OTHER,
			    SPAN_LIT("(ehlo) The server lacks an extension "
				     "that is needed"));
	}
	return NULL;
}

void lane_fill(struct link *l)
{
	struct ev_loop *loop = l->dest->drain->loop;
	struct lane *lane;

	MX_ASSERT(l->kind == LINK_RELAY);
	if (!l->is_asking || !is_free(l))
		return;
	lane = next_lane(l);
	if (lane != NULL) {
		give(l, lane);
	} else if (!ev_is_active(&l->idle)) {
		ev_timer_set(&l->idle, IDLE_MS / 1000., 0.);
		ev_timer_start(loop, &l->idle);
	}
}

/* ---- Connections ---- */

void lane_ready(struct link *l)
{
	struct lanes *of = &l->dest->lanes;

	MX_ASSERT(!l->is_asking && of->trying > 0);
	l->is_asking = true;
	of->trying--;
	heard_of(l);
	lane_fill(l);
	turns_touch(l->dest);
}

/* One that works, and has no mail to carry, becomes one of ours. */
static void adopt(struct link *l)
{
	struct lanes *of = &l->dest->lanes;

	link_uncount(l);
	l->kind = LINK_RELAY;
	l->is_ready = false;
	l->is_asking = true;
	of->links++;
	l->dest->drain->lane_links++;
	lane_fill(l);
}

static bool is_idle(const struct link *l)
{
	return l->kind == LINK_USUAL && l->is_ready && is_free(l);
}

static bool may_have_more(const struct dest *dst)
{
	return dst->lanes.links < lane_places(dst);
}

static struct link *idle_link(struct dest *dst)
{
	struct link *l;

	LIST_FOREACH (l, &dst->links, entry)
		if (l->kind == LINK_RELAY && l->is_asking && is_free(l))
			return l;
	if (!TAILQ_EMPTY(&dst->ring) || !may_have_more(dst))
		return NULL;
	LIST_FOREACH (l, &dst->links, entry)
		if (is_idle(l))
			return l;
	return NULL;
}

static void hand_out(struct dest *dst)
{
	struct link *l;

	while (next_fair(dst, NULL) != NULL && (l = idle_link(dst)) != NULL) {
		if (l->kind == LINK_RELAY)
			lane_fill(l);
		else
			adopt(l);
	}
}

static bool may_connect(const struct dest *dst)
{
	const struct lanes *of = &dst->lanes;

	return may_have_more(dst) && of->trying < of->count &&
	       clock_mono_ms() >= of->pause_ms && slots_have_room(dst);
}

static void connect_more(struct dest *dst)
{
	int target;

	while (may_connect(dst) && next_fair(dst, NULL) != NULL) {
		dest_note_links(dst);
		target = machine_any(&dst->machine, clock_mono_ms());
		if (target == MACHINE_NONE || !dst->mtargets[target].is_up)
			return;
		link_new(dst, target, LINK_RELAY);
	}
}

/* Another connection than those that there are: not the end of the world. */
static void could_not_connect(struct link *l, const struct delivery_end *end)
{
	struct dest *dst = l->dest;
	struct lanes *of = &dst->lanes;
	int64_t now = clock_mono_ms();
	unsigned here, live;

	if (end->why == DELIVERY_STARVED) {
		machine_starved(&dst->machine, now);
		of->pause_ms = now + SECONDS(1);
		return;
	}
	if (of->links > of->trying) { /* of those that work */
		of->cap = of->links - of->trying;
		of->capped_until_ms = now + dst->machine.params.probe_busy_ms;
	}
	if (l->target == MACHINE_NONE)
		return;
	dest_count_links(dst, l->target, &here, &live);
	machine_failed(&dst->machine, l->target,
		       end->why == DELIVERY_BUSY ||
				       end->why == DELIVERY_REFUSED ||
				       end->why == DELIVERY_SELF
			       ? FAULT_BUSY
			       : FAULT_GONE,
		       here, live, now);
	of->limit = 1;
	of->streak = 0;
}

void lane_ended(struct link *l, const struct delivery_end *end)
{
	struct dest *dst = l->dest;

	if (l->is_leaving)
		return;
	if (!l->is_asking) {
		link_say_end(l, end);
		could_not_connect(l, end);
		return;
	}
	/* else it was closed behind the one before, for being idle, say */
	if (end->why != DELIVERY_CLOSED && l->is_heard)
		lane_was_lost(dst);
	log_debug(EV_PROBE, LOG_STR("host", l->host),
		  LOG_STR("result", "a connection for relaying ended"),
		  LOG_STR("stage", end->stage),
		  LOG_SPAN("reply", buf_span(&end->reply.text)));
}

/* ---- What a destination has to do ---- */

void lanes_run(struct dest *dst)
{
	if (TAILQ_EMPTY(&dst->lanes.waiting))
		return;
	if (dest_is_down(dst)) {
		while (!TAILQ_EMPTY(&dst->lanes.waiting))
			lane_answer(TAILQ_FIRST(&dst->lanes.waiting), LANE_DOWN,
				    span_str(dst->last_reply));
		return;
	}
	if (!drain_is_at_work(dst->drain))
		return;
	hand_out(dst);
	if (dst->machine.state == DRAIN_UP)
		connect_more(dst);
}

bool lanes_want(const struct dest *dst)
{
	return !TAILQ_EMPTY(&dst->lanes.waiting) &&
	       dst->machine.state != DRAIN_UP &&
	       dst->live + dst->trying + dst->lanes.links == 0;
}

/* ---- In and out ---- */

/* Nobody waits for it at the other end, and it hears so at its next word. */
static void take_from(struct lane *l)
{
	struct link *carrier = l->carrier;

	part(l);
	delivery_job_cancel(carrier->delivery, &l->job);
	l->listener->on_none(LANE_BUSY,
			     SPAN_LIT("(relay) 4.3.2 Others waited for the "
				      "connection"),
			     l->arg);
}

/* How long its client has kept it waiting. */
static int64_t waited_ms(const struct lane *l)
{
	return delivery_dry_ms(l->carrier->delivery) - l->paid_ms;
}

/* From the one whose client is slowest; of the own network if that has its
 * share. */
static bool steal(const struct lane *to)
{
	struct dest *dst = to->domain->dest;
	bool is_fair = lane_net_may_hold(&to->stake, lane_places(dst));
	int64_t most = LANE_IDLE_MS - 1;
	struct lane *found = NULL;
	struct link *l;

	LIST_FOREACH (l, &dst->links, entry)
		if (l->lane != NULL && waited_ms(l->lane) > most &&
		    (is_fair || lane_net_is_same(&l->lane->stake, &to->stake))) {
			found = l->lane;
			most = waited_ms(found);
		}
	if (found != NULL)
		take_from(found); /* lane_fill follows when it is free */
	return found != NULL;
}

/* All are in use, and there will be no more. */
static bool is_crowded(const struct lane *l)
{
	const struct dest *dst = l->domain->dest;

	return l->state == LANE_WAITS && dst->machine.state == DRAIN_UP &&
	       (dst->lanes.trying == 0 ||
		clock_mono_ms() < dst->lanes.pause_ms);
}

static int64_t most_ms(const struct lane *l)
{
	return l->drain->config->policy.verify_timeout_ms;
}

static void arm(struct lane *l, int64_t ms)
{
	int64_t left_ms = l->since_ms + most_ms(l) - clock_mono_ms();

	if (ms > left_ms)
		ms = left_ms;
	ev_timer_stop(l->drain->loop, &l->deadline);
	ev_timer_set(&l->deadline, ms > 0 ? (double)ms / 1000. : 0.001, 0.);
	ev_timer_start(l->drain->loop, &l->deadline);
}

static void on_deadline(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct lane *l = t->data;
	bool is_crowded_out = is_crowded(l);

	(void)loop;
	(void)revents;
	MX_ASSERT(l->magic == LANE_MAGIC);
	if (is_crowded_out && !l->has_stolen && steal(l)) {
		l->has_stolen = true;
		if (l->state == LANE_WAITS) /* else it has it already */
			arm(l, LANE_BUSY_MS);
	} else if (is_crowded_out) {
		lane_answer(l, LANE_BUSY, SPAN_LIT(""));
	} else if (clock_mono_ms() - l->since_ms >= most_ms(l)) {
		lane_answer(l, LANE_DOWN,
			    SPAN_LIT("(connect) no connection in time"));
	} else {
		arm(l, most_ms(l));
	}
}

/* What has a connection at once needs nothing of the destination, but somebody
 * has to look after better hosts. */
static void touch(struct lane *l, struct dest *dst)
{
	int64_t now = clock_mono_ms();

	if (l->state != LANE_WAITS && now < dst->lanes.look_ms)
		return;
	dst->lanes.look_ms = now + LOOK_MS;
	turns_touch(dst);
}

static void begin(struct lane *l)
{
	struct domain *dom = l->domain;

	lane_wait(l);
	if (domain_is_old(dom)) {
		domain_ask(dom); /* goes on in lanes_enter or _no_route */
	} else if (dom->dest == NULL || hold_of(dom->dest) != NULL ||
		   dom->dest->flow.stop != NULL) {
		lanes_no_route(dom);
	} else {
		lanes_enter(dom);
		if (dom->dest->lanes.count == 1 &&
		    dom->dest->machine.state == DRAIN_UP)
			hand_out(dom->dest); /* nobody was before it */
		touch(l, dom->dest);
	}
}

struct lane *drain_lane_ask(struct drain *d, const struct lane_ask *ask)
{
	struct unit *unit = ask->unit;
	struct domain *dom = drain_is_at_work(d)
				     ? domain_need_bounded(d, ask->domain)
				     : NULL;
	struct lane *l;

	if (dom == NULL || dom->flow.stop != NULL) {
		unit_free(&unit);
		return NULL;
	}
	l = mx_alloc(sizeof(*l));
	l->magic = LANE_MAGIC;
	l->drain = d;
	l->domain = dom;
	l->domain->lane_count++;
	l->unit = unit;
	l->beside = ask->beside;
	l->needs = ask->needs;
	if (ask->client != NULL)
		l->stake.client = *ask->client;
	l->source = ask->source;
	l->listener = ask->listener;
	l->arg = ask->arg;
	l->since_ms = clock_mono_ms();
	ev_timer_init(&l->deadline, on_deadline, 0., 0.);
	l->deadline.data = l;
	begin(l);
	if (l->state == LANE_ROUTED || l->state == LANE_WAITS)
		arm(l, LANE_BUSY_MS);
	return l;
}

void drain_lane_more_rcpt(struct lane *l, const struct recipient *r)
{
	MX_ASSERT(l->magic == LANE_MAGIC);
	if (l->job == NULL)
		return;
	delivery_more_rcpt(l->carrier->delivery, l->job, r);
}

/* A byte now and then is as good as nothing. */
static void note_content(struct lane *l, uint64_t bytes)
{
	if (bytes - l->bytes < LANE_PIECE)
		return;
	l->bytes = bytes;
	l->paid_ms = delivery_dry_ms(l->carrier->delivery);
}

void drain_lane_more_content(struct lane *l, uint64_t bytes, bool is_all)
{
	MX_ASSERT(l->magic == LANE_MAGIC);
	if (l->job == NULL)
		return;
	note_content(l, bytes);
	delivery_more_content(l->carrier->delivery, l->job, bytes, is_all);
}

static void lane_free(struct lane *l)
{
	ev_timer_stop(l->drain->loop, &l->deadline);
	unit_free(&l->unit);
	MX_ASSERT(l->domain->lane_count > 0);
	l->domain->lane_count--;
	l->domain->idle_ms = clock_mono_ms();
	l->magic = 0;
	free(l);
}

void drain_lane_close(struct lane **lp)
{
	struct lane *l = *lp;

	if (l == NULL)
		return;
	*lp = NULL;
	MX_ASSERT(l->magic == LANE_MAGIC);
	if (l->carrier != NULL) {
		struct link *carrier = l->carrier;

		part(l);
		delivery_job_cancel(carrier->delivery, &l->job);
	} else {
		lane_leave_queue(l);
	}
	lane_free(l);
}

/* What hangs is of no use to the next one either: nobody gets it. */
void drain_lane_give_up(struct lane **lp)
{
	struct link *carrier = *lp != NULL ? (*lp)->carrier : NULL;
	struct dest *dst;

	if (carrier != NULL && !carrier->is_leaving) {
		link_uncount(carrier);
		carrier->is_leaving = true;
	}
	drain_lane_close(lp);
	if (carrier == NULL)
		return;
	dst = carrier->dest;
	lane_was_lost(dst);
	link_free(carrier);
	turns_touch(dst);
}

void lanes_start(struct drain *d)
{
	d->lane_listener = &lane_listener;
}
