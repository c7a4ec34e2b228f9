#include "common/base/clock.h"
#include "common/spool/counters.h"
#include "common/spool/queue.h"
#include "common/spool/unit.h"
#include "common/spool/walk.h"

/*
 * Refusals that are undone before they are final.  They are found by the rows
 * that say when they would be: those are few, whatever waits, since lifetimes
 * end days from now.  Some hundred rows a transaction.
 */
struct unrefuse {
	struct request req; /* pos: steps done; count: units */
	struct span domain; /* empty: any */
	int64_t since_ms, until_ms;
	/* the last row looked at, of this step and of the one before: when the
	 * transaction fails it is done again; empty: none yet */
	struct key at[2];
};

struct undoing {
	int64_t since_ms;
	size_t n;
};

/* As before: it counts for no try, and nothing keeps it waiting. */
static enum keep undo(struct recipient_row *row, void *arg)
{
	struct undoing *un = arg;
	struct recipient *r = &row->r;

	if (r->state != RECIPIENT_REFUSED || r->attempt_ms < un->since_ms ||
	    r->failure == FAILURE_EXPIRED)
		return KEEP_AS_IT_IS;
	r->state = RECIPIENT_PENDING;
	r->attempts -= r->attempts > 0;
	r->attempt_ms = 0;
	un->n++;
	return KEEP_CHANGED;
}

/* A unit that is held stays so, without its refusals. */
static enum mx_err undo_unit(struct batch *b, struct unrefuse *un,
			     struct found *u)
{
	struct undoing undoing = { .since_ms = un->since_ms };
	bool had_lifetime = u->state != UNIT_HELD && u->state != UNIT_REFUSED;
	struct ends ends;
	enum mx_err err = unit_recipients(b, u, undo, &undoing, &ends);

	if (err != MX_OK || undoing.n == 0)
		return err;
	un->req.count++;
	if (u->state == UNIT_HELD)
		return MX_OK;
	err = unit_move(b, u, UNIT_READY, 0);
	if (err == MX_OK) /* also when it was, without them */
		counters_announce(b, u->domain);
	ends.warn_ms = 0;
	return err != MX_OK || had_lifetime ? err
					    : unit_expiry_put(b, u, &ends);
}

/* The next row of a parked recipient behind the last.  MX_ENOENT: no more;
 * *id is 0: not of this domain, or the step is over. */
static enum mx_err next_row(struct batch *b, struct unrefuse *un, uint64_t *id,
			    char name[KEY_DOMAIN_MAX], size_t *name_n)
{
	struct key *at = &un->at[un->req.pos % 2];
	struct span domain;
	enum expiry_kind kind;
	struct scan p;
	int64_t at_ms;
	enum mx_err err = scan_open(&p, batch_table(b, T_EXPIRY), b->txn);

	*id = 0;
	if (err == MX_OK)
		err = scan_seek_behind(&p, span_of(at->b, at->n));
	if (err == MX_OK &&
	    (p.key.n > sizeof(at->b) ||
	     !key_expiry_parse(p.key, &at_ms, id, &domain, &kind)))
		err = MX_ECORRUPT;
	if (err == MX_OK && at_ms > un->until_ms)
		err = MX_ENOENT;
	if (err == MX_OK) {
		memcpy(at->b, p.key.p, p.key.n);
		at->n = p.key.n;
		memcpy(name, domain.p, domain.n);
		*name_n = domain.n;
		if (kind != EXPIRY_PARKED ||
		    (un->domain.n > 0 && !span_eq(domain, un->domain)))
			*id = 0;
	}
	scan_close(&p);
	return err;
}

static enum mx_err apply_unrefuse(struct batch *b, struct request *r)
{
	struct unrefuse *un = CONTAINER_OF(r, struct unrefuse, req);
	enum mx_err err = MX_OK;

	un->at[(r->pos + 1) % 2] = un->at[r->pos % 2];
	r->pos++;
	for (; err == MX_OK && b->work < WALK_STEP; b->work++) {
		char name[KEY_DOMAIN_MAX];
		struct found u;
		uint64_t id;
		size_t n;

		err = next_row(b, un, &id, name, &n);
		if (err == MX_ENOENT)
			return MX_OK;
		if (err != MX_OK || id == 0)
			continue;
		err = find_unit(b->sp, b->txn, id, span_of(name, n), &u);
		if (err == MX_OK)
			err = undo_unit(b, un, &u);
		if (err == MX_ENOENT) /* struck off later */
			err = MX_OK;
	}
	r->again = err == MX_OK;
	return err;
}

static const struct request_ops unrefuse_ops = {
	.name = "unrefuse",
	.order = ORDER_BARRIER,
	.apply = apply_unrefuse,
	.finish = request_finish,
};

void spool_unrefuse(struct spool *sp, struct span domain, int64_t since_ms,
		    spool_count_cb *cb, void *arg)
{
	struct unrefuse *un = request_new(&unrefuse_ops, sizeof(*un), &domain,
					  1);

	MX_ASSERT(key_domain_is_valid(domain));
	un->req.cb = cb;
	un->req.arg = arg;
	un->domain = domain;
	un->since_ms = since_ms;
	un->until_ms = clock_wall_ms() + UNREFUSE_WITHIN;
	queue_push(sp, &un->req);
}
