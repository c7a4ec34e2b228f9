/* What delivery says, told to the machine. */
#include <string.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/drain/alternate.h"
#include "daemon/drain/aside.h"
#include "daemon/drain/braking.h"
#include "daemon/drain/callout.h"
#include "daemon/drain/conclude.h"
#include "daemon/drain/deferral.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/lane.h"
#include "daemon/drain/link_priv.h"
#include "daemon/drain/risk.h"

static struct link *link_of(void *arg)
{
	struct link *l = arg;

	MX_ASSERT(l->magic == LINK_MAGIC);
	return l;
}

static void on_ready(struct delivery *dl, const struct smtp_ehlo *ehlo,
		     int64_t latency_ms, void *arg)
{
	struct link *l = link_of(arg);
	struct dest *dst = l->dest;
	struct buf reply = { 0 };

	(void)dl;
	if (l->is_leaving)
		return;
	if (l->target != MACHINE_NONE)
		dest_note_ehlo(dst, l->target, ehlo);
	l->size_most = ehlo->size;
	l->offered = ehlo->offered;
	if (l->kind == LINK_SINGLE) {
		alternate_give(l);
		return;
	}
	if (l->kind == LINK_CALLOUT) {
		callout_ready(l);
		return;
	}
	l->conn_ms = latency_ms;
	if (l->kind == LINK_RELAY) {
		lane_ready(l);
		return;
	}
	if (machine_wants_trial(&dst->machine, l->target)) {
		l->is_trial = true;
		link_try(l);
		return;
	}
	buf_addf(&reply, "250 %s", ehlo->host);
	if (dst->mtargets[l->target].is_up)
		link_be_ready(l);
	else
		link_come_up(l, "ehlo", buf_span(&reply));
	buf_fini(&reply);
	link_fill(l);
	turns_touch(dst);
}

static void hand_back(struct link *l, struct attempt *a)
{
	const struct tls_facts *tls = delivery_tls(l->delivery);

	memcpy(a->host, l->host, sizeof(a->host));
	a->offered = a->job->offered;
	a->conn_ms = l->conn_ms;
	a->tls = tls != NULL ? tls->version : "";
	if (l->kind == LINK_SINGLE) {
		if (!a->is_aside)
			alternate_over(a->job);
		link_leave(l);
	}
	if (!a->job->is_obstructed || !alternate_send(a, l))
		conclude(a);
}

/* It answers; the next connection need not wait for its time. */
static void mend(struct link *l)
{
	struct dest *dst = l->dest;

	if (!dst->is_shaken)
		return;
	dst->is_shaken = false;
	aside_mended(dst);
	deferral_mended(dst);
	if (l->target != MACHINE_NONE && dst->mtargets[l->target].is_down) {
		dst->mtargets[l->target].next_ms = clock_mono_ms();
		dst->is_called = true;
	}
}

static void on_done(struct delivery *dl, struct delivery_job *job, void *arg)
{
	struct link *l = link_of(arg);
	struct attempt *a = job->arg;
	enum temper_news news;
	bool is_trial = l->is_trial, is_refused;
	bool was_shaken = l->dest->is_shaken;

	MX_ASSERT(a->magic == ATTEMPT_MAGIC && a->job == job);
	MX_ASSERT(!a->is_concluding && !a->is_submitted);
	link_learn_without(l, dl);
	if (link_is_answer(job))
		link_test_without(l, true);
	if (link_is_decided(job))
		l->jobs_done++;
	if (link_is_decided(job) && (l->kind != LINK_SINGLE || a->is_aside))
		mend(l);
	link_take_latency(l, job);
	news = link_learn_temper(l, a);
	link_learn_recipients(l, a);
	is_refused = l->is_trial && link_judge_trial(l, job);
	braking_weigh(l, a);
	hand_back(l, a);
	if (l->is_trial)
		link_go_on_trial(l, is_refused);
	else if (is_trial || was_shaken || news != TEMPER_SAME)
		turns_touch(l->dest);
}

static bool may_finish(struct delivery *dl, struct delivery_job *job, void *arg)
{
	(void)dl;
	return risk_take(job->arg, link_of(arg));
}

