/*
 * What became of a unit: the log, the report, the retry, and the one commit
 * that makes it so.
 *
 *            delivered -> forgotten
 *            transient -> deferred to its recipients' next retry
 *  in hand   permanent -> reported (DSN) and forgotten, or held
 *            untried   -> ready again
 *
 * A unit stays in hand, so that nobody takes it again, until the spool says
 * that all this is durable.
 */
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "daemon/drain/give_up.h"
#include "daemon/report/report.h"

enum { RETRY_MS = 1000 };

/* ---- Deciding ---- */

static int64_t longer(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* The unit's next time: its earliest recipient's. */
static int64_t next_due(const struct hand *h, int64_t now)
{
	const struct config *c = h->drain->config;
	const struct delivery_job *job = h->job;
	int64_t due = INT64_MAX;

	for (size_t i = 0; i < job->unit->rcpt_count; i++) {
		const struct recipient *r = &job->unit->rcpts[i];
		int64_t at = now;

		if (i >= job->count)
			at = retry_due_ms(c, r);
		else if (job->set[i].outcome == OUTCOME_TRANSIENT)
			at = now +
			     (h->is_paced
				      ? h->wait_ms
				      : longer(retry_step_ms(c, r->attempts),
					       h->wait_ms));
		else if (job->set[i].outcome == OUTCOME_WAITING)
			at = now + h->wait_ms;
		else if (job->set[i].outcome != OUTCOME_UNTRIED)
			continue;
		if (at < due)
			due = at;
	}
	return due < now ? now : due;
}

static size_t count_outcome(const struct delivery_job *job, enum outcome o)
{
	size_t n = 0;

	for (size_t i = 0; i < job->count; i++)
		n += job->set[i].outcome == o;
	return n;
}

/* ---- The log: what it says is durable ---- */

static void say_bounced(const struct hand *h, size_t i)
{
	const struct unit *u = h->job->unit;
	uint64_t report = give_up_report_of(h, i);

	log_info(
		EV_BOUNCED, LOG_ID("mid", u->envelope.id),
		LOG_PATH("to", u->rcpts[i].path),
		LOG_PATH("from", u->envelope.from), LOG_STR("host", h->host),
		LOG_ID("report", report),
		LOG_STR("report", report == 0 ? "none" : ""),
		LOG_STR("reason", h->cause == REPORT_EXPIRED ? "lifetime" : ""),
		LOG_INT("wait_s",
			(h->settled_ms - u->envelope.arrived_ms) / 1000),
		LOG_SPAN("reply", h->job->set[i].reply));
}

static void say_rcpt(const struct hand *h, size_t i)
{
	const struct delivery_job *job = h->job;
	const struct envelope *env = &job->unit->envelope;
	const struct settlement *s = &job->set[i];
	struct span to = job->unit->rcpts[i].path;

	switch (s->outcome) {
	case OUTCOME_DELIVERED:
		if (env->is_dsn)
			metrics_count(METRIC_REPORTS_SENT);
		log_info(EV_DELIVERED, LOG_ID("mid", env->id),
			 LOG_PATH("to", to), LOG_STR("host", h->host),
			 LOG_INT("wait_s",
				 (h->settled_ms - env->arrived_ms) / 1000),
			 LOG_INT("conn_ms", h->conn_ms),
			 LOG_INT("xfer_ms", job->ended_ms - job->started_ms),
			 LOG_STR("tls", h->tls),
			 LOG_ID("report", give_up_report_of(h, i)),
			 LOG_SPAN("reply", s->reply));
		break;
	case OUTCOME_TRANSIENT: /* a trial is in the log as a probe */
		log_at(h->is_trial ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
		       EV_DEFERRED, LOG_ID("mid", env->id), LOG_PATH("to", to),
		       LOG_STR("host", h->host),
		       LOG_INT("attempts", job->unit->rcpts[i].attempts + 1),
		       LOG_INT("due_s", (h->due_ms - h->settled_ms) / 1000),
		       LOG_STR("reason", h->is_early ? "reported lately" : ""),
		       LOG_SPAN("reply", s->reply));
		break;
	case OUTCOME_PERMANENT:
		say_bounced(h, i);
		break;
	case OUTCOME_HELD:
		log_warn(EV_HELD, LOG_ID("mid", env->id), LOG_PATH("to", to),
			 LOG_STR("host", h->host),
			 LOG_STR("reason",
				 h->cause == REPORT_EXPIRED ? "lifetime" : ""),
			 LOG_SPAN("reply", s->reply));
		break;
	case OUTCOME_UNTRIED:
	case OUTCOME_WAITING:
		break;
	}
}

/* ---- Making it durable ---- */

static void on_retry(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct hand *h = w->data;

	MX_ASSERT(h->magic == HAND_MAGIC);
	(void)loop;
	(void)revents;
	settle_submit(h);
}

/* No room for the outcome or the report: the unit stays in hand, so that it
 * is not delivered twice, and the spool is asked again. */
static void later(struct hand *h, enum mx_err err)
{
	if (h->has_report) /* no matter of the rate: let others go on */
		risk_over(h);
	if (!h->is_late)
		log_warn(EV_SPOOL, LOG_ID("mid", h->key.id),
			 LOG_STR("error", mx_strerror(err)),
			 LOG_STR("what", "an outcome could not be recorded"));
	h->is_late = true;
	ev_timer_init(&h->retry, on_retry, RETRY_MS / 1000., 0.);
	h->retry.data = h;
	ev_timer_start(h->drain->loop, &h->retry);
}

/* The row of this unit is damaged: only it is concerned.  It stays in hand, so
 * that it is not delivered again. */
static void stuck(struct hand *h, enum mx_err err)
{
	log_error(EV_SPOOL, LOG_ID("mid", h->key.id),
		  LOG_SPAN("domain", domain_name(h->domain)),
		  LOG_STR("error", mx_strerror(err)),
		  LOG_STR("what", "an outcome cannot be recorded: not tried "
				  "again until a restart"));
	h->drain->unsettled--;
	risk_over(h);
}

/* After a failed sync nothing is known of the disk: what we delivered from
 * now on would be delivered again after the restart. */
static void broken(struct drain *d, enum mx_err err)
{
	if (d->is_broken)
		return;
	d->is_broken = true;
	log_error(EV_SPOOL, LOG_STR("error", mx_strerror(err)),
		  LOG_STR("what", "outcomes cannot be recorded: nothing more "
				  "is delivered until a restart"));
}

static bool is_deferred(const struct delivery_job *job)
{
	return count_outcome(job, OUTCOME_TRANSIENT) > 0 ||
	       count_outcome(job, OUTCOME_WAITING) > 0 ||
	       job->count < job->unit->rcpt_count;
}

bool settle_is_partial(const struct hand *h)
{
	return is_deferred(h->job) ||
	       count_outcome(h->job, OUTCOME_UNTRIED) > 0;
}

void settle_defer_failed(struct hand *h, int64_t wait_ms)
{
	struct delivery_job *job = h->job;
	int64_t most_ms = retry_longest_ms(h->drain->config);

	if (h->cause == REPORT_EXPIRED)
		return;
	for (size_t i = 0; i < job->count; i++)
		if (job->set[i].outcome == OUTCOME_PERMANENT &&
		    report_is_due(&job->unit->envelope, &job->unit->rcpts[i],
				  REPORT_FAILED)) {
			job->set[i].outcome = OUTCOME_TRANSIENT;
			h->is_early = true;
			h->wait_ms = wait_ms < most_ms ? wait_ms : most_ms;
		}
}

static void on_settled(enum mx_err err, void *arg)
{
	struct hand *h = arg;
	struct drain *d = h->drain;
	struct domain *dom = h->domain;
	bool again = h->again;

	MX_ASSERT(h->magic == HAND_MAGIC);
	h->is_submitted = false;
	if (err == MX_ENOENT) /* removed meanwhile, and no report is sent */
		h->report_id = 0;
	if (err == MX_OK || err == MX_ENOENT)
		for (size_t i = 0; i < h->job->count; i++)
			say_rcpt(h, i);
	if (d == NULL) { /* drain_free was faster */
		delivery_job_free(&h->job);
		free(h);
		return;
	}
	if (err == MX_ESPACE || err == MX_EBUSY) {
		later(h, err);
		return;
	}
	if (spool_has_failed(d->spool) && err != MX_OK && err != MX_ENOENT) {
		broken(d, err);
		return;
	}
	join_recorded(h, err == MX_OK);
	if (err != MX_OK && err != MX_ENOENT) {
		stuck(h, err);
		return;
	}
	if (h->is_capped)
		again |= cap_is_recorded(dom);
	if (is_deferred(h->job))
		expire_due_at(d, h->due_ms);
	d->unsettled--;
	hand_drop(h);
	if (again)
		domain_rewind(dom);
	if (d->is_full && d->unsettled < UNSETTLED_MAX / 2)
		drain_go_on(d);
}

void settle_submit(struct hand *h)
{
	struct delivery_job *job = h->job;
	struct drain *d = h->drain;
	int64_t now = clock_wall_ms();
	struct spool_report report;
	enum mx_err err = give_up_report(h, now, &report);

	if (err != MX_OK) {
		later(h, err);
		return;
	}
	h->is_submitted = true;
	h->settled_ms = now;
	h->due_ms = next_due(h, now);
	spool_settle(d->spool, h->key.id, job->unit->domain, job->set,
		     job->unit->rcpt_count, now, h->due_ms,
		     report.draft != NULL ? &report : NULL, on_settled, h);
}

static void fill_in(struct hand *h)
{
	struct delivery_job *job = h->job;

	for (size_t i = 0; i < job->unit->rcpt_count; i++) {
		job->set[i].host = span_str(h->host);
		if (i >= job->count)
			job->set[i].outcome = OUTCOME_WAITING;
	}
}

void settle(struct hand *h)
{
	struct delivery_job *job = h->job;
	struct domain *dom = h->domain;

	MX_ASSERT(h->magic == HAND_MAGIC);
	h->is_settling = true;
	if (count_outcome(job, OUTCOME_DELIVERED) > 0)
		risk_answered(h);
	else
		risk_over(h);
	aside_judge(h);
	if (count_outcome(job, OUTCOME_UNTRIED) == job->count) {
		hand_drop(h); /* nothing to record */
		domain_rewind(dom);
		return;
	}
	give_up_failed(h);
	fill_in(h);
	h->again = count_outcome(job, OUTCOME_UNTRIED) > 0;
	h->drain->unsettled++;
	join_settle(h);
}

void settle_with(struct hand *h, enum outcome outcome, struct span reply)
{
	struct delivery_job *job = h->job;

	job->count = job->unit->rcpt_count;
	for (size_t i = 0; i < job->count; i++) {
		job->set[i].outcome = outcome;
		if (reply.n > 0)
			job->set[i].reply = reply;
		else
			job->set[i].reply = job->unit->rcpts[i].last_reply;
	}
	job->ended_ms = clock_mono_ms();
	settle(h);
}
