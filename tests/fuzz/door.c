#include "tests/fuzz/door.h"

#include <string.h>

#include "common/base/alloc.h"
#include "tests/fuzz/fakeconn.h"
#include "tests/fuzz/far.h"
#include "tests/fuzz/fuzz.h"

struct lane {
	struct lane_ask ask;
	struct delivery_job *job; /* it carries; else it waits, or is over */
	struct unit *unit;
};

static struct {
	struct ev_loop *loop;
	struct route route;
	struct route_host host;
	struct net_addr target;
	struct delivery *delivery;
	uint64_t size_most;
	unsigned offered;
	bool is_ready, was_used;
	struct lane *lane; /* that waits, or carries */
} door;

/* ---- Lanes ---- */

static void on_done(struct delivery *d, struct delivery_job *job, void *arg)
{
	struct lane *l = job->arg;

	FUZZ_CHECK(d == door.delivery && arg == &door && l == door.lane &&
		   l->job == job);
	l->job = NULL;
	door.lane = NULL;
	l->ask.listener->on_done(job, delivery_ending(d), l->ask.arg);
	delivery_job_free(&job);
}

static void on_told(struct delivery *d, struct delivery_job *job, size_t i,
		    enum meaning m, void *arg)
{
	struct lane *l = job->arg;

	FUZZ_CHECK(d == door.delivery && arg == &door && l == door.lane);
	l->ask.listener->on_rcpt(i, m, job->set[i].reply, l->ask.arg);
}

static const struct delivery_listener carrier = { on_done, on_told, NULL };

/* Whoever waits has the connection, if it is free. */
void door_give(void)
{
	struct lane *l = door.lane;
	struct lane_peer peer = {
		.host = SPAN_LIT("far.test"),
		.size_most = door.size_most,
		.offered = door.offered,
		.is_reused = door.was_used,
		.is_only = true,
	};

	if (l == NULL || l->unit == NULL || !door.is_ready ||
	    delivery_jobs(door.delivery) > 0 || delivery_room(door.delivery) == 0)
		return;
	door.was_used = true;
	l->job = delivery_job_new(&l->unit, l->ask.source, &carrier, l);
	l->job->more = MORE_RCPTS;
	l->job->bytes = 0;
	l->ask.listener->on_begun(&peer, l->ask.arg);
	delivery_give(door.delivery, l->job);
}

void door_refuse(unsigned why)
{
	static const enum lane_none whys[] = { LANE_BUSY, LANE_DOWN,
					       LANE_OTHER };
	struct lane *l = door.lane;

	if (l == NULL || l->unit == NULL)
		return;
	door.lane = NULL;
	unit_free(&l->unit);
	l->ask.listener->on_none(whys[why % 3], SPAN_LIT(""), l->ask.arg);
}

static bool may_answer(struct span domain, void *arg)
{
	(void)domain;
	(void)arg;
	return true;
}

static struct lane *ask(const struct lane_ask *what, void *arg)
{
	struct lane *l = mx_alloc(sizeof(*l));

	(void)arg;
	l->ask = *what;
	l->unit = what->unit;
	if (what->unit == NULL) { /* "d1" goes elsewhere */
		what->listener->on_none(what->domain.p[1] == '1' ? LANE_OTHER
								 : LANE_SAME,
					SPAN_LIT(""), what->arg);
	} else {
		FUZZ_CHECK(door.lane == NULL);
		door.lane = l;
		door_give();
	}
	return l;
}

static void more_rcpt(struct lane *l, const struct recipient *r)
{
	if (l->job != NULL)
		delivery_more_rcpt(door.delivery, l->job, r);
}

static void more_content(struct lane *l, uint64_t bytes, bool is_all)
{
	if (l->job != NULL)
		delivery_more_content(door.delivery, l->job, bytes, is_all);
}

static void close_lane(struct lane **lp)
{
	struct lane *l = *lp;

	*lp = NULL;
	if (door.lane == l)
		door.lane = NULL;
	if (l->job != NULL)
		delivery_job_cancel(door.delivery, &l->job);
	unit_free(&l->unit);
	free(l);
}

/* ---- The connection ---- */

static void on_ready(struct delivery *d, const struct smtp_ehlo *ehlo,
		     int64_t latency_ms, void *arg)
{
	(void)latency_ms;
	FUZZ_CHECK(d == door.delivery && arg == &door && !door.is_ready);
	door.is_ready = true;
	door.offered = ehlo->offered;
	door.size_most = ehlo->size;
}

static void on_room(struct delivery *d, void *arg)
{
	FUZZ_CHECK(d == door.delivery && arg == &door);
}

static void lost(void)
{
	door.delivery = NULL;
	door.is_ready = door.was_used = false;
	far_lost();
}

static void on_end(struct delivery *d, const struct delivery_end *end,
		   void *arg)
{
	FUZZ_CHECK(d == door.delivery && arg == &door && end->stage != NULL);
	FUZZ_CHECK(door.lane == NULL || door.lane->job == NULL);
	lost();
}

static const struct delivery_events events = { on_ready, on_room, on_end };

static void connect_to(void)
{
	const struct delivery_options opt = {
		.loop = door.loop,
		.helo = SPAN_LIT("mx2.example.net"),
		.local_name = SPAN_LIT("mx2.example.net"),
		.host = &door.host,
		.route = &door.route,
		.target = &door.target,
		.connect_timeout_ms = 1000,
	};

	if (door.delivery == NULL)
		door.delivery = delivery_new(&opt, &events, &door);
}

static void give_up(struct lane **lp)
{
	bool is_carried = (*lp)->job != NULL;

	close_lane(lp);
	if (!is_carried || door.delivery == NULL)
		return;
	delivery_free(&door.delivery);
	lost();
}

/* Where nobody has a connection there is another, soon. */
void door_serve(size_t bytes)
{
	size_t was;

	connect_to();
	was = fake_count();
	far_connect();
	far_arrive(bytes);
	if (fake_count() != was) /* it is tried another way */
		far_lost();
}

const struct relay_door *door_open(struct ev_loop *loop)
{
	static const struct relay_door the_door = {
		may_answer, ask, more_rcpt, more_content, close_lane, give_up,
		NULL,
	};

	memset(&door, 0, sizeof(door));
	door.loop = loop;
	door.route.refs = 100; /* never freed here */
	return &the_door;
}

void door_close(void)
{
	FUZZ_CHECK(door.lane == NULL);
	if (door.delivery != NULL)
		delivery_free(&door.delivery);
	ev_run(door.loop, EVRUN_NOWAIT);
	FUZZ_CHECK(fake_live() == NULL);
}
