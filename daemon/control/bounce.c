/*
 * The verb bounce: mail goes back to its senders at the operator's word.
 *
 * In steps of a few units, so that a domain with a million messages stalls
 * nobody: look up some units, make their reports, settle them, and when the
 * last of these is durable take the next ones.  The order goes on when the
 * operator hangs up.
 */
#include "daemon/control/server.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "daemon/dsn/dsn.h"

enum { UNITS_PER_STEP = 16 };

static const struct span status_code = { "5.0.0", 5 };

struct bounce {
	struct request *request;
	struct spool *spool;
	uint64_t after; /* the last message that was looked at */
	uint64_t ids[UNITS_PER_STEP];
	char domains[UNITS_PER_STEP][256];
	size_t found;
	size_t unsettled; /* of this step */
	uint64_t done;
	uint64_t steps, done_before; /* is there progress? */
	enum mx_err err;	     /* the first failure: no further step */
};

/* A unit on its way out. */
struct departure {
	struct bounce *bounce;
	struct unit *unit;
	struct settlement *set;
	struct buf *replies;
	struct spool_report report;
};

static void step(struct bounce *b);
static enum mx_err depart(struct bounce *b, uint64_t id, struct span domain);

static void finish(struct bounce *b)
{
	struct request *r = b->request;

	if (b->err == MX_OK)
		request_done(r, json_pack("{s:b, s:I}", "ok", 1, "count",
					  (json_int_t)b->done));
	else
		request_done(r, json_pack("{s:b, s:I, s:s}", "ok", 0, "count",
					  (json_int_t)b->done, "error",
					  mx_strerror(b->err)));
	free(b);
}

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

	for (size_t i = 0; i < u->rcpt_count; i++)
		log_info(EV_BOUNCED, LOG_ID("mid", u->envelope.id),
			 LOG_PATH("to", u->rcpts[i].path),
			 LOG_STR("by", "operator"),
			 LOG_SPAN("reply", buf_span(&d->replies[i])));
}

/* Recipients that were held apart from the others are a unit of their own
 * once these are gone: it goes, too. */
static void on_settled(enum mx_err err, void *arg)
{
	struct departure *d = arg;
	struct bounce *b = d->bounce;

	if (err == MX_OK) {
		log_departure(d);
		err = b->request->control != NULL
			      ? depart(b, d->unit->envelope.id, d->unit->domain)
			      : MX_ENOENT;
		b->done += err != MX_OK;
	}
	if (err != MX_OK && err != MX_ENOENT && b->err == MX_OK)
		b->err = err; /* ENOENT: all gone, and that is the aim */
	departure_free(d);
	if (--b->unsettled == 0)
		step(b);
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

static struct departure *departure_new(struct bounce *b, struct unit *unit)
{
	struct departure *d = mx_alloc(sizeof(*d));

	d->bounce = b;
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
	const struct config *config = d->bounce->request->control->opt.config;
	struct unit *u = d->unit;
	struct dsn_rcpt *rcpts = mx_alloc_array(u->rcpt_count, sizeof(*rcpts));
	size_t count = 0;
	enum mx_err err = MX_OK;

	for (size_t i = 0; i < u->rcpt_count; i++) {
		if (!dsn_is_due(&u->envelope, &u->rcpts[i], DSN_FAILED))
			continue;
		rcpts[count++] = (struct dsn_rcpt){
			.rcpt = &u->rcpts[i],
			.action = DSN_FAILED,
			.cause = DSN_OPERATOR,
			.status = status_code,
			.reply = buf_span(&d->replies[i]),
			.attempt_ms = u->rcpts[i].attempt_ms,
		};
	}
	if (count > 0)
		err = dsn_make(d->bounce->spool, config, u, rcpts, count,
			       now_ms, &d->report);
	free(rcpts);
	return err;
}

/* One unit leaves.  MX_ENOENT: it has left already. */
static enum mx_err depart(struct bounce *b, uint64_t id, struct span domain)
{
	int64_t now_ms = clock_wall_ms();
	struct unit *unit;
	struct departure *d;
	enum mx_err err = spool_unit_load(b->spool, id, domain, &unit);

	if (err != MX_OK)
		return err;
	d = departure_new(b, unit);
	err = make_report(d, now_ms);
	if (err != MX_OK) {
		departure_free(d);
		return err;
	}
	b->unsettled++;
	spool_settle(b->spool, id, unit->domain, d->set, unit->rcpt_count,
		     now_ms, 0, d->report.draft != NULL ? &d->report : NULL,
		     on_settled, d);
	return MX_OK;
}

static bool note_unit(const struct unit *u, void *arg)
{
	struct bounce *b = arg;
	struct span only = b->request->sel.domain;

	if (only.n > 0 && !span_eq(only, u->domain))
		return true;
	if (b->found == UNITS_PER_STEP || u->domain.n >= sizeof(b->domains[0]))
		return false;
	b->ids[b->found] = u->envelope.id;
	memcpy(b->domains[b->found], u->domain.p, u->domain.n);
	b->domains[b->found][u->domain.n] = '\0';
	b->found++;
	return true;
}

/*
 * One message has a unit for each domain: those that were settled are gone
 * when it is looked at again.  A domain's units are walked in order.
 */
static void look_up(struct bounce *b)
{
	const struct spool_selection *sel = &b->request->sel;
	enum mx_err err;

	b->found = 0;
	if (sel->id != 0)
		err = spool_message(b->spool, sel->id, note_unit, b);
	else
		err = spool_list(b->spool, sel->domain, b->after, note_unit, b);
	if (err != MX_OK && err != MX_ENOENT)
		b->err = err;
	if (b->found > 0)
		b->after = b->ids[b->found - 1];
}

/* Look up some units and send them off; how many were found. */
static size_t step_once(struct bounce *b)
{
	look_up(b);
	for (size_t i = 0; b->err == MX_OK && i < b->found; i++) {
		enum mx_err err = depart(b, b->ids[i], span_str(b->domains[i]));

		if (err != MX_ENOENT)
			b->err = err;
	}
	return b->found;
}

static void step(struct bounce *b)
{
	bool is_stuck = b->request->sel.id != 0 && b->steps > 0 &&
			b->done == b->done_before;

	b->steps++;
	b->done_before = b->done;
	if (b->request->control == NULL) /* the daemon leaves */
		b->err = MX_ESTOP;
	/* a step whose units had all gone meanwhile is no end */
	while (b->err == MX_OK && !is_stuck && b->unsettled == 0)
		if (step_once(b) == 0 || b->request->sel.id != 0)
			break;
	if (b->unsettled == 0)
		finish(b);
}

void bounce_run(struct request *r)
{
	struct bounce *b = mx_alloc(sizeof(*b));

	b->request = r;
	b->spool = r->control->opt.spool;
	step(b);
}
