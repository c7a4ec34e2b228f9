/* The report about an outcome, if one is due. */
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/drain/retry.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/give_up.h"

/* What could not be proven for want of an answer is asked again, and is
 * forgotten about after so long. */
#define PROOF_AGAIN_MS MINUTES(5)
#define PROOF_PATIENCE_MS HOURS(4)

static const struct recipient *rcpt_of(const struct attempt *a, size_t i)
{
	return &a->job->unit->rcpts[i];
}

static bool is_due(const struct attempt *a, size_t i, enum report_action action)
{
	return report_is_due(&a->job->unit->envelope, rcpt_of(a, i), action);
}

static void park(struct attempt *a, size_t i, enum outcome outcome,
		 int64_t wait_ms)
{
	struct settlement *s = &a->job->set[i];

	s->outcome = outcome;
	s->until_ms = clock_wall_ms() + wait_ms;
	if (a->is_parked)
		s->failure = rcpt_of(a, i)->failure;
	else if (a->cause == REPORT_EXPIRED)
		s->failure = FAILURE_EXPIRED;
	else
		s->failure =
			a->job->is_obstructed ? FAILURE_UNFIT : FAILURE_REFUSED;
}

static void shelve(struct attempt *a, size_t i)
{
	park(a, i, OUTCOME_SHELVED, a->drain->config->bounce.shelf_ms);
}

/* A recipient that failed, or was delivered, just now. */
static void decide_new(struct attempt *a, size_t i)
{
	const struct config *c = a->drain->config;
	struct settlement *s = &a->job->set[i];
	bool is_refused = a->cause == REPORT_REFUSED;

	if (a->job->unit->envelope.is_dsn)
		return; /* nobody hears of it, nobody misses it */
	if (s->outcome == OUTCOME_DELIVERED &&
	    c->bounce.mode == BOUNCE_PROVEN &&
	    (a->offered & SMTP_EXT_DSN) == 0 && is_due(a, i, REPORT_RELAYED))
		park(a, i, OUTCOME_TAKEN, 0);
	if (s->outcome != OUTCOME_PERMANENT)
		return;
	if (is_refused && c->drain.brake_window_ms > 0)
		park(a, i, OUTCOME_REFUSED, c->drain.brake_window_ms);
	else if (c->bounce.mode == BOUNCE_HOLD)
		s->outcome = OUTCOME_HELD;
	else if (c->bounce.mode == BOUNCE_PROVEN && is_due(a, i, REPORT_FAILED))
		park(a, i, OUTCOME_REFUSED, 0);
	else if (c->bounce.mode == BOUNCE_PROVEN)
		shelve(a, i);
}

void give_up_failed(struct attempt *a)
{
	a->is_unproven = a->drain->config->bounce.mode == BOUNCE_PROVEN;
	for (size_t i = 0; i < a->job->count; i++)
		decide_new(a, i);
}

static bool needs_proof(const struct attempt *a, size_t i)
{
	switch (rcpt_of(a, i)->state) {
	case RECIPIENT_REFUSED:
		return is_due(a, i, REPORT_FAILED);
	case RECIPIENT_TAKEN:
		return is_due(a, i, REPORT_RELAYED);
	case RECIPIENT_PENDING:
	case RECIPIENT_HELD:
	case RECIPIENT_SHELVED:
		break;
	}
	return false;
}

bool give_up_needs_proof(const struct attempt *a)
{
	if (a->drain->config->bounce.mode != BOUNCE_PROVEN)
		return false;
	for (size_t i = 0; i < a->job->count; i++)
		if (needs_proof(a, i))
			return true;
	return false;
}

static bool has_patience(const struct attempt *a, size_t i)
{
	return clock_wall_ms() - rcpt_of(a, i)->attempt_ms < PROOF_PATIENCE_MS;
}

/* A refusal that is final now. */
static void decide_refused(struct attempt *a, size_t i, enum proof proof)
{
	struct settlement *s = &a->job->set[i];

	s->outcome = OUTCOME_PERMANENT;
	if (a->drain->config->bounce.mode == BOUNCE_HOLD)
		s->outcome = OUTCOME_HELD;
	if (a->drain->config->bounce.mode != BOUNCE_PROVEN)
		return;
	if (!is_due(a, i, REPORT_FAILED) || proof == PROOF_NONE ||
	    (proof == PROOF_LATER && !has_patience(a, i)))
		shelve(a, i);
	else if (proof == PROOF_LATER)
		park(a, i, OUTCOME_REFUSED, PROOF_AGAIN_MS);
}

