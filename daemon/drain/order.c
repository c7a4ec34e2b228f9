/*
 * A unit is given up at the operator's word.
 *
 *   order --being delivered, or about to be recorded--> waits for the end of
 * that
 *      \--> what is left of it is reported, and gone <-----------/
 *
 * The unit is in flight meanwhile, so that nobody delivers it.  It waits for no
 * other of its message, and if it cannot be recorded the order has failed.
 */
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/give_up.h"
#include "daemon/drain/order.h"
#include "daemon/drain/parked.h"

static void say_ordered(const struct attempt *a)
{
	const struct unit *u = a->job->unit;

	for (size_t i = 0; i < u->rcpt_count; i++) {
		uint64_t report = give_up_report_of(a, i);

		log_info(EV_BOUNCED, LOG_ID("mid", u->envelope.id),
			 LOG_PATH("to", u->rcpts[i].path),
			 LOG_PATH("from", u->envelope.from),
			 LOG_STR("by", "operator"),
			 LOG_INT("uid", a->order->by.uid),
			 LOG_STR("claimed_uid", a->order->by.claimed_uid),
			 LOG_ID("report", report),
			 LOG_STR("report", report == 0 ? "none" : ""),
			 LOG_SPAN("reply", a->job->set[i].reply));
	}
}

/* What the sender is told: our word, and what the primary said last. */
static struct span ordered_reply(struct unit *u, const struct recipient *rcpt)
{
	struct buf text = { 0 };
	struct span reply;

	buf_adds(&text, "returned by the operator of this mail server");
	if (rcpt->last_reply.n > 0) {
		buf_adds(&text, "; the last answer");
		if (rcpt->last_host.n > 0)
			buf_addf(&text, " of %.*s", SPAN_ARG(rcpt->last_host));
		buf_addf(&text, " was: %.*s", SPAN_ARG(rcpt->last_reply));
	}
	reply = arena_span(&u->arena, buf_span(&text));
	buf_fini(&text);
	return reply;
}

static enum mx_err obey(struct domain *dom, uint64_t id, struct order *o);

/* It is obeyed, or waits for what is under way. */
static enum mx_err take_order(struct domain *dom, uint64_t id, struct order *o)
{
	struct attempt *a = attempt_find(dom->drain, id, dom);

	if (a != NULL && a->question != NULL) {
		parked_cancel(a);
		a = attempt_find(dom->drain, id, dom);
	}
	if (a == NULL)
		return obey(dom, id, o);
	TAILQ_INSERT_TAIL(&a->next, o, link);
	return MX_OK;
}

/* Recipients that were held apart from the others are a unit of their own
 * once these are gone: it goes, too. */
static void on_ordered(enum mx_err err, void *arg)
{
	struct attempt *a = arg;
	struct order *o = a->order;
	struct domain *dom = a->domain;
	uint64_t id = a->key.id;

	MX_ASSERT(a->magic == ATTEMPT_MAGIC && o != NULL);
	MX_ASSERT(a->is_submitted);
	a->is_submitted = false;
	if (err == MX_OK)
		say_ordered(a);
	if (a->drain == NULL) { /* drain_free was faster */
		attempt_free(a);
		order_end(o, err);
		return;
	}
	attempt_drop(a);
	if (err == MX_OK) {
		err = take_order(dom, id, o);
		if (err == MX_OK)
			return;
		if (err == MX_ENOENT)
			err = MX_OK;
	} else if (err != MX_ENOENT) {
		domain_rewind(dom); /* it was passed over */
	}
	order_end(o, err);
}

static enum mx_err obey(struct domain *dom, uint64_t id, struct order *o)
{
	struct drain *d = dom->drain;
	int64_t now = clock_wall_ms();
	struct spool_report report;
	struct unit *u;
	struct attempt *a;
	enum mx_err err = spool_unit_load(d->spool, id, domain_name(dom), &u);

	if (err == MX_OK && u->rcpt_count == 0) { /* they are delivered */
		unit_free(&u);
		err = MX_ENOENT;
	}
	if (err != MX_OK)
		return err;
	a = attempt_new_for(dom, &u, o);
	a->job->count = a->job->unit->rcpt_count;
	a->cause = REPORT_OPERATOR;
	u = a->job->unit;
	for (size_t i = 0; i < u->rcpt_count; i++) {
		a->job->set[i].outcome = OUTCOME_PERMANENT;
		a->job->set[i].reply = ordered_reply(u, &u->rcpts[i]);
	}
	err = give_up_report(a, now, &report);
	if (err != MX_OK) {
		attempt_drop(a);
		return err;
	}
	a->is_concluding = a->is_submitted = true;
	spool_settle(d->spool, id, u->domain, a->job->set, u->rcpt_count, now,
		     0, report.draft != NULL ? &report : NULL, on_ordered, a);
	return MX_OK;
}

/* What was under way has ended, and left what it left. */
static void on_dropped(struct domain *dom, uint64_t id,
		       struct order_list *orders)
{
	struct order *o;

	while ((o = TAILQ_FIRST(orders)) != NULL) {
		enum mx_err err;

		TAILQ_REMOVE(orders, o, link);
		err = dom->drain->is_stopping ? MX_ESTOP
					      : take_order(dom, id, o);
		if (err != MX_OK)
			order_end(o, err);
	}
}

void order_start(struct drain *d)
{
	d->on_dropped = on_dropped;
}

static bool has_order(struct drain *d, uint64_t id, const struct domain *dom)
{
	const struct attempt *a = attempt_find(d, id, dom);

	return a != NULL && (a->order != NULL || !TAILQ_EMPTY(&a->next));
}

enum mx_err drain_give_up(struct drain *d, uint64_t id, struct span name,
			  const struct drain_order *by, drain_given_up_cb *cb,
			  void *arg)
{
	struct domain *dom = domain_need(d, name);
	struct order *o;
	enum mx_err err;

	if (has_order(d, id, dom))
		return MX_EBUSY;
	o = mx_alloc(sizeof(*o));
	*o = (struct order){ .by = *by, .cb = cb, .arg = arg };
	err = take_order(dom, id, o);
	if (err != MX_OK)
		free(o);
	return err;
}
