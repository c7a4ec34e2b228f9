/* The one commit that makes an outcome durable, and the log of it. */
#include <string.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "daemon/drain/cap.h"
#include "daemon/drain/conclude.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/due.h"
#include "daemon/drain/give_up.h"
#include "daemon/drain/outages.h"
#include "daemon/drain/retry.h"
#include "daemon/drain/risk.h"

enum { RETRY_MS = 1000 };

static int64_t longer(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* The unit's next time: its earliest recipient's. */
static int64_t next_due(const struct attempt *a, int64_t now)
{
	const struct config *c = a->drain->config;
	const struct delivery_job *job = a->job;
	int64_t due = INT64_MAX;

	for (size_t i = 0; i < job->unit->rcpt_count; i++) {
		const struct recipient *r = &job->unit->rcpts[i];
		int64_t at = now;

		if (i >= job->count)
			at = retry_due_ms(c, r);
		else if (job->set[i].outcome == OUTCOME_TRANSIENT)
			at = now +
			     (a->is_paced
				      ? a->wait_ms
				      : longer(retry_step_ms(c, r->attempts),
					       a->wait_ms));
		else if (job->set[i].outcome == OUTCOME_WAITING)
			at = now + a->wait_ms;
		else if (job->set[i].outcome != OUTCOME_UNTRIED)
			continue;
		if (at < due)
			due = at;
	}
	return due < now ? now : due;
}

/* ---- The log: what it says is durable ---- */

static const char *reason_of(const struct attempt *a, size_t i)
{
	return give_up_cause(a, i) == REPORT_EXPIRED ? "lifetime" : "";
}

static void say_bounced(const struct attempt *a, size_t i)
{
	const struct unit *u = a->job->unit;
	uint64_t report = give_up_report_of(a, i);

	outages_left(a, i, "bounced");
	log_info(EV_BOUNCED, LOG_ID("mid", u->envelope.id),
		 LOG_PATH("to", u->rcpts[i].path),
		 LOG_PATH("from", u->envelope.from),
		 LOG_SPAN("host", a->job->set[i].host),
		 LOG_ID("report", report),
		 LOG_STR("report", report == 0 ? "none" : ""),
		 LOG_STR("reason", reason_of(a, i)),
		 LOG_INT("wait_s",
			 (a->concluded_ms - u->envelope.arrived_ms) / 1000),
		 LOG_SPAN("reply", a->job->set[i].reply));
}

/* Why it is not final, or on the shelf, beside the refusal. */
static const char *why_parked(const struct attempt *a, size_t i)
{
	if (a->job->set[i].outcome == OUTCOME_REFUSED && a->is_parked)
		return a->is_early ? "reported lately" : "the sender's DNS";
	return reason_of(a, i);
}

static void say_parked(const struct attempt *a, size_t i)
{
	const struct settlement *s = &a->job->set[i];
	const struct unit *u = a->job->unit;
	bool is_shelf = s->outcome == OUTCOME_SHELVED;

	log_info(is_shelf ? EV_SHELVED : EV_REFUSED,
		 LOG_ID("mid", u->envelope.id),
		 LOG_PATH("to", u->rcpts[i].path),
		 LOG_PATH("from", u->envelope.from), LOG_SPAN("host", s->host),
		 LOG_STR("reason", why_parked(a, i)),
		 LOG_INT(is_shelf ? "kept_s" : "final_s",
			 (s->until_ms - a->concluded_ms) / 1000),
		 LOG_SPAN("reply", s->reply));
}

/* The end of its time on the shelf. */
static void say_gone(const struct attempt *a, size_t i)
{
	const struct unit *u = a->job->unit;

	log_info(EV_REMOVED, LOG_STR("by", "shelf"),
		 LOG_ID("mid", u->envelope.id),
		 LOG_PATH("to", u->rcpts[i].path),
		 LOG_PATH("from", u->envelope.from),
		 LOG_SPAN("reply", a->job->set[i].reply));
}

static bool was(const struct attempt *a, size_t i, enum recipient_state state)
{
	return a->is_parked && a->job->unit->rcpts[i].state == state;
}

static void say_delivered(const struct attempt *a, size_t i)
{
	const struct delivery_job *job = a->job;
	const struct envelope *env = &job->unit->envelope;

	if (was(a, i, RECIPIENT_TAKEN)) /* that was said then */
		return;
	if (env->is_dsn)
		metrics_count(METRIC_REPORTS_SENT);
	outages_left(a, i, "delivered");
	log_info(EV_DELIVERED, LOG_ID("mid", env->id),
		 LOG_PATH("to", job->unit->rcpts[i].path),
		 LOG_STR("host", a->host),
		 LOG_INT("wait_s", (a->concluded_ms - env->arrived_ms) / 1000),
		 LOG_INT("conn_ms", a->conn_ms),
		 LOG_INT("xfer_ms", job->ended_ms - job->started_ms),
		 LOG_STR("tls", a->tls),
		 LOG_ID("report", give_up_report_of(a, i)),
		 LOG_SPAN("reply", job->set[i].reply));
}

static void say_rcpt(const struct attempt *a, size_t i)
{
	const struct delivery_job *job = a->job;
	const struct envelope *env = &job->unit->envelope;
	const struct settlement *s = &job->set[i];
	struct span to = job->unit->rcpts[i].path;

	switch (s->outcome) {
	case OUTCOME_DELIVERED:
	case OUTCOME_TAKEN:
		say_delivered(a, i);
		break;
	case OUTCOME_TRANSIENT: /* a trial is in the log as a probe */
		log_at(a->is_trial ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
		       EV_DEFERRED, LOG_ID("mid", env->id), LOG_PATH("to", to),
		       LOG_STR("host", a->host),
		       LOG_INT("attempts", job->unit->rcpts[i].attempts + 1),
		       LOG_INT("due_s", (a->due_ms - a->concluded_ms) / 1000),
		       LOG_STR("reason", a->is_early ? "reported lately" : ""),
		       LOG_SPAN("reply", s->reply));
		break;
	case OUTCOME_PERMANENT:
		if (was(a, i, RECIPIENT_SHELVED))
			say_gone(a, i);
		else
			say_bounced(a, i);
		break;
	case OUTCOME_HELD:
		log_warn(EV_HELD, LOG_ID("mid", env->id), LOG_PATH("to", to),
			 LOG_SPAN("host", s->host),
			 LOG_STR("reason", reason_of(a, i)),
			 LOG_SPAN("reply", s->reply));
		break;
	case OUTCOME_REFUSED:
	case OUTCOME_SHELVED:
		say_parked(a, i);
		break;
	case OUTCOME_UNTRIED:
	case OUTCOME_WAITING:
		break;
	}
}

/* Those taken may be in the log by now. */
static void say_all(const struct attempt *a)
{
	for (size_t i = 0; i < a->job->count; i++)
		if (!a->is_taken_known || !conclude_is_taken(a, i))
			say_rcpt(a, i);
}

/* ---- Making it durable ---- */

static void on_retry(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct attempt *a = w->data;

	MX_ASSERT(a->magic == ATTEMPT_MAGIC);
	(void)loop;
	(void)revents;
	conclude_submit(a);
}

/* No room for the outcome or the report: the unit stays in flight, so that it
 * is not delivered twice, and the spool is asked again. */
static void later(struct attempt *a, enum mx_err err)
{
	if (a->has_report) /* no matter of the rate: let others go on */
		risk_over(a);
	if (!a->is_late)
		log_warn(EV_SPOOL, LOG_ID("mid", a->key.id),
			 LOG_STR("error", mx_strerror(err)),
			 LOG_STR("what", "an outcome could not be recorded"));
	a->is_late = true;
	ev_timer_init(&a->retry, on_retry, RETRY_MS / 1000., 0.);
	a->retry.data = a;
	ev_timer_start(a->drain->loop, &a->retry);
}

/* The row of this unit is damaged: only it is concerned.  It stays in flight,
 * so that it is not delivered again. */
static void stuck(struct attempt *a, enum mx_err err)
{
	log_error(EV_SPOOL, LOG_ID("mid", a->key.id),
		  LOG_SPAN("domain", domain_name(a->domain)),
		  LOG_STR("error", mx_strerror(err)),
		  LOG_STR("what", "an outcome cannot be recorded: not tried "
				  "again until a restart"));
	MX_ASSERT(a->drain->unsettled > 0);
	a->drain->unsettled--;
	risk_over(a);
	attempt_end_orders(a, err);
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
	return delivery_job_count(job, OUTCOME_TRANSIENT) > 0 ||
	       delivery_job_count(job, OUTCOME_WAITING) > 0 ||
	       job->count < job->unit->rcpt_count;
}

bool conclude_is_partial(const struct attempt *a)
{
	return is_deferred(a->job) ||
	       delivery_job_count(a->job, OUTCOME_UNTRIED) > 0 ||
	       delivery_job_count(a->job, OUTCOME_REFUSED) > 0 ||
	       (a->is_parked && a->job->unit->state != UNIT_REFUSED);
}

/* Its report is on disk, or it left without: so go those behind it. */
static void go_on_behind(struct attempt *lead, bool has_report)
{
	struct attempt_queue rest = TAILQ_HEAD_INITIALIZER(rest);
	struct attempt *a;

	TAILQ_CONCAT(&rest, &lead->followers, join);
	a = TAILQ_FIRST(&rest);
	if (a != NULL &&
	    !has_report) { /* it left without: the next one leads */
		TAILQ_REMOVE(&rest, a, join);
		TAILQ_CONCAT(&a->followers, &rest, join);
		a->is_following = false;
		conclude_submit(a);
		return;
	}
	while ((a = TAILQ_FIRST(&rest)) != NULL) {
		TAILQ_REMOVE(&rest, a, join);
		a->report_id = lead->report_id;
		conclude_submit(a);
	}
}

/* They come back at their time. */
static void look_at_parked(const struct attempt *a)
{
	for (size_t i = 0; i < a->job->count; i++)
		if (a->job->set[i].until_ms > 0)
			due_end_at(a->drain, a->job->set[i].until_ms);
}

/* It is on disk, or its mail was removed: it is over. */
static void settle(struct attempt *a)
{
	struct drain *d = a->drain;
	struct domain *dom = a->domain;
	bool again = delivery_job_count(a->job, OUTCOME_UNTRIED) > 0;

	if (a->is_capped)
		again |= cap_is_recorded(dom);
	if (is_deferred(a->job))
		due_at(d, a->due_ms);
	look_at_parked(a);
	/* others of it may be ready by now, and were passed over */
	again |= a->is_parked;
	if (delivery_job_count(a->job, OUTCOME_REFUSED) > 0)
		flow_recorded(dom);
	MX_ASSERT(d->unsettled > 0);
	d->unsettled--;
	attempt_drop(a);
	if (again)
		domain_rewind(dom);
	if (d->is_full && d->unsettled < UNSETTLED_MAX / 2)
		drain_go_on(d);
}

static void on_recorded(enum mx_err err, void *arg)
{
	struct attempt *a = arg;
	struct drain *d = a->drain;

	MX_ASSERT(a->magic == ATTEMPT_MAGIC && a->is_submitted);
	a->is_submitted = false;
	if (err == MX_ENOENT) /* removed meanwhile, and no report is sent */
		a->report_id = 0;
	if (err == MX_OK || (err == MX_ENOENT && !a->is_parked))
		say_all(a);
	if (d != NULL && err == MX_OK)
		outages_settled(a);
	if (d == NULL) { /* drain_free was faster */
		attempt_free(a);
		return;
	}
	if (err == MX_ESPACE || err == MX_EBUSY) {
		later(a, err);
		return;
	}
	if (spool_has_failed(d->spool) && err != MX_OK && err != MX_ENOENT) {
		broken(d, err);
		return;
	}
	go_on_behind(a, err == MX_OK);
	if (err == MX_OK || err == MX_ENOENT)
		settle(a);
	else
		stuck(a, err);
}

void conclude_submit(struct attempt *a)
{
	struct delivery_job *job = a->job;
	struct drain *d = a->drain;
	int64_t now = clock_wall_ms();
	struct spool_report report;
	enum mx_err err;

	MX_ASSERT(a->is_concluding && !a->is_submitted);
	err = give_up_report(a, now, &report);
	if (err != MX_OK) {
		later(a, err);
		return;
	}
	a->is_submitted = true;
	a->concluded_ms = now;
	a->due_ms = next_due(a, now);
	if (a->is_parked)
		spool_settle_parked(d->spool, a->key.id, job->unit->domain,
				    job->set, job->count, now,
				    report.draft != NULL ? &report : NULL,
				    on_recorded, a);
	else
		spool_settle(d->spool, a->key.id, job->unit->domain, job->set,
			     job->unit->rcpt_count, now, a->due_ms,
			     report.draft != NULL ? &report : NULL, on_recorded,
			     a);
}

/* ---- Ahead of the rest ---- */

bool conclude_is_taken(const struct attempt *a, size_t i)
{
	return a->job->set[i].outcome == OUTCOME_DELIVERED && !a->is_parked &&
	       !give_up_is_reported(a, i);
}

/* On failure it is tried again with the rest, which knows what to do then. */
static void on_taken(enum mx_err err, void *arg)
{
	struct attempt *a = arg;

	MX_ASSERT(a->magic == ATTEMPT_MAGIC && a->is_submitted);
	a->is_submitted = false;
	a->is_taken_known = err == MX_OK;
	for (size_t i = 0; i < a->job->count; i++)
		if (a->is_taken_known && conclude_is_taken(a, i))
			say_rcpt(a, i);
	if (a->drain == NULL)
		attempt_free(a);
	else
		a->then(a);
}

void conclude_taken(struct attempt *a, void (*then)(struct attempt *a))
{
	const struct delivery_job *job = a->job;
	size_t count = job->unit->rcpt_count;
	struct settlement *set =
		arena_alloc_array(&job->unit->arena, count, sizeof(*set));

	MX_ASSERT(a->is_concluding && !a->is_submitted);
	memcpy(set, job->set, count * sizeof(*set));
	for (size_t i = 0; i < count; i++)
		if (i >= job->count || !conclude_is_taken(a, i))
			set[i].outcome = OUTCOME_UNTRIED;
	a->then = then;
	a->is_submitted = true;
	a->concluded_ms = clock_wall_ms();
	spool_settle(a->drain->spool, a->key.id, job->unit->domain, set, count,
		     a->concluded_ms, 0, NULL, on_taken, a);
}