static void decide_taken(struct attempt *a, size_t i, enum proof proof)
{
	if (proof == PROOF_LATER && has_patience(a, i))
		park(a, i, OUTCOME_TAKEN, PROOF_AGAIN_MS);
	else
		a->job->set[i].outcome = OUTCOME_DELIVERED;
}

void give_up_parked(struct attempt *a, enum proof proof)
{
	a->is_proven = proof == PROOF_PASS;
	a->is_unproven = a->drain->config->bounce.mode == BOUNCE_PROVEN &&
			 proof != PROOF_PASS;
	for (size_t i = 0; i < a->job->count; i++) {
		a->job->set[i].reply = rcpt_of(a, i)->last_reply;
		a->job->set[i].host = rcpt_of(a, i)->last_host;
		if (rcpt_of(a, i)->state == RECIPIENT_REFUSED)
			decide_refused(a, i, proof);
		else if (rcpt_of(a, i)->state == RECIPIENT_TAKEN)
			decide_taken(a, i, proof);
		else /* its time on the shelf is over */
			a->job->set[i].outcome = OUTCOME_PERMANENT;
	}
}

void give_up_defer(struct attempt *a, int64_t wait_ms)
{
	struct delivery_job *job = a->job;
	int64_t most_ms = retry_longest_ms(a->drain->config);

	if (wait_ms > most_ms)
		wait_ms = most_ms;
	for (size_t i = 0; i < job->count; i++) {
		if (job->set[i].outcome != OUTCOME_PERMANENT ||
		    !give_up_is_reported(a, i) ||
		    give_up_cause(a, i) == REPORT_EXPIRED)
			continue;
		a->is_early = true;
		if (a->is_parked) {
			park(a, i, OUTCOME_REFUSED, wait_ms);
			continue;
		}
		job->set[i].outcome = OUTCOME_TRANSIENT;
		a->wait_ms = wait_ms;
	}
}

/* A lifetime that ended for want of TLS says so (4.7.X); else it is time
 * that is over. */
static const char *final_status(struct span reply)
{
	static const struct {
		const char *now, *then;
	} table[] = {
		{ "4.7.4", "5.7.4" },
		{ "4.7.5", "5.7.5" },
		{ "4.4.6", "5.4.6" },
	};
	struct span rest = reply;

	span_cut(&rest, ' ');
	for (size_t i = 0; i < COUNT(table); i++)
		if (span_starts(rest, span_str(table[i].now)))
			return table[i].then;
	return "5.4.7";
}

static struct span status_of(struct attempt *a, size_t i)
{
	struct smtp_reply r = { 0 };
	struct span reply = a->job->set[i].reply;
	struct span s = SPAN_LIT("5.0.0");

	if (give_up_cause(a, i) == REPORT_OPERATOR)
		return s;
	if (give_up_cause(a, i) == REPORT_EXPIRED)
		return span_str(final_status(reply));
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

	if (a->is_unproven)
		return false;
	if (a->order == NULL && rcpt_of(a, i)->state == RECIPIENT_SHELVED)
		return false; /* it has been long enough there */
	if (o == OUTCOME_PERMANENT)
		*action = REPORT_FAILED;
	else if (o == OUTCOME_DELIVERED && (a->offered & SMTP_EXT_DSN) == 0)
		*action = REPORT_RELAYED;
	else
		return false;
	return is_due(a, i, *action);
}

enum report_cause give_up_cause(const struct attempt *a, size_t i)
{
	static const enum report_cause causes[] = {
		[FAILURE_REFUSED] = REPORT_REFUSED,
		[FAILURE_EXPIRED] = REPORT_EXPIRED,
		[FAILURE_UNFIT] = REPORT_UNFIT,
	};

	if (a->is_parked)
		return causes[rcpt_of(a, i)->failure];
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
			.cause = give_up_cause(a, i),
			.status = status_of(a, i),
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
	if (err == MX_OK && count > 0 && (a->order != NULL || a->is_proven))
		report_is_proven(out);
	if (err == MX_OK && !a->is_following)
		a->report_id = count > 0 ? spool_draft_id(out->draft) : 0;
	return err;
}
