/* What a connection teaches of its target. */

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/smtp/address.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/link_priv.h"

enum { SMALL_BYTES = 64 * 1024 }; /* latency of larger ones is bandwidth */

/* Was it answered for good?  A host that says "later" to everything is not
 * asked by more connections. */
bool link_is_answer(const struct delivery_job *job)
{
	if (job->is_obstructed) /* nobody was asked */
		return false;
	return delivery_job_count(job, OUTCOME_DELIVERED) > 0 ||
	       delivery_job_count(job, OUTCOME_PERMANENT) > 0;
}

bool link_is_decided(const struct delivery_job *job)
{
	return !job->is_obstructed && delivery_job_is_decided(job);
}

/* Relaying stands still for an hour with all else well: somebody has to say
 * so. */
static void say_mismatch(const struct link *l)
{
	log_warn(EV_FALLBACK, LOG_SPAN("destination", l->dest->route->key),
		 LOG_STR("host", l->host),
		 LOG_STR("note",
			 "its replies do not match our commands: for an hour "
			 "it is spoken to one command at a time, and nothing "
			 "is relayed to it"));
}

/* Other connections may not have heard yet how few they are. */
static void learn_crowd(struct target *t, const struct delivery *dl)
{
	size_t most = delivery_rcpts_most(dl);

	if ((delivery_without(dl) & DELIVERY_CROWD) == 0)
		return;
	if ((t->without & DELIVERY_CROWD) == 0 || most < t->rcpts_most)
		t->rcpts_most = most;
}

/*
 * The next connection need not find out again; but servers get mended.  One
 * that was well a moment ago has stumbled over something of ours, rather.
 */
void link_learn_without(const struct link *l, const struct delivery *dl)
{
	unsigned without = delivery_without(dl);
	int64_t now = clock_mono_ms();
	struct target *t;

	if (l->target == MACHINE_NONE)
		return;
	t = &l->dest->targets[l->target];
	learn_crowd(t, dl);
	without &= ~t->without;
	if (without != 0) {
		bool was_well = now < t->proven_until_ms &&
				(without & DELIVERY_TRUST) == 0;

		t->without |= without;
		if ((without & DELIVERY_TRUST) == 0)
			t->untested |= without;
		if (without & DELIVERY_TRUST)
			say_mismatch(l);
		t->without_until_ms = now + (was_well ? MINUTES(1) : HOURS(1));
	}
	if (delivery_is_proven(dl))
		t->proven_until_ms = now + HOURS(1);
}

/* Was it the way of speaking?  Not if it is no better without. */
void link_test_without(const struct link *l, bool is_better)
{
	struct target *t;

	if (l->target == MACHINE_NONE)
		return;
	t = &l->dest->targets[l->target];
	t->untested &= t->without;
	if ((l->without & t->untested) == 0)
		return;
	if (!is_better)
		t->without &= ~(l->without & t->untested);
	t->untested &= ~l->without;
}

void link_take_latency(const struct link *l, const struct delivery_job *job)
{
	int64_t ms = job->ended_ms - job->started_ms;

	/* who refuses all is not asked by more connections */
	if (flow_is_watched(l->dest->drain) &&
	    delivery_job_count(job, OUTCOME_DELIVERED) == 0)
		return;
	if (link_is_answer(job) && l->target != MACHINE_NONE &&
	    l->kind != LINK_SINGLE && job->unit->envelope.bytes <= SMALL_BYTES)
		machine_success(&l->dest->machine, l->target,
				ms / (int64_t)(delivery_jobs(l->delivery) + 1),
				clock_mono_ms());
}

/* Content that was taken says that RCPT was; a refusal counts only if it was
 * the answer to RCPT. */
static enum known_said said_of(const struct delivery_job *job, size_t i)
{
	if (job->set[i].outcome == OUTCOME_DELIVERED)
		return SAID_YES;
	if (job->set[i].outcome != OUTCOME_PERMANENT ||
	    !job->is_rcpt_refused[i])
		return SAID_NOTHING;
	return known_meaning_from(job->set[i].reply, job->unit->envelope.from);
}

void link_learn_recipients(const struct link *l, const struct attempt *a)
{
	const struct delivery_job *job = a->job;
	struct known *known = l->dest->drain->known;

	if (known == NULL || job->is_obstructed)
		return;
	for (size_t i = 0; i < job->count; i++) {
		enum known_said said = said_of(job, i);

		if (said == SAID_YES ||
		    (said == SAID_NO && flow_knows_its_own(a->domain)))
			known_learn(known, job->unit->domain,
				    smtp_local_of(job->unit->rcpts[i].path),
				    l->dest->route->key, said == SAID_YES,
				    false, job->set[i].reply, clock_wall_ms());
	}
}
