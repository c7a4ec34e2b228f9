#include "common/spool/counters.h"
#include "common/spool/queue.h"
#include "common/spool/scope.h"
#include "common/spool/touch.h"
#include "common/spool/unit.h"
#include "common/spool/walk.h"

/*
 * Queue surgery.  A domain may have a million units: all but holding it works
 * in steps (walk.h), and mail that arrives meanwhile is not touched.
 */

struct operation;

struct verb {
	unsigned where; /* which units of a domain: those in these tables */
	/* before the first unit of a domain, NULL: nothing */
	enum mx_err (*domain)(struct batch *b, struct operation *o);
	/* one unit of a domain, and one asked for by its id; each adds to
	 * r->count when it changed something */
	walk_fn *of_domain, *unit;
};

struct operation {
	struct request req; /* pos: the last id done, count: units changed */
	const struct verb *verb;
	struct span domain, reason;
	uint64_t until_id; /* ids above it came later */
};

/* ---- what is done to one unit ---- */

static enum mx_err make_ready(struct batch *b, struct request *r,
			      struct found *u)
{
	enum mx_err err = unit_move(b, u, UNIT_READY, 0);

	r->count += err == MX_OK;
	return err;
}

/* Held already: it may be for another reason now. */
static enum mx_err hold_unit(struct batch *b, struct request *r,
			     struct found *u)
{
	const struct operation *o = CONTAINER_OF(r, struct operation, req);
	struct ends ends;
	enum mx_err err = MX_OK;

	if (u->state != UNIT_HELD) {
		err = unit_ends(b, u, &ends);
		if (err == MX_OK)
			err = unit_expiry_del(b, u, &ends);
		if (err == MX_OK)
			err = unit_move(b, u, UNIT_HELD, 0);
		r->count += err == MX_OK;
	}
	return err == MX_OK ? unit_hold_reason(b, u, o->reason) : err;
}

struct freeing {
	size_t freed, pending;
};

/* Those that failed are pending again, and due; of those that were taken the
 * time is put back, which may have been struck off. */
static enum keep set_free(struct recipient_row *row, void *arg)
{
	struct freeing *f = arg;

	if (row->r.state == RECIPIENT_TAKEN)
		return KEEP_CHANGED;
	f->pending++;
	if (row->r.state == RECIPIENT_PENDING)
		return KEEP_AS_IT_IS;
	f->freed++;
	if (recipient_is_parked(&row->r))
		row->r.attempt_ms = 0;
	row->r.state = RECIPIENT_PENDING;
	return KEEP_CHANGED;
}

/* The lifetime counts again. */
static enum mx_err release_unit(struct batch *b, struct request *r,
				struct found *u)
{
	struct freeing f = { 0 };
	struct ends ends;
	enum mx_err err = unit_recipients(b, u, set_free, &f, &ends);

	if (err == MX_OK && f.pending == 0)
		return unit_move(b, u, UNIT_REFUSED, 0);
	ends.warn_ms = 0;
	if (err == MX_OK)
		err = unit_expiry_put(b, u, &ends);
	if (err != MX_OK || (u->state == UNIT_READY && f.freed == 0))
		return err;
	err = make_ready(b, r, u);
	if (err == MX_OK) /* also of one that was, without them */
		counters_announce(b, u->domain);
	return err;
}

static enum mx_err flush_unit(struct batch *b, struct request *r,
			      struct found *u)
{
	return u->state == UNIT_DEFERRED ? make_ready(b, r, u) : MX_OK;
}

static enum keep count_failed(struct recipient_row *row, void *arg)
{
	struct freeing *f = arg;

	f->freed += row->r.state != RECIPIENT_PENDING &&
		    row->r.state != RECIPIENT_TAKEN;
	f->pending += row->r.state != RECIPIENT_HELD;
	return KEEP_AS_IT_IS;
}

/*
 * The hold of its domain is over, not its own.  While that lasted, the end of
 * its lifetime may have been struck off.  Who failed has another chance; a unit
 * of which all did is held for that, and not by the operator.
 */
static enum mx_err resume_unit(struct batch *b, struct request *r,
			       struct found *u)
{
	struct freeing f = { 0 };
	struct ends ends = { 0 };
	enum mx_err err = unit_recipients(b, u, count_failed, &f, &ends);

	if (err != MX_OK ||
	    (u->state == UNIT_HELD && (f.pending > 0 || u->reason.n > 0)))
		return err;
	if (f.freed > 0 || u->state == UNIT_REFUSED)
		return release_unit(b, r, u);
	ends.warn_ms = 0;
	err = unit_expiry_put(b, u, &ends);
	return err == MX_OK ? flush_unit(b, r, u) : err;
}

static enum mx_err remove_unit(struct batch *b, struct request *r,
			       struct found *u)
{
	enum mx_err err = unit_remove(b, u);

