/* The verb flush: deferred mail is ready again, and its destinations are
 * probed now. */
#include "daemon/control/walk.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/alloc.h"

enum { UNITS_PER_STEP = 256 };

/* later than any retry, and far from overflow */
static const int64_t any_time_ms = INT64_MAX / 2;

static void answer(struct request *r, uint64_t waiting)
{
	surgery_log_order(r, waiting);
	request_done(r, json_pack("{s:b, s:I}", "ok", 1, "count",
				  (json_int_t)waiting));
}

static void flush_all(struct request *r)
{
	const struct control_options *opt = &r->control->opt;
	struct spool_totals totals = { 0 };

	spool_requeue_due(opt->spool, any_time_ms);
	router_forget_found(opt->router);
	drain_flush(opt->drain, SPAN_LIT(""));
	(void)spool_totals(opt->spool, &totals);
	answer(r, totals.messages);
}

/* What was asked of the spool for one domain, or one unit of it. */
struct flushed {
	struct walk *walk;
	char domain[256];
};

/* It is ready again: now the destination. */
static void on_flushed(enum mx_err err, uint64_t units, void *arg)
{
	struct flushed *f = arg;
	struct walk *w = f->walk;
	const struct request *r = w->request;

	(void)units;
	if (err == MX_OK && r->scope != SCOPE_DESTINATION &&
	    !walk_is_stopped(w)) {
		router_forget_found(r->control->opt.router);
		drain_flush(r->control->opt.drain, span_str(f->domain));
	}
	free(f);
	walk_end(w, err);
}

static void flush(struct walk *w, uint64_t id, struct span domain)
{
	struct flushed *f = mx_alloc(sizeof(*f));

	f->walk = w;
	snprintf(f->domain, sizeof(f->domain), "%.*s", SPAN_ARG(domain));
	walk_begin(w);
	spool_flush(w->spool, (struct spool_selection){ id, domain },
		    on_flushed, f);
}

/* Is its destination held, or the brake pulled? */
static bool is_stopped(const struct walk *w, struct span domain)
{
	struct status_destination st;

	return drain_status(w->request->control->opt.drain, domain, &st) &&
	       (st.hold_name != NULL || st.braked != NULL);
}

static void flush_unit(struct walk *w, const struct unit *u)
{
	struct spool_domain row;

	if (spool_domain_get(w->spool, u->domain, &row) != MX_OK)
		return; /* it is gone */
	if (u->state == UNIT_HELD || is_stopped(w, u->domain)) {
		walk_keep(w, 1, u->is_held_alone ? u->envelope.id : 0, &row,
			  u->domain);
		return;
	}
	if (u->state == UNIT_REFUSED) /* a word about it is no reason to try */
		return;
	w->done++;
	flush(w, u->envelope.id, u->domain);
}

static bool flush_domain(struct walk *w, const struct spool_domain *row)
{
	struct span name = span_str(row->name);

	if (row->is_held || is_stopped(w, name)) {
		walk_keep(w, row->units, 0, row, name);
		return false;
	}
	walk_keep(w, row->held, 0, NULL, name);
	w->done += row->ready + row->deferred;
	flush(w, 0, name);
	return false; /* its units need no look */
}

static void end(struct walk *w)
{
	struct request *r = w->request;

	if (r->scope == SCOPE_DESTINATION && !walk_is_stopped(w))
		drain_flush_destination(r->control->opt.drain, r->destination);
	surgery_log_order(r, w->done);
	request_done(r, walk_answer(w));
}

static const struct walk_ops flush_ops = {
	.units_per_step = UNITS_PER_STEP,
	.domain = flush_domain,
	.unit = flush_unit,
	.end = end,
};

static void flush_known(struct request *r)
{
	if (r->scope == SCOPE_ALL)
		flush_all(r);
	else
		walk_start(r, &flush_ops, false);
}

void flush_run(struct request *r)
{
	select_check(r, flush_known);
}
