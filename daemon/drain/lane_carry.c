/* Relayed mail that has a connection: it is given to it, and what the primary
 * says of it is told and learned. */
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/smtp/address.h"
#include "daemon/drain/canary.h"
#include "daemon/drain/lane_priv.h"
#include "daemon/drain/link_priv.h"

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
	link_heard_of(l);
	learn(l, lane, job, i, m);
	lane->listener->on_rcpt(i, m, job->set[i].reply, lane->arg);
}

void lane_part(struct lane *lane)
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
	lane_part(lane);
	l->jobs_done++;
	link_learn_without(l, dl);
	if (delivery_job_is_decided(job)) {
		link_heard_of(l);
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

void lane_give(struct link *l, struct lane *lane)
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
	lane->job = delivery_job_new(&lane->unit, lane->source,
				     l->dest->drain->lane_listener, lane);
	lane->job->more = MORE_RCPTS;
	lane->job->bytes = 0;
	lane->listener->on_begun(&peer, lane->arg);
	delivery_give(l->delivery, lane->job);
}

void lanes_start(struct drain *d)
{
	d->lane_listener = &lane_listener;
}
