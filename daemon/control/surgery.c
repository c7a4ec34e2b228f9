/*
 * The verbs hold, release and remove.
 *
 * A hold of a domain, a pattern or a destination is one row in the spool, and
 * is durable at once; the walk behind it says in the log which units it is
 * about.  Holds of single messages are another thing, and stay when such a
 * hold ends, unless all is asked for.
 */
#include "daemon/control/walk.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/spool/scope.h"
#include "config/allow/domains.h"

enum { UNITS_PER_STEP = 256 };

/* ---- The log ---- */

/* A line for one unit: what was done to it, and who asked. */
static void log_unit(const struct request *r, enum log_event event, uint64_t id,
		     struct span domain, struct span to, const char *note)
{
	log_info(event, LOG_STR("by", "operator"), LOG_INT("uid", r->uid),
		 LOG_STR("claimed_uid", r->claimed_uid), LOG_ID("mid", id),
		 LOG_SPAN("domain", domain), LOG_SPAN("to", to),
		 LOG_SPAN("reason", buf_span(&r->reason)),
		 LOG_STR("note", note));
}

void surgery_log_order(const struct request *r, uint64_t units)
{
	if (r->scope == SCOPE_ID)
		return;
	log_info(EV_CONTROL, LOG_STR("by", "operator"), LOG_INT("uid", r->uid),
		 LOG_STR("claimed_uid", r->claimed_uid),
		 LOG_STR("verb", r->verb), LOG_SPAN("domain", r->sel.domain),
		 LOG_SPAN("destination", r->destination),
		 LOG_SPAN("reason", buf_span(&r->reason)),
		 LOG_INT("units", units));
}

/* ---- One unit, one request of the spool ---- */

struct deed {
	struct walk *walk;
	enum log_event event;
	uint64_t id;
	char domain[256];
	struct buf to;
	bool is_under_way;
};

static void on_done(enum mx_err err, uint64_t units, void *arg)
{
	struct deed *d = arg;
	struct walk *w = d->walk;

	(void)units;
	if (err == MX_OK) {
		w->done++;
		w->under_way += d->is_under_way;
		log_unit(w->request, d->event, d->id, span_str(d->domain),
			    buf_span(&d->to),
			    d->is_under_way ? "it is being delivered at this "
					      "moment"
					    : "");
	}
	buf_fini(&d->to);
	free(d);
	walk_end(w, err);
}

static struct deed *deed_new(struct walk *w, enum log_event event,
			     const struct unit *u)
{
	struct deed *d = mx_alloc(sizeof(*d));
	size_t n = u->domain.n;

	MX_ASSERT(n < sizeof(d->domain)); /* a key of the spool */
	d->walk = w;
	d->event = event;
	d->id = u->envelope.id;
	memcpy(d->domain, u->domain.p, n);
	unit_list_rcpts(u, &d->to);
	d->is_under_way = event != EV_RELEASED &&
			  drain_is_in_flight(w->request->control->opt.drain,
					     d->id, u->domain);
	walk_begin(w);
	return d;
}

static struct spool_selection unit_of(const struct deed *d)
{
	return (struct spool_selection){ d->id, span_str(d->domain) };
}

/* Nothing is to be done for it any more: only its line is due. */
static void tell(struct walk *w, enum log_event event, const struct unit *u)
{
	struct buf to = { 0 };

	unit_list_rcpts(u, &to);
	log_unit(w->request, event, u->envelope.id, u->domain, buf_span(&to),
		    "");
	buf_fini(&to);
	w->done++;
}

static void end(struct walk *w)
{
	surgery_log_order(w->request, w->done);
	request_done(w->request, walk_answer(w));
}

/* ---- remove ---- */

static void remove_unit(struct walk *w, const struct unit *u)
{
	struct deed *d = deed_new(w, EV_REMOVED, u);

	spool_remove(w->spool, unit_of(d), on_done, d);
}

static const struct walk_ops remove_ops = {
	.units_per_step = UNITS_PER_STEP,
	.unit = remove_unit,
	.end = end,
};