	r->count += err == MX_OK;
	return err;
}

/* ---- what is done to a domain ---- */

static enum mx_err hold_domain(struct batch *b, struct operation *o)
{
	struct domain_row *row;
	size_t n = o->reason.n;
	enum mx_err err = counters_get(b, o->domain, &row);

	if (err != MX_OK)
		return err;
	if (n >= sizeof(row->d.hold_reason))
		n = sizeof(row->d.hold_reason) - 1;
	touch_hold(b, o->domain);
	row->d.is_held = true;
	memcpy(row->d.hold_reason, o->reason.p, n);
	row->d.hold_reason[n] = '\0';
	o->req.count = row->d.units;
	return MX_OK;
}

static enum mx_err release_domain(struct batch *b, struct operation *o)
{
	struct domain_row *row;
	enum mx_err err = counters_get(b, o->domain, &row);

	if (err != MX_OK)
		return err;
	if (row->d.ready > 0) /* they may have been held by a pattern */
		counters_announce(b, o->domain);
	if (!row->d.is_held)
		return MX_OK;
	touch_hold(b, o->domain);
	row->d.is_held = false;
	row->d.hold_reason[0] = '\0';
	o->req.count += row->d.ready; /* the others are counted as they move */
	return MX_OK;
}

/* clang-format off */
static const struct verb hold =
	{ 0,         hold_domain,    hold_unit,   hold_unit };
static const struct verb release =
	{ IN_BOTH,   release_domain, resume_unit, release_unit };
static const struct verb flush =
	{ IN_PARKED, NULL,           flush_unit,  flush_unit };
static const struct verb removal =
	{ IN_BOTH,   NULL,           remove_unit, remove_unit };
/* clang-format on */

/* ---- the walk ---- */

static enum mx_err run_domain(struct batch *b, struct operation *o)
{
	struct request *r = &o->req;
	enum mx_err err = MX_OK;

	if (r->pos == 0 && o->verb->domain != NULL)
		err = o->verb->domain(b, o);
	if (err != MX_OK || o->verb->where == 0)
		return err;
	return walk_domain(b, r, o->verb->where, o->domain, o->until_id,
			   o->verb->of_domain);
}

static enum mx_err run_message(struct batch *b, struct operation *o)
{
	size_t n;
	enum mx_err err =
		walk_message(b, &o->req, o->req.id, o->verb->unit, &n);

	if (err == MX_OK && n == 0)
		o->req.err = MX_ENOENT;
	return err;
}

static enum mx_err apply_operation(struct batch *b, struct request *r)
{
	struct operation *o = CONTAINER_OF(r, struct operation, req);
	struct found u;
	enum mx_err err;

	if (r->id == 0)
		return run_domain(b, o);
	if (o->domain.n == 0)
		return run_message(b, o);
	err = find_unit(b->sp, b->txn, r->id, o->domain, &u);
	if (err == MX_ENOENT) { /* an order or a delivery before had it */
		r->err = err;
		return MX_OK;
	}
	return err == MX_OK ? o->verb->unit(b, r, &u) : err;
}

static const struct request_ops operation_ops = {
	.name = "operation",
	.order = ORDER_BARRIER,
	.apply = apply_operation,
	.finish = request_finish,
};

static void operate(struct spool *sp, const struct verb *verb,
		    struct spool_selection sel, struct span reason,
		    spool_count_cb *cb, void *arg)
{
	struct span texts[] = { sel.domain, reason };
	struct operation *o =
		request_new(&operation_ops, sizeof(*o), texts, COUNT(texts));

	o->req.id = sel.id;
	o->req.cb = cb;
	o->req.arg = arg;
	o->verb = verb;
	o->domain = texts[0];
	o->reason = texts[1];
	o->until_id = atomic_load(&sp->last_id);
	if (key_domain_is_valid(sel.domain)) {
		queue_push(sp, &o->req);
		return;
	}
	o->req.err = MX_EINVAL;
	queue_answer(sp, &o->req);
}

void spool_hold(struct spool *sp, struct spool_selection sel,
		struct span reason, spool_count_cb *cb, void *arg)
{
	if (scope_is_pattern(sel.domain))
		atomic_store(&sp->has_patterns, true);
	operate(sp, &hold, sel, reason, cb, arg);
}

void spool_release(struct spool *sp, struct spool_selection sel,
		   spool_count_cb *cb, void *arg)
{
	operate(sp, &release, sel, SPAN_LIT(""), cb, arg);
}

void spool_flush(struct spool *sp, struct spool_selection sel,
		 spool_count_cb *cb, void *arg)
{
	operate(sp, &flush, sel, SPAN_LIT(""), cb, arg);
}

void spool_remove(struct spool *sp, struct spool_selection sel,
		  spool_count_cb *cb, void *arg)
{
	operate(sp, &removal, sel, SPAN_LIT(""), cb, arg);
}
