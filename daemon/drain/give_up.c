#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "daemon/drain/conclude.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/give_up.h"

/* ---- The end of a lifetime ---- */

/* RFC 3463: when we would get it ourselves that is 4.4.6. */
static struct span why_no_route(const struct domain *dom, struct unit *u)
{
	const struct route *r = dom->route;
	struct buf text = { 0 };
	struct span reply;

	buf_adds(&text,
		 r->result == ROUTE_SELF ? "(route) 4.4.6 " : "(route) ");
	buf_add(&text, r->reason);
	reply = arena_span(&u->arena, buf_span(&text));
	buf_fini(&text);
	return reply;
}

/* What was last heard of its primary. */
struct span give_up_reason(struct drain *d, struct unit *u)
{
	const struct domain *dom = domain_find(d, u->domain);

	if (dom != NULL && dom->dest == NULL && dom->route != NULL)
		return why_no_route(dom, u);
	if (dom == NULL || dom->dest == NULL ||
	    dom->dest->last_reply[0] == '\0')
		return SPAN_LIT("(lifetime) Delivery time expired");
	return arena_span(&u->arena, span_str(dom->dest->last_reply));
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

void give_up_expired(struct domain *dom, struct unit **unit)
{
	struct unit *u = *unit;
	struct span reply = give_up_reason(dom->drain, u);
	struct attempt *a;

	for (size_t i = 0; i < u->rcpt_count; i++)
		if (u->rcpts[i].last_reply.n == 0)
			u->rcpts[i].last_reply = reply;
	a = attempt_new(dom, unit);
	a->cause = REPORT_EXPIRED;
	a->status = final_status(reply);
	conclude_with(a, OUTCOME_PERMANENT, span_of(NULL, 0));
}

/*
 * ---- At the operator's word ----
 *
 * The unit is in flight meanwhile, so that nobody delivers it.  It waits for no
 * other of its message, and if it cannot be recorded the order has failed.
 */

struct order {
	struct drain_order by;
	drain_given_up_cb *cb;
	void *arg;
};

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

static void end_order(struct order *o, enum mx_err err)
{
	o->cb(err, o->arg);
	free(o);
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
		end_order(o, err);
		return;
	}
	attempt_drop(a);
	if (err == MX_OK) {
		err = obey(dom, id, o);
		if (err == MX_OK)
			return;
		if (err == MX_ENOENT)
			err = MX_OK;
	} else if (err != MX_ENOENT) {
		domain_rewind(dom); /* it was passed over */
	}
	end_order(o, err);
}

static enum mx_err obey(struct domain *dom, uint64_t id, struct order *o)
{
	struct drain *d = dom->drain;
	int64_t now = clock_wall_ms();
	struct spool_report report;
	struct unit *u;
	struct attempt *a;
	enum mx_err err = spool_unit_load(d->spool, id, domain_name(dom), &u);

	if (err != MX_OK)
		return err;
	a = attempt_new_for(dom, &u, o);
	a->cause = REPORT_OPERATOR;
	a->status = "5.0.0";
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

enum mx_err drain_give_up(struct drain *d, uint64_t id, struct span name,
			  const struct drain_order *by, drain_given_up_cb *cb,
			  void *arg)
{
	struct domain *dom = domain_need(d, name);
	struct order *o;
	enum mx_err err;

	if (attempt_has(d, id, dom))
		return MX_EBUSY;
	o = mx_alloc(sizeof(*o));
	*o = (struct order){ *by, cb, arg };
	err = obey(dom, id, o);
	if (err != MX_OK)
		free(o);
	return err;
}
