/* Is the host well?  Connections that come up, trials of a host that refused
 * everybody (it must take a message first), and hosts that are given up. */
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/drain/canary.h"
#include "daemon/drain/deferral.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/link_priv.h"

/* Mail goes to the better host from now on. */
static void retire_worse(struct dest *dst, int target)
{
	unsigned rank = dst->mtargets[target].rank;
	struct link *l, *next;

	for (l = LIST_FIRST(&dst->links); l != NULL; l = next) {
		next = LIST_NEXT(l, entry);
		if (l->target != MACHINE_NONE && link_works(l) &&
		    dst->mtargets[l->target].rank > rank)
			link_leave(l);
	}
}

/* Mail can flow over it. */
void link_be_ready(struct link *l)
{
	struct dest *dst = l->dest;
	bool is_scout = dst->scout == l;

	MX_ASSERT(!l->is_ready && !l->is_leaving);
	MX_ASSERT(is_scout || dst->trying > 0);
	l->is_ready = true;
	l->is_trial = false;
	if (!is_scout)
		dst->trying--;
	canary_look_out(dst);
	dst->live++;
	machine_ready(&dst->machine, l->target, clock_mono_ms());
	if (is_scout) {
		dst->scout = NULL;
		retire_worse(dst, l->target);
		link_relieve(dst, l);
	}
}

/* It was down, and what it said shows that it is up. */
void link_come_up(struct link *l, const char *stage, struct span reply)
{
	link_be_ready(l);
	dest_note_text(l->dest, l->target, reply);
	dest_store_target(l->dest, l->target);
	target_forget_failure(&l->dest->targets[l->target]);
	link_say_probe(l, "up", stage, l->dest->last_reply);
}

/* ---- Trials ---- */

static void trial_failed(struct link *l)
{
	struct dest *dst = l->dest;
	unsigned here, live;

	link_leave(l);
	dest_count_links(dst, l->target, &here, &live);
	machine_failed(&dst->machine, l->target, FAULT_REFUSES, here, live,
		       clock_mono_ms());
	turns_touch(dst);
}

void link_try(struct link *l)
{
	struct attempt *a;

	if (delivery_room(l->delivery) == 0)
		return; /* it is about to end */
	a = deferral_trial(l->dest);
	if (a != NULL)
		delivery_give(l->delivery, a->job);
	else
		trial_failed(l);
}

static const char *stage_of(const struct delivery_job *job)
{
	static const char *const names[] = {
		[REFUSED_NOT] = "",	      [REFUSED_AT_MAIL] = "mail",
		[REFUSED_AT_RCPT] = "rcpt",   [REFUSED_AT_DATA] = "data",
		[REFUSED_AT_CONTENT] = "dot",
	};

	return names[job->refused_at];
}

/* The reply that says most: the first of these outcomes. */
static struct span reply_for(const struct delivery_job *job, enum outcome o)
{
	for (size_t i = 0; i < job->count; i++)
		if (job->set[i].outcome == o)
			return job->set[i].reply;
	return span_of("", 0);
}

bool link_judge_trial(struct link *l, const struct delivery_job *job)
{
	if (job->refused_at == REFUSED_NOT)
		return false;
	if (l->is_leaving)
		return true;
	dest_note_text(l->dest, l->target, reply_for(job, OUTCOME_TRANSIENT));
	link_say_failure(l, stage_of(job), l->dest->last_reply);
	return true;
}

/* A refusal ends the trial, a message that is refused for good (or cannot go
 * there at all) says nothing. */
void link_go_on_trial(struct link *l, bool is_refused)
{
	if (l->is_leaving)
		return;
	if (is_refused)
		trial_failed(l);
	else
		link_try(l);
}

/* ---- Temper ---- */

/* No more goes to this target; who is being served there, is. */
static void give_up_target(struct link *l, struct span reply)
{
	struct dest *dst = l->dest;
	int target = l->target;
	unsigned here, live;
	struct link *k, *next;

	dest_note_text(dst, target, reply);
	for (k = LIST_FIRST(&dst->links); k != NULL; k = next) {
		next = LIST_NEXT(k, entry);
		if (k->target == target && link_works(k))
			link_leave(k);
	}
	dest_count_links(dst, target, &here, &live);
	machine_refused(&dst->machine, target, live, clock_mono_ms());
	dest_store_target(dst, target);
}

/* What the job's outcomes mean for the host; the job is still whole. */
enum temper_news link_learn_temper(struct link *l, struct attempt *a)
{
	struct machine_target *t;
	enum temper_news news;

	if (l->kind == LINK_SINGLE || l->target == MACHINE_NONE)
		return TEMPER_SAME;
	t = &l->dest->mtargets[l->target];
	news = deferral_weigh(l, a,
			      a->job->refused_at != REFUSED_NOT &&
				      dest_is_idle(l->dest));
	if (news == TEMPER_REFUSES && !l->is_trial)
		give_up_target(l, reply_for(a->job, OUTCOME_TRANSIENT));
	else if (news == TEMPER_TAKES && l->is_trial && !l->is_leaving)
		link_come_up(l, "dot", reply_for(a->job, OUTCOME_DELIVERED));
	else if (news == TEMPER_TAKES && t->is_down)
		t->next_ms = clock_mono_ms(); /* said on its way out */
	return news;
}
