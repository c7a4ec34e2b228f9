/* The report about an outcome, if one is due. */
#include "common/base/clock.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/give_up.h"

void give_up_failed(struct attempt *a)
{
	struct delivery_job *job = a->job;

	if (a->drain->config->bounce.mode != BOUNCE_HOLD)
		return;
	for (size_t i = 0; i < job->count; i++)
		if (job->set[i].outcome == OUTCOME_PERMANENT)
			job->set[i].outcome = OUTCOME_HELD;
}

static struct span status_of(struct attempt *a, struct span reply)
{
	struct smtp_reply r = { 0 };
	struct span s = SPAN_LIT("5.0.0");

	if (a->status != NULL)
		return span_str(a->status);
	if (smtp_reply_is_made(reply))
		return smtp_reply_made_status(reply);
	if (smtp_reply_parse(reply, &r) == MX_OK && r.enhanced[0] != '\0')
		s = arena_span(&a->job->unit->arena, span_str(r.enhanced));
	else if (r.code >= 200 && r.code < 300)
		s = SPAN_LIT("2.0.0");
	smtp_reply_fini(&r);
	return s;
}

/* RFC 3461 section 5.2.2: a success is ours to report when the next hop
 * cannot. */
static bool is_reported(const struct attempt *a, size_t i,
			enum report_action *action)
{
	const struct delivery_job *job = a->job;
	enum outcome o = job->set[i].outcome;

	if (o == OUTCOME_PERMANENT)
		*action = REPORT_FAILED;
	else if (o == OUTCOME_DELIVERED && (a->offered & SMTP_EXT_DSN) == 0)
		*action = REPORT_RELAYED;
	else
		return false;
	return report_is_due(&job->unit->envelope, &job->unit->rcpts[i],
			     *action);
}

static enum report_cause cause_of(const struct attempt *a)
{
	return a->cause == REPORT_REFUSED && a->job->is_obstructed
		       ? REPORT_UNFIT
		       : a->cause;
}

/* Whose words the reply is: of an expired one, those of its last attempt. */
static struct span host_of(const struct attempt *a, size_t i)
{
	if (a->cause == REPORT_OPERATOR)
		return SPAN_LIT("");
	return a->host[0] != '\0' ? span_str(a->host)
				  : a->job->unit->rcpts[i].last_host;
}

bool give_up_is_reported(const struct attempt *a, size_t i)
{
	enum report_action action;

	return is_reported(a, i, &action);
}

uint64_t give_up_report_of(const struct attempt *a, size_t i)
{
	return give_up_is_reported(a, i) ? a->report_id : 0;
}

bool give_up_has_report(const struct attempt *a)
{
	for (size_t i = 0; i < a->job->count; i++)
		if (give_up_is_reported(a, i))
			return true;
	return false;
}

/* What the report says of this unit. */
static size_t list_reported(struct attempt *a, struct report_rcpt *out)
{
	struct delivery_job *job = a->job;
	enum report_action action;
	size_t n = 0;

	for (size_t i = 0; i < job->count; i++) {
		if (!is_reported(a, i, &action))
			continue;
		out[n++] = (struct report_rcpt){
			.rcpt = &job->unit->rcpts[i],
			.action = action,
			.cause = cause_of(a),
			.status = status_of(a, job->set[i].reply),
			.reply = job->set[i].reply,
			.host = host_of(a, i),
			.attempt_ms = job->started_ms > 0
					      ? clock_wall_ms()
					      : job->unit->rcpts[i].attempt_ms,
		};
	}
	return n;
}

/* Of it and its followers; 0: none is due. */
static size_t list_all(struct attempt *a, struct report_rcpt **out)
{
	size_t most = a->job->count, n;
	struct attempt *f;

	*out = NULL;
	if (a->is_following || !give_up_has_report(a))
		return 0;
	TAILQ_FOREACH (f, &a->followers, join)
		most += f->job->count;
	*out = arena_alloc_array(&a->job->unit->arena, most, sizeof(**out));
	n = list_reported(a, *out);
	TAILQ_FOREACH (f, &a->followers, join)
		n += list_reported(f, *out + n);
	return n;
}

enum mx_err give_up_report(struct attempt *a, int64_t now_ms,
			   struct spool_report *out)
{
	struct report_rcpt *rcpts;
	size_t count = list_all(a, &rcpts);
	enum mx_err err = MX_OK;

	*out = (struct spool_report){ 0 };
	a->has_report = count > 0;
	if (count > 0)
		err = report_make(a->drain->spool, a->drain->config,
				  a->job->unit, rcpts, count, now_ms, out);
	if (err == MX_OK && !a->is_following)
		a->report_id = count > 0 ? spool_draft_id(out->draft) : 0;
	return err;
}
