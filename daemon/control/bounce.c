/*
 * The verb bounce: mail goes back to its senders at the operator's word.
 *
 * A unit that is being delivered at that moment is left alone until that has
 * ended: it is delivered or bounced, never both.  So each unit is claimed, and
 * what is claimed nobody delivers; one that is in hand is looked at again for
 * a while, and if that is not enough, the answer says so.
 */
#include "daemon/control/walk.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/msgid.h"
#include "daemon/report/report.h"

enum { UNITS_PER_STEP = 16, PATIENCE_MS = 2000 };

static const struct span status_code = { "5.0.0", 5 };

/* A unit on its way out. */
struct departure {
	struct walk *walk;
	struct unit *unit;
	struct settlement *set;
	struct buf *replies;
	struct spool_report report;
	uint64_t report_id; /* 0: none */
};

static enum mx_err depart(struct walk *w, uint64_t id, struct span domain);

static void departure_free(struct departure *d)
{
	for (size_t i = 0; i < d->unit->rcpt_count; i++)
		buf_fini(&d->replies[i]);
	free(d->replies);
	free(d->set);
	unit_free(&d->unit);
	free(d);
}

static void log_departure(const struct departure *d)
{
	const struct unit *u = d->unit;
	const struct request *r = d->walk->request;
	struct buf report = { 0 };

	for (size_t i = 0; i < u->rcpt_count; i++) {
		buf_reset(&report);
		if (d->report_id != 0 &&
		    report_is_due(&u->envelope, &u->rcpts[i], REPORT_FAILED))
			msg_id_add(&report, d->report_id);
		else
			buf_adds(&report, "none");
		log_info(EV_BOUNCED, LOG_ID("mid", u->envelope.id),
			 LOG_PATH("to", u->rcpts[i].path),
			 LOG_PATH("from", u->envelope.from),
			 LOG_STR("by", "operator"), LOG_INT("uid", r->uid),
			 LOG_STR("claimed_uid", r->claimed_uid),
			 LOG_SPAN("report", buf_span(&report)),
			 LOG_SPAN("reply", buf_span(&d->replies[i])));
	}
	buf_fini(&report);
}

static void let_go(const struct walk *w, uint64_t id, struct span domain,
		   bool is_left)
{
	if (!walk_is_stopped(w))
		drain_let_go(w->request->control->opt.drain, id, domain,
			     is_left);
}

/* Recipients that were held apart from the others are a unit of their own
 * once these are gone: it goes, too. */
static void on_settled(enum mx_err err, void *arg)
{
	struct departure *d = arg;
	struct walk *w = d->walk;
	uint64_t id = d->unit->envelope.id;
	bool is_left = err != MX_OK && err != MX_ENOENT;

	if (err == MX_OK) {
		log_departure(d);
		err = walk_is_stopped(w) ? MX_ENOENT
					 : depart(w, id, d->unit->domain);
		w->done += err != MX_OK;
	}
	if (err != MX_OK)
		let_go(w, id, d->unit->domain, is_left);
	departure_free(d);
	walk_end(w, err);
}

/* What the sender is told: our word, and what the primary said last. */
static void add_reply(struct buf *out, const struct recipient *rcpt)
{
	buf_adds(out, "returned by the operator of this mail server");
	if (rcpt->last_reply.n == 0)
		return;
	buf_adds(out, "; the last answer");
	if (rcpt->last_host.n > 0)
		buf_addf(out, " of %.*s", SPAN_ARG(rcpt->last_host));
	buf_addf(out, " was: %.*s", SPAN_ARG(rcpt->last_reply));
}

static struct departure *departure_new(struct walk *w, struct unit *unit)
{
	struct departure *d = mx_alloc(sizeof(*d));

	d->walk = w;
	d->unit = unit;
	d->set = mx_alloc_array(unit->rcpt_count, sizeof(*d->set));
	d->replies = mx_alloc_array(unit->rcpt_count, sizeof(*d->replies));
	for (size_t i = 0; i < unit->rcpt_count; i++) {
		add_reply(&d->replies[i], &unit->rcpts[i]);
		d->set[i] = (struct settlement){
			.number = unit->rcpts[i].number,
			.outcome = OUTCOME_PERMANENT,
			.reply = buf_span(&d->replies[i]),
		};
	}
	return d;
}

/* The report on those who want one; none is fine. */
static enum mx_err make_report(struct departure *d, int64_t now_ms)
{
	const struct config *config = d->walk->request->control->opt.config;
	struct unit *u = d->unit;
	struct report_rcpt *rcpts = mx_alloc_array(u->rcpt_count, sizeof(*rcpts));
	size_t count = 0;
	enum mx_err err = MX_OK;

	for (size_t i = 0; i < u->rcpt_count; i++) {
		if (!report_is_due(&u->envelope, &u->rcpts[i], REPORT_FAILED))
			continue;
		rcpts[count++] = (struct report_rcpt){
			.rcpt = &u->rcpts[i],
			.action = REPORT_FAILED,
			.cause = REPORT_OPERATOR,
			.status = status_code,
			.reply = buf_span(&d->replies[i]),
			.attempt_ms = u->rcpts[i].attempt_ms,
		};
	}
	if (count > 0)
		err = report_make(d->walk->spool, config, u, rcpts, count, now_ms,
			       &d->report);
	free(rcpts);
	return err;
}

/* One unit leaves.  MX_ENOENT: it has left already. */
static enum mx_err depart(struct walk *w, uint64_t id, struct span domain)
{
	int64_t now_ms = clock_wall_ms();
	struct unit *unit;
	struct departure *d;
	enum mx_err err = spool_unit_load(w->spool, id, domain, &unit);

	if (err != MX_OK)
		return err;
	d = departure_new(w, unit);
	err = make_report(d, now_ms);
	if (err != MX_OK) {
		departure_free(d);
		return err;
	}
	if (d->report.draft != NULL)
		d->report_id = spool_draft_id(d->report.draft);
	walk_begin(w);
	spool_settle(w->spool, id, unit->domain, d->set, unit->rcpt_count,
		     now_ms, 0, d->report.draft != NULL ? &d->report : NULL,
		     on_settled, d);
	return MX_OK;
}

static void bounce_unit(struct walk *w, const struct unit *u)
{
	struct drain *drain = w->request->control->opt.drain;
	uint64_t id = u->envelope.id;
	enum mx_err err;

	if (w->err != MX_OK)
		return;
	if (!drain_claim(drain, id, u->domain)) {
		w->under_way++;
		return;
	}
	err = depart(w, id, u->domain);
	if (err == MX_OK)
		return;
	drain_let_go(drain, id, u->domain, err != MX_ENOENT);
	if (err != MX_ENOENT)
		w->err = err;
}

/* What was in hand may be back by now. */
static bool again(struct walk *w)
{
	int64_t now = clock_mono_ms();

	if (w->patience_ms == 0)
		w->patience_ms = now + PATIENCE_MS;
	if (w->under_way == 0 || now >= w->patience_ms)
		return false;
	w->under_way = 0;
	return true;
}

static void end(struct walk *w)
{
	struct request *r = w->request;

	surgery_log_order(r, w->done);
	request_done(r, walk_answer(w));
}

static const struct walk_ops ops = {
	.units_per_step = UNITS_PER_STEP,
	.unit = bounce_unit,
	.again = again,
	.end = end,
};

static void bounce(struct request *r)
{
	walk_start(r, &ops, false);
}

void bounce_run(struct request *r)
{
	select_check(r, bounce);
}