static void remove_known(struct request *r)
{
	walk_start(r, &remove_ops, false);
}

void remove_run(struct request *r)
{
	select_check(r, remove_known);
}

/* ---- hold ---- */

static void hold_unit(struct walk *w, const struct unit *u)
{
	struct deed *d;

	if (w->request->scope != SCOPE_ID) {
		w->under_way +=
			drain_is_in_flight(w->request->control->opt.drain,
					   u->envelope.id, u->domain);
		tell(w, EV_HELD, u);
		return;
	}
	d = deed_new(w, EV_HELD, u);
	spool_hold(w->spool, unit_of(d), buf_span(&w->request->reason), on_done,
		   d);
}

static const struct walk_ops hold_ops = {
	.units_per_step = UNITS_PER_STEP,
	.unit = hold_unit,
	.end = end,
};

/* A domain's units are counted: the operator need not wait until each has its
 * line. */
static void answer_hold(struct request *r, uint64_t units)
{
	size_t under_way =
		drain_in_flight(r->control->opt.drain, r->sel.domain);
	json_t *answer =
		json_pack("{s:b, s:I}", "ok", 1, "count", (json_int_t)units);

	if (under_way > 0)
		json_object_set_new(answer, "under_way",
				    json_integer((json_int_t)under_way));
	request_answer(r, answer);
}

/* The spool has done it, and the server is there still; else it is over. */
static bool goes_on(struct request *r, enum mx_err err)
{
	if (err == MX_OK && r->control != NULL)
		return true;
	if (err != MX_OK)
		request_fail_err(r, err); /* r may be gone */
	else
		request_drop(r);
	return false;
}

static void on_held(enum mx_err err, uint64_t units, void *arg)
{
	struct request *r = arg;

	if (!goes_on(r, err))
		return;
	if (r->scope == SCOPE_DESTINATION)
		drain_destination_changed(r->control->opt.drain,
					  r->destination);
	if (r->scope == SCOPE_DOMAIN)
		answer_hold(r, units);
	walk_start(r, &hold_ops, true);
}

static void hold_known(struct request *r)
{
	struct spool_selection row = { .domain = span_str(r->name) };

	if (r->scope == SCOPE_ID) {
		walk_start(r, &hold_ops, false);
		return;
	}
	if (r->reason.n == 0)
		buf_adds(&r->reason, "held by the operator");
	spool_hold(r->control->opt.spool, row, buf_span(&r->reason), on_held,
		   r);
}

void hold_run(struct request *r)
{
	select_check(r, hold_known);
}

/* ---- release ---- */

/* A hold over the domain ended: its units go, but not those of a domain that
 * is held itself. */
static bool release_domain(struct walk *w, const struct spool_domain *row)
{
	struct request *r = w->request;

	if (r->scope != SCOPE_ID)
		r->was_braked |= drain_release(r->control->opt.drain,
					       span_str(row->name));
	if (w->request->scope == SCOPE_DOMAIN || !w->was_held || !row->is_held)
		return true;
	walk_keep(w, row->units, 0, row, span_str(row->name));
	return false;
}

static void on_resumed(enum mx_err err, uint64_t units, void *arg)
{
	(void)units;
	walk_end(arg, err);
}

/* Each was told of, and may go. */
static void resume_domain(struct walk *w)
{
	if (w->request->scope != SCOPE_PATTERN || !w->was_held)
		return;
	walk_begin(w);
	spool_release(w->spool,
		      (struct spool_selection){ .domain = span_str(w->domain) },
		      on_resumed, w);
}

/* Those that failed: held for that, refused, shelved. */
static bool has_failed_rcpt(const struct unit *u)
{
	for (size_t i = 0; i < u->rcpt_count; i++)
		if (u->rcpts[i].state != RECIPIENT_PENDING &&
		    u->rcpts[i].state != RECIPIENT_TAKEN)
			return true;
	return false;
}

