/*
 * What became of a unit: the log, the report, the retry, and the one commit
 * that makes it so.
 *
 *            delivered -> forgotten
 *            transient -> deferred to its recipients' next retry
 *  in flight   permanent -> reported (DSN) and forgotten, or held
 *            untried   -> ready again
 *
 * A unit stays in flight, so that nobody takes it again, until the spool says
 * that all this is durable.
 */
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/spool/mirror.h"
#include "daemon/drain/aside.h"
#include "daemon/drain/conclude.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/give_up.h"
#include "daemon/drain/join.h"
#include "daemon/drain/risk.h"

static void fill_in(struct attempt *a)
{
	struct delivery_job *job = a->job;

	for (size_t i = 0; i < job->unit->rcpt_count; i++) {
		job->set[i].host = span_str(a->host);
		if (i >= job->count)
			job->set[i].outcome = OUTCOME_WAITING;
	}
}

/* Who has it may be told the same of it, and report it as well. */
static bool is_others(const struct attempt *a)
{
	const struct delivery_job *job = a->job;

	return delivery_job_count(job, OUTCOME_DELIVERED) == 0 &&
	       delivery_job_count(job, OUTCOME_TAKEN) == 0 &&
	       !spool_mirror_lets_go(a->drain->spool, a->key.id);
}

void conclude(struct attempt *a)
{
	struct delivery_job *job = a->job;
	struct domain *dom = a->domain;

	MX_ASSERT(a->magic == ATTEMPT_MAGIC && a->order == NULL);
	MX_ASSERT(!a->is_submitted && dom->in_flight > 0);
	MX_ASSERT(job->count <= job->unit->rcpt_count);
	a->is_concluding = true;
	if (delivery_job_count(job, OUTCOME_DELIVERED) > 0)
		risk_answered(a);
	else
		risk_over(a);
	aside_judge(a);
	if (!delivery_job_is_decided(job) || is_others(a)) {
		attempt_drop(a); /* nothing to record */
		domain_rewind(dom);
		return;
	}
	give_up_failed(a);
	fill_in(a);
	a->drain->unsettled++;
	join_conclude(a);
}

void conclude_with(struct attempt *a, enum outcome outcome, struct span reply)
{
	struct delivery_job *job = a->job;

	job->count = job->unit->rcpt_count;
	for (size_t i = 0; i < job->count; i++) {
		job->set[i].outcome = outcome;
		if (reply.n > 0)
			job->set[i].reply = reply;
		else
			job->set[i].reply = job->unit->rcpts[i].last_reply;
	}
	job->ended_ms = clock_mono_ms();
	conclude(a);
}