static void on_room(struct delivery *dl, void *arg)
{
	struct link *l = link_of(arg);

	(void)dl;
	if (l->kind == LINK_CALLOUT)
		callout_fill(l);
	if (l->kind == LINK_RELAY)
		lane_fill(l);
	if (l->is_leaving || !l->is_ready)
		return;
	link_fill(l);
	if (l->dest->live + l->dest->trying < l->dest->machine.limit)
		turns_touch(l->dest);
}

/* ---- The end ---- */

static enum machine_fault fault_of(const struct delivery_end *end)
{
	switch (end->why) {
	case DELIVERY_CLOSED:
	case DELIVERY_STARVED:
		return FAULT_NONE;
	case DELIVERY_BUSY:
	case DELIVERY_REFUSED:
	case DELIVERY_SELF:
		return FAULT_BUSY;
	case DELIVERY_LOST:
	case DELIVERY_TLS:
		break;
	}
	return FAULT_GONE;
}

/* It works no longer, or never did. */
static void tell_machine(struct link *l, const struct delivery_end *end)
{
	struct dest *dst = l->dest;
	enum machine_fault fault = fault_of(end);
	int64_t now = clock_mono_ms();
	unsigned here, live;

	if (end->why == DELIVERY_STARVED) {
		machine_starved(&dst->machine, now);
		return;
	}
	dest_count_links(dst, l->target, &here, &live);
	if (l->is_ready)
		machine_ended(&dst->machine, l->target, fault, l->jobs_done > 0,
			      here, live, now);
	else if (l->target != MACHINE_NONE)
		machine_failed(&dst->machine, l->target,
			       fault == FAULT_NONE ? FAULT_GONE : fault, here,
			       live, now);
}

/* It waited for a connection that could not be made. */
static void fail_single(struct attempt *single, struct dest *dst)
{
	if (!single->is_aside) {
		alternate_failed(single, dst);
		return;
	}
	aside_failed(single);
	conclude(single);
}

static void on_end(struct delivery *dl, const struct delivery_end *end,
		   void *arg)
{
	struct link *l = link_of(arg);
	struct dest *dst = l->dest;
	struct attempt *single = l->single;
	int target = l->target;
	bool was_up = target != MACHINE_NONE && dst->mtargets[target].is_up;
	bool was_down = target != MACHINE_NONE && dst->mtargets[target].is_down;
	bool was_leaving = l->is_leaving;

	if (end->why == DELIVERY_CLOSED && (l->is_ready || l->is_trial))
		link_learn_without(l, dl);
	else if (end->why == DELIVERY_LOST)
		link_test_without(l, false);
	if (l->kind == LINK_CALLOUT)
		callout_ended(l, end);
	else if (l->kind == LINK_RELAY)
		lane_ended(l, end);
	else
		link_say_end(l, end);
	if (end->why == DELIVERY_TLS && target != MACHINE_NONE &&
	    dst->targets[target].host->tls.is_sts)
		dest_doubt_policy(dst);
	if (end->why == DELIVERY_SELF && target != MACHINE_NONE)
		dest_found_here(dst, target);
	if (!was_leaving) {
		link_uncount(l);
		l->is_leaving = true;
		if (l->kind == LINK_USUAL || l->kind == LINK_SCOUT)
			tell_machine(l, end);
	}
	l->delivery = NULL; /* delivery frees itself */
	link_free(l);
	if (single != NULL)
		fail_single(single, dst);
	if (target != MACHINE_NONE &&
	    (was_up != dst->mtargets[target].is_up ||
	     was_down != dst->mtargets[target].is_down))
		dest_store_target(dst, target);
	else if (target != MACHINE_NONE)
		dest_store_now_and_then(dst, target);
	turns_touch(dst);
}

static const struct delivery_listener link_listener = {
	.on_done = on_done,
	.may_finish = may_finish,
};

static const struct delivery_events events = {
	.on_ready = on_ready,
	.on_room = on_room,
	.on_end = on_end,
};

void link_start(struct drain *d)
{
	d->link_events = &events;
	d->link_listener = &link_listener;
}