/* By the operator: what failed is not his, unless he said why. */
static bool is_held_by_hand(const struct unit *u)
{
	if (!u->is_held_alone)
		return false;
	for (size_t i = 0; i < u->rcpt_count; i++)
		if (u->rcpts[i].state != RECIPIENT_HELD)
			return true;
	return u->hold_reason.n > 0;
}

/* It is held by its domain, or by what is above that. */
static void keep_with_domain(struct walk *w, const struct unit *u)
{
	struct spool_domain row;
	if (spool_domain_get(w->spool, u->domain, &row) == MX_OK && row.is_held)
		walk_keep(w, 1, 0, &row, u->domain);
}

static void release_unit(struct walk *w, const struct unit *u)
{
	const struct request *r = w->request;
	bool by_id = r->scope == SCOPE_ID;
	bool is_stuck = u->is_held_alone || has_failed_rcpt(u);
	bool is_wanted = by_id || r->all;
	struct deed *d;

	if (is_held_by_hand(u) && !is_wanted) {
		walk_keep(w, 1, u->envelope.id, NULL, u->domain);
	} else if (is_stuck || (by_id && u->state == UNIT_DEFERRED)) {
		d = deed_new(w, EV_RELEASED, u);
		spool_release(w->spool, unit_of(d), on_done, d);
		keep_with_domain(w, u);
	} else if (u->state == UNIT_DEFERRED) {
		d = deed_new(w, EV_RELEASED, u);
		spool_flush(w->spool, unit_of(d), on_done, d);
	} else if (u->state == UNIT_HELD) {
		keep_with_domain(w, u);
	} else if (w->was_held || r->was_braked) {
		tell(w, EV_RELEASED, u);
	}
}

static void end_release(struct walk *w)
{
	json_t *answer = walk_answer(w);

	json_object_set_new(answer, "was_held", json_boolean(w->was_held));
	json_object_set_new(answer, "was_braked",
			    json_boolean(w->request->was_braked));
	surgery_log_order(w->request, w->done);
	request_done(w->request, answer);
}

static const struct walk_ops release_ops = {
	.units_per_step = UNITS_PER_STEP,
	.domain = release_domain,
	.unit = release_unit,
	.left = resume_domain,
	.end = end_release,
};

/* The first step is done before anything can be delivered: of most domains it
 * tells of all units. */
static void on_released(enum mx_err err, uint64_t units, void *arg)
{
	struct request *r = arg;
	struct drain *drain;
	char name[sizeof(r->name)] = "";

	(void)units;
	if (!goes_on(r, err))
		return;
	drain = r->control->opt.drain;
	snprintf(name, sizeof(name), "%.*s", SPAN_ARG(r->destination));
	walk_start(r, &release_ops, true);
	if (name[0] != '\0')
		drain_destination_changed(drain, span_str(name));
}

static void release_known(struct request *r)
{
	if (r->scope == SCOPE_DESTINATION && !r->all)
		request_fail(r, "no hold of a destination has this name");
	else
		walk_start(r, &release_ops, false);
}

static void refuse_under_pattern(struct request *r, const char *pattern)
{
	struct buf text = { 0 };

	buf_addf(&text, "it is held with all of %s: release that", pattern);
	request_fail(r, buf_cstr(&text));
	buf_fini(&text);
}

void release_run(struct request *r)
{
	struct spool_selection name = { .domain = span_str(r->name) };
	struct spool_domain row = { 0 };
	struct spool *sp = r->control->opt.spool;

	if (r->scope == SCOPE_ID) {
		walk_start(r, &release_ops, false);
		return;
	}
	if (r->scope == SCOPE_DOMAIN) /* it may have no mail */
		r->was_braked = drain_release(r->control->opt.drain,
					      r->sel.domain);
	if (spool_domain_get(sp, name.domain, &row) != MX_OK)
		row.is_held = false;
	if (row.is_held && row.hold_pattern[0] != '\0') {
		refuse_under_pattern(r, row.hold_pattern);
		return;
	}
	if (row.is_held) {
		spool_release(sp, name, on_released, r);
		return;
	}
	select_check(r, release_known);
}
