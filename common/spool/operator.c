#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/spool/counters.h"
#include "common/spool/find.h"
#include "common/spool/internal.h"
#include "common/spool/queue.h"
#include "common/spool/scope.h"
#include "common/spool/unit.h"

/*
 * Queue surgery.  A domain may have a million units: all but holding it works
 * in steps, a few hundred units a transaction, along the ids; mail that
 * arrives meanwhile is not touched.
 */
enum { STEP_UNITS = 500 };

struct operation;

struct verb {
	unsigned where; /* which units of a domain: those in these tables */
	/* before the first unit of a domain, NULL: nothing */
	enum mx_err (*domain)(struct batch *b, struct operation *o);
	/* one unit of a domain, and one asked for by its id; adds to *count
	 * when it changed */
	enum mx_err (*of_domain)(struct batch *b, struct operation *o,
				 uint64_t id, struct span domain);
	enum mx_err (*unit)(struct batch *b, struct operation *o, uint64_t id,
			    struct span domain);
};

struct operation {
	struct request req; /* pos: the last id done, count: units changed */
	const struct verb *verb;
	struct span domain, reason;
	uint64_t until_id; /* ids above it came later */
	spool_count_cb *cb;
	void *arg;
};

/* ---- what is done to one unit ---- */

/* Held already: it may be for another reason now. */
static enum mx_err hold_unit(struct batch *b, struct operation *o, uint64_t id,
			     struct span domain)
{
	enum unit_state state;
	struct recipient_row row;
	int64_t due_ms;
	enum mx_err err =
		unit_state_get(b->sp, b->txn, id, domain, &state, &due_ms);

	if (err == MX_OK && state != UNIT_HELD) {
		err = unit_recipient(b->sp, b->txn, id, domain, 0, &row);
		if (err == MX_OK)
			err = unit_expiry_del(b, id, domain, row.expires_ms,
					      row.warn_ms);
		if (err == MX_OK)
			err = unit_move(b, id, domain, UNIT_HELD, 0);
		if (err == MX_OK)
			o->req.count++;
	}
	return err == MX_OK ? unit_hold_reason(b, id, domain, o->reason) : err;
}

/* Recipients that were held are pending again; the lifetime counts again. */
static enum mx_err free_recipients(struct batch *b, uint64_t id,
				   struct span domain)
{
	struct recipient_row row;
	int64_t expires_ms = 0;
	uint32_t number = 0;
	enum mx_err err;

	while ((err = unit_recipient(b->sp, b->txn, id, domain, number,
				     &row)) == MX_OK) {
		expires_ms = row.expires_ms;
		number = row.r.number + 1;
		if (row.r.is_held) {
			row.r.is_held = false;
			err = unit_recipient_put(b, id, domain, &row);
		}
		if (err != MX_OK || number == 0)
			break;
	}
	if (err != MX_OK && err != MX_ENOENT)
		return err;
	return unit_expiry_put(b, id, domain, expires_ms, 0);
}

static enum mx_err release_unit(struct batch *b, struct operation *o,
				uint64_t id, struct span domain)
{
	enum unit_state state;
	int64_t due_ms;
	enum mx_err err =
		unit_state_get(b->sp, b->txn, id, domain, &state, &due_ms);

	if (err == MX_OK)
		err = free_recipients(b, id, domain);
	if (err != MX_OK || state == UNIT_READY)
		return err;
	err = unit_move(b, id, domain, UNIT_READY, 0);
	if (err == MX_OK)
		o->req.count++;
	return err;
}

static enum mx_err flush_unit(struct batch *b, struct operation *o, uint64_t id,
			      struct span domain)
{
	enum unit_state state;
	int64_t due_ms;
	enum mx_err err =
		unit_state_get(b->sp, b->txn, id, domain, &state, &due_ms);

	if (err != MX_OK || state != UNIT_DEFERRED)
		return err;
	err = unit_move(b, id, domain, UNIT_READY, 0);
	if (err == MX_OK)
		o->req.count++;
	return err;
}

/* The hold of its domain is over, not its own.  While that lasted, the end of
 * its lifetime may have been struck off. */
static enum mx_err resume_unit(struct batch *b, struct operation *o,
			       uint64_t id, struct span domain)
{
	enum unit_state state;
	struct recipient_row row;
	int64_t due_ms;
	enum mx_err err =
		unit_state_get(b->sp, b->txn, id, domain, &state, &due_ms);

	if (err != MX_OK || state == UNIT_HELD)
		return err;
	err = unit_recipient(b->sp, b->txn, id, domain, 0, &row);
	if (err == MX_OK)
		err = unit_expiry_put(b, id, domain, row.expires_ms, 0);
	return err == MX_OK ? flush_unit(b, o, id, domain) : err;
}

