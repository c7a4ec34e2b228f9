/*
 * Alternates: a unit that cannot go where the mail goes now, because that host
 * announces a SIZE too small for it, or lacks SMTPUTF8 or REQUIRETLS.  Another
 * host of the route may take it, and is asked, over a connection for this unit
 * alone, before anything is said to be impossible (RFC 5321 section 5.1: the
 * whole list of hosts is to be tried).
 *
 *  all others asked, none can     permanent, as the first one would have it
 *  one could not be asked         transient: the unit's own retry
 */
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "daemon/drain/alternate.h"
#include "daemon/drain/conclude.h"
#include "daemon/drain/drain_priv.h"

static void set_all(struct delivery_job *job, enum outcome o)
{
	for (size_t i = 0; i < job->count; i++)
		job->set[i].outcome = o;
}

/* A host that has answered is not asked at its other addresses. */
static bool is_same_host(const struct dest *dst, int a, int b)
{
	return b != MACHINE_NONE &&
	       dst->targets[a].host == dst->targets[b].host;
}

/* That target could not be asked; another address of its host still may. */
static void miss(struct attempt *a, const struct dest *dst, int target)
{
	if (a->alternate_missed != MACHINE_NONE &&
	    !is_same_host(dst, target, a->alternate_missed))
		a->is_unasked = true;
	a->alternate_missed = target;
}

/* The next to ask; down ones are left out, but remembered. */
static int next_target(struct attempt *a, const struct dest *dst, int answered)
{
	int64_t now = clock_mono_ms();

	while ((size_t)a->alternate_next < dst->target_count) {
		int t = a->alternate_next++;

		if (is_same_host(dst, t, a->alternate_from) ||
		    is_same_host(dst, t, answered))
			continue;
		if (machine_may_try(&dst->mtargets[t], now))
			return t;
		miss(a, dst, t);
	}
	return MACHINE_NONE;
}

static void say(const struct attempt *a, const struct dest *dst, int target)
{
	struct buf to = { 0 };

	unit_list_rcpts(a->job->unit, &to);
	log_info(EV_FALLBACK, LOG_ID("mid", a->key.id),
		 LOG_SPAN("to", buf_span(&to)), LOG_STR("host", a->host),
		 LOG_STR("then", dst->targets[target].name),
		 LOG_SPAN("reply", a->job->set[0].reply));
	buf_fini(&to);
}

static bool go_on(struct attempt *a, struct dest *dst, int answered)
{
	int target;

	/* other targets, or another order: who was asked is not known now */
	if (a->alternate_build != dst->builds) {
		set_all(a->job, OUTCOME_TRANSIENT);
		return false;
	}
	if (a->alternate_missed != MACHINE_NONE &&
	    is_same_host(dst, a->alternate_missed, answered))
		a->alternate_missed = MACHINE_NONE;
	target = next_target(a, dst, answered);
	if (target == MACHINE_NONE) {
		bool all =
			!a->is_unasked && a->alternate_missed == MACHINE_NONE;

		set_all(a->job, all ? OUTCOME_PERMANENT : OUTCOME_TRANSIENT);
		return false;
	}
	if (dst->singles >= dst->machine.params.connections ||
	    !slots_have_room(dst) || !drain_is_at_work(a->drain)) {
		set_all(a->job, OUTCOME_TRANSIENT);
		return false;
	}
	say(a, dst, target);
	delivery_job_renew(a->job);
	a->is_concluding = true; /* nobody's until it is given */
	link_new(dst, target, LINK_SINGLE)->single = a;
	return true;
}

bool alternate_send(struct attempt *a, const struct link *l)
{
	if (l->kind != LINK_SINGLE || a->is_aside) {
		a->is_aside = false;
		a->alternate_from = l->target;
		a->alternate_next = 0;
		a->alternate_build = l->dest->builds;
		a->alternate_missed = MACHINE_NONE;
		a->is_unasked = false;
	}
	return go_on(a, l->dest, l->target);
}

void alternate_give(struct link *l)
{
	struct attempt *a = l->single;

	MX_ASSERT(l->kind == LINK_SINGLE && a != NULL);
	l->single = NULL;
	a->is_concluding = false;
	delivery_give(l->delivery, a->job);
}

void alternate_over(struct delivery_job *job)
{
	if (!delivery_job_is_decided(job))
		set_all(job, OUTCOME_TRANSIENT);
}

void alternate_failed(struct attempt *a, struct dest *dst)
{
	if (a->alternate_build == dst->builds)
		miss(a, dst, a->alternate_next - 1);
	if (!go_on(a, dst, MACHINE_NONE))
		conclude(a);
}
