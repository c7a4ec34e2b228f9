/*
 * Errands: a unit that cannot go where the mail goes now, because that host
 * announces a SIZE too small for it, or lacks SMTPUTF8 or REQUIRETLS.  Another
 * host of the route may take it, and is asked, over a connection for this unit
 * alone, before anything is said to be impossible (RFC 5321 section 5.1: the
 * whole list of hosts is to be tried).
 *
 *  all others asked, none can     permanent, as the first one would have it
 *  one could not be asked         transient: the unit's own retry
 */
#include "common/base/log.h"
#include "daemon/drain/internal.h"

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
static void miss(struct hand *h, const struct dest *dst, int target)
{
	if (h->errand_missed != MACHINE_NONE &&
	    !is_same_host(dst, target, h->errand_missed))
		h->is_unasked = true;
	h->errand_missed = target;
}

/* The next to ask; down ones are left out, but remembered. */
static int next_target(struct hand *h, const struct dest *dst, int answered)
{
	int64_t now = clock_mono_ms();

	while ((size_t)h->errand_next < dst->target_count) {
		int t = h->errand_next++;
		const struct machine_target *mt = &dst->mtargets[t];

		if (is_same_host(dst, t, h->errand_from) ||
		    is_same_host(dst, t, answered))
			continue;
		if (!mt->is_down || mt->next_ms <= now)
			return t;
		miss(h, dst, t);
	}
	return MACHINE_NONE;
}

static void say(const struct hand *h, const struct dest *dst, int target)
{
	struct buf to = { 0 };

	unit_list_rcpts(h->job->unit, &to);
	log_info(EV_FALLBACK, LOG_ID("mid", h->key.id),
		 LOG_SPAN("to", buf_span(&to)), LOG_STR("host", h->host),
		 LOG_STR("then", dst->targets[target].name),
		 LOG_SPAN("reply", h->job->set[0].reply));
	buf_fini(&to);
}

static bool go_on(struct hand *h, struct dest *dst, int answered)
{
	int target;

	/* other targets, or another order: who was asked is not known now */
	if (h->errand_build != dst->builds) {
		set_all(h->job, OUTCOME_TRANSIENT);
		return false;
	}
	if (h->errand_missed != MACHINE_NONE &&
	    is_same_host(dst, h->errand_missed, answered))
		h->errand_missed = MACHINE_NONE;
	target = next_target(h, dst, answered);
	if (target == MACHINE_NONE) {
		bool all = !h->is_unasked && h->errand_missed == MACHINE_NONE;

		set_all(h->job, all ? OUTCOME_PERMANENT : OUTCOME_TRANSIENT);
		return false;
	}
	if (dst->errands >= dst->machine.params.connections ||
	    !slots_have_room(dst) || !drain_is_at_work(h->drain)) {
		set_all(h->job, OUTCOME_TRANSIENT);
		return false;
	}
	say(h, dst, target);
	delivery_job_renew(h->job);
	h->is_settling = true; /* nobody's until it is given */
	link_new(dst, target, LINK_ERRAND)->errand = h;
	return true;
}

bool errand_send(struct hand *h, const struct link *l)
{
	if (l->kind != LINK_ERRAND || h->is_aside) {
		h->is_aside = false;
		h->errand_from = l->target;
		h->errand_next = 0;
		h->errand_build = l->dest->builds;
		h->errand_missed = MACHINE_NONE;
		h->is_unasked = false;
	}
	return go_on(h, l->dest, l->target);
}

void errand_give(struct link *l)
{
	struct hand *h = l->errand;

	l->errand = NULL;
	h->is_settling = false;
	delivery_give(l->delivery, h->job);
}

void errand_over(struct delivery_job *job)
{
	for (size_t i = 0; i < job->count; i++)
		if (job->set[i].outcome != OUTCOME_UNTRIED)
			return;
	set_all(job, OUTCOME_TRANSIENT);
}

void errand_failed(struct hand *h, struct dest *dst)
{
	if (h->errand_build == dst->builds)
		miss(h, dst, h->errand_next - 1);
	if (!go_on(h, dst, MACHINE_NONE))
		settle(h);
}