static enum mx_err remove_unit(struct batch *b, struct operation *o,
			       uint64_t id, struct span domain)
{
	struct recipient_row row;
	int64_t expires_ms = 0, warn_ms = 0;
	struct key k;
	enum unit_state state;
	int64_t due_ms;
	enum mx_err err =
		unit_state_get(b->sp, b->txn, id, domain, &state, &due_ms);

	if (err != MX_OK)
		return err; /* an order or a delivery before this had it */
	while ((err = unit_recipient(b->sp, b->txn, id, domain, 0, &row)) ==
	       MX_OK) {
		expires_ms = row.expires_ms;
		warn_ms = row.warn_ms;
		key_recipient(&k, id, domain, row.r.number);
		err = table_del(batch_table(b, T_RECIPIENT), b->txn, &k);
		if (err != MX_OK)
			return err;
	}
	if (err != MX_ENOENT)
		return err;
	err = unit_drop(b, id, domain, expires_ms, warn_ms);
	if (err == MX_OK)
		o->req.count++;
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

static enum mx_err walk_domain(struct batch *b, struct operation *o)
{
	struct request *r = &o->req;
	enum mx_err err = MX_OK;

	if (r->pos == 0 && o->verb->domain != NULL)
		err = o->verb->domain(b, o);
	while (err == MX_OK && b->work < STEP_UNITS) {
		uint64_t id;

		err = unit_first(b->sp, b->txn, o->verb->where, o->domain,
				 r->pos + 1, &id);
		if (err != MX_OK || id > o->until_id)
			return err;
		b->work++;
		err = o->verb->of_domain(b, o, id, o->domain);
		r->pos = id;
	}
	r->again = err == MX_OK;
	return err;
}

/* The domain of the message's first unit behind `after`.  Copied: the rows
 * are about to change. */
static enum mx_err next_domain(struct batch *b, uint64_t id, struct span after,
			       bool first, char *domain, size_t *n)
{
	struct place p;
	struct span name;
	struct key k;
	uint64_t at;
	uint32_t number;
	enum mx_err err = place_open(&p, batch_table(b, T_RECIPIENT), b->txn);

	if (err != MX_OK)
		return err;
	if (first)
		key_message(&k, id);
	else
		key_recipient(&k, id, after, UINT32_MAX);
	err = place_seek(&p, &k);
	if (err == MX_OK && !key_recipient_parse(p.key, &at, &name, &number))
		err = MX_ECORRUPT;
	else if (err == MX_OK && at != id)
		err = MX_ENOENT;
	if (err == MX_OK) {
		memcpy(domain, name.p, name.n);
		*n = name.n;
	}
	place_close(&p);
	return err;
}

static enum mx_err walk_message(struct batch *b, struct operation *o)
{
	char domain[KEY_DOMAIN_MAX];
	size_t n = 0;
	bool first = true;
	uint64_t id = o->req.id;
	enum mx_err err;

	while ((err = next_domain(b, id, (struct span){ domain, n }, first,
				  domain, &n)) == MX_OK) {
		first = false;
		err = o->verb->unit(b, o, id, (struct span){ domain, n });
		if (err != MX_OK)
			return err;
	}
	if (err == MX_ENOENT && first)
		o->req.err = MX_ENOENT;
	return err == MX_ENOENT ? MX_OK : err;
}

static enum mx_err apply_operation(struct batch *b, struct request *r)
{
	struct operation *o = CONTAINER_OF(r, struct operation, req);
	enum mx_err err;

	if (r->id == 0)
		return walk_domain(b, o);
	if (o->domain.n == 0)
		return walk_message(b, o);
	err = o->verb->unit(b, o, r->id, o->domain);
	if (err == MX_ENOENT) { /* no such unit: nothing was changed */
		r->err = err;
		return MX_OK;
	}
	return err;
}

static void finish_operation(struct spool *sp, struct request *r)
{
	struct operation *o = CONTAINER_OF(r, struct operation, req);

	(void)sp;
	if (o->cb != NULL)
		o->cb(r->err, r->count, o->arg);
	free(o);
}

static const struct request_ops operation_ops = {
	.name = "operation",
	.order = ORDER_BARRIER,
	.apply = apply_operation,
	.finish = finish_operation,
};

static void operate(struct spool *sp, const struct verb *verb,
		    struct spool_selection sel, struct span reason,
		    spool_count_cb *cb, void *arg)
{
	struct operation *o =
		mx_alloc(sizeof(*o) + sel.domain.n + reason.n + 1);
	char *p = (char *)(o + 1);

	if (sel.domain.n > 0)
		memcpy(p, sel.domain.p, sel.domain.n);
	if (reason.n > 0)
		memcpy(p + sel.domain.n, reason.p, reason.n);
	o->req.ops = &operation_ops;
	o->req.id = sel.id;
	o->req.bytes = sizeof(*o);
	o->verb = verb;
	o->domain = (struct span){ p, sel.domain.n };
	o->reason = (struct span){ p + sel.domain.n, reason.n };
	o->until_id = atomic_load(&sp->last_id);
	o->cb = cb;
	o->arg = arg;
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
