/* Relayed mail on its way in and out: asked for, kept waiting, closed. */
#include "daemon/drain/lane.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/drain/lane_priv.h"
#include "daemon/drain/link_priv.h"

enum { LOOK_MS = 200 };

/* Nobody waits for it at the other end, and it hears so at its next word. */
static void take_from(struct lane *l)
{
	struct link *carrier = l->carrier;

	lane_part(l);
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
			lanes_hand_out(dom->dest); /* nobody was before it */
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

		lane_part(l);
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
