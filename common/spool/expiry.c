#include <stdlib.h>

#include "common/base/clock.h"
#include "common/spool/find.h"
#include "common/spool/spool_priv.h"
#include "common/spool/look.h"
#include "common/spool/now.h"
#include "common/spool/queue.h"
#include "common/spool/shift.h"
#include "common/spool/unit.h"
#include "common/spool/walk.h"

/*
 * What time brings: units that are due again, lifetimes that end, refusals that
 * become final.
 *
 * A held unit has no lifetime: it is the operator's.  Holding one unit takes
 * its rows out of expiry; holding a domain only sets a flag, so rows of its
 * units are struck off when they are met, and a release puts them back.  The
 * same goes for a domain that is listed no longer, until it is again.
 */
enum { STRIKES = 64 };

/* ---- due again ---- */

struct requeue {
	struct request req;
	int64_t now_ms;
};

/* The first deferred unit; MX_ENOENT when none is due by now_ms. */
static enum mx_err first_due(struct batch *b, int64_t now_ms, char *domain,
			     size_t *domain_n, uint64_t *id)
{
	struct scan p;
	struct span name;
	int64_t due_ms;
	enum mx_err err = scan_open(&p, batch_table(b, T_DEFERRED), b->txn);

	if (err != MX_OK)
		return err;
	err = scan_seek(&p, NULL);
	if (err == MX_OK && !key_deferred_parse(p.key, &due_ms, &name, id))
		err = MX_ECORRUPT;
	else if (err == MX_OK && due_ms > now_ms)
		err = MX_ENOENT;
	if (err == MX_OK) {
		memcpy(domain, name.p, name.n);
		*domain_n = name.n;
	}
	scan_close(&p);
	return err;
}

static enum mx_err apply_requeue(struct batch *b, struct request *r)
{
	struct requeue *q = CONTAINER_OF(r, struct requeue, req);
	enum mx_err err = MX_OK;

	while (err == MX_OK && b->work < WALK_STEP) {
		char name[KEY_DOMAIN_MAX];
		struct found u;
		size_t n;
		uint64_t id;

		err = first_due(b, q->now_ms, name, &n, &id);
		if (err == MX_ENOENT)
			return MX_OK;
		if (err != MX_OK)
			return err;
		b->work++;
		err = find_unit(b->sp, b->txn, id, span_of(name, n), &u);
		if (err == MX_OK)
			err = unit_move(b, &u, UNIT_READY, 0);
		if (err == MX_ENOENT) /* a due row without its unit */
			err = MX_ECORRUPT;
	}
	r->again = err == MX_OK;
	return err;
}

static void finish_requeue(struct spool *sp, struct request *r)
{
	struct requeue *q = CONTAINER_OF(r, struct requeue, req);
	bool later = r->err == MX_OK && sp->requeue_ms > q->now_ms;

	MX_ASSERT(sp->is_requeueing);
	sp->is_requeueing = false;
	free(q);
	if (later)
		spool_requeue_due(sp, sp->requeue_ms);
}

static const struct request_ops requeue_ops = {
	.name = "requeue",
	.order = ORDER_ANY,
	.apply = apply_requeue,
	.finish = finish_requeue,
};

void spool_requeue_due(struct spool *sp, int64_t now_ms)
{
	struct requeue *q;

	sp->requeue_ms = now_ms;
	if (sp->is_requeueing)
		return;
	sp->is_requeueing = true;
	q = request_new(&requeue_ops, sizeof(*q), NULL, 0);
	q->now_ms = now_ms;
	queue_push(sp, &q->req);
}

/* ---- lifetimes ---- */

struct strike {
	struct request req;
	size_t n;
	struct key keys[STRIKES];
};

static enum mx_err apply_strike(struct batch *b, struct request *r)
{
	struct strike *s = CONTAINER_OF(r, struct strike, req);

	for (size_t i = 0; i < s->n; i++) {
		enum mx_err err = table_del(batch_table(b, T_EXPIRY), b->txn,
					    &s->keys[i]);

		if (err != MX_OK && err != MX_ENOENT)
			return err;
	}
	return MX_OK;
}

static void finish_strike(struct spool *sp, struct request *r)
{
	MX_ASSERT(sp->is_striking);
	sp->is_striking = false;
	request_finish(sp, r);
}

static const struct request_ops strike_ops = {
	.name = "strike",
	.order = ORDER_ANY,
	.apply = apply_strike,
	.finish = finish_strike,
};

/* Is the unit somebody's to end?  Not when it is held, or gone. */
static bool is_live(struct spool *sp, MDB_txn *txn, uint64_t id,
		    struct span domain)
{
	struct spool_domain d;
	struct found u;

	return find_unit(sp, txn, id, domain, &u) == MX_OK &&
	       u.state != UNIT_HELD &&
	       spool_domain_get(sp, domain, &d) == MX_OK && !d.is_held &&
	       !d.is_unlisted;
}

static void fill(struct spool_expiry *out, int64_t at_ms, uint64_t id,
		 struct span domain, enum expiry_kind kind)
{
	MX_ASSERT(domain.n < sizeof(out->domain));
	out->at_ms = at_ms;
	out->id = id;
	memcpy(out->domain, domain.p, domain.n);
	out->domain[domain.n] = '\0';
	out->is_warning = kind == EXPIRY_WARNING;
	out->is_parked = kind == EXPIRY_PARKED;
}

/* The first row behind after. */
static enum mx_err seek_behind(struct scan *p, const struct spool_expiry *after)
{
	struct key k;

	if (after == NULL)
		return scan_seek(p, NULL);
	key_expiry(&k, after->at_ms, after->id, span_str(after->domain),
		   after->is_warning  ? EXPIRY_WARNING
		   : after->is_parked ? EXPIRY_PARKED
				      : EXPIRY_END);
	return scan_seek_behind(p, span_of(k.b, k.n));
}

static enum mx_err scan_expired(struct spool *sp, MDB_txn *txn, int64_t now_ms,
				const struct spool_expiry *after,
				struct spool_expiry *out, size_t max, size_t *n,
				struct strike *strike)
{
	struct scan p;
	enum mx_err err = scan_open(&p, &sp->tables[T_EXPIRY], txn);

	if (err != MX_OK)
		return err;
	for (err = seek_behind(&p, after);
	     err == MX_OK && *n < max && strike->n < STRIKES;
	     err = scan_next(&p)) {
		enum expiry_kind kind;
		struct span domain;
		uint64_t id;
		int64_t at_ms;

		if (!key_expiry_parse(p.key, &at_ms, &id, &domain, &kind) ||
		    at_ms > now_ms)
			break;
		if (is_live(sp, txn, id, domain))
			fill(&out[(*n)++], at_ms, id, domain, kind);
		else
			key_expiry(&strike->keys[strike->n++], at_ms, id,
				   domain, kind);
	}
	scan_close(&p);
	return err == MX_ENOENT ? MX_OK : err;
}

enum mx_err spool_expired(struct spool *sp, int64_t now_ms,
			  const struct spool_expiry *after,
			  struct spool_expiry *out, size_t max, size_t *n)
{
	struct strike *strike;
	MDB_txn *txn;
	enum mx_err err = read_begin(sp, &txn);

	*n = 0;
	if (err != MX_OK)
		return err;
	now_ms = shift_look(sp, now_ms);
	strike = request_new(&strike_ops, sizeof(*strike), NULL, 0);
	err = scan_expired(sp, txn, now_ms, after, out, max, n, strike);
	read_end(sp);
	if (strike->n == 0 || sp->is_striking) {
		free(strike);
		return err;
	}
	sp->is_striking = true;
	queue_push(sp, &strike->req);
	return err;
}

/* ---- When ---- */

static bool due_of(struct span key, int64_t *at_ms)
{
	struct span domain;
	uint64_t id;

	return key_deferred_parse(key, at_ms, &domain, &id);
}

static bool end_of(struct span key, int64_t *at_ms)
{
	enum expiry_kind kind;
	struct span domain;
	uint64_t id;

	return key_expiry_parse(key, at_ms, &id, &domain, &kind);
}

/* The time of the first row from there on; NULL: of the last of all. */
static enum mx_err time_from(struct spool *sp, enum table_id table,
			     const struct key *from,
			     bool (*time_of)(struct span, int64_t *),
			     int64_t *at_ms)
{
	struct scan p;
	MDB_txn *txn;
	enum mx_err err = read_begin(sp, &txn);

	if (err != MX_OK)
		return err;
	err = scan_open(&p, &sp->tables[table], txn);
	if (err == MX_OK)
		err = from != NULL ? scan_seek(&p, from)
				   : scan_seek_before(&p, NULL);
	if (err == MX_OK && !time_of(p.key, at_ms))
		err = MX_ECORRUPT;
	scan_close(&p);
	read_end(sp);
	return err;
}

enum mx_err spool_next_due(struct spool *sp, int64_t *due_ms)
{
	struct key k;

	/* the writer is at those that are due already */
	key_deferred(&k, sp->is_requeueing ? sp->requeue_ms + 1 : 0,
		     SPAN_LIT(""), 0);
	return time_from(sp, T_DEFERRED, &k, due_of, due_ms);
}

enum mx_err spool_last_due(struct spool *sp, int64_t *due_ms)
{
	return time_from(sp, T_DEFERRED, NULL, due_of, due_ms);
}

enum mx_err spool_next_expiry(struct spool *sp, int64_t *at_ms)
{
	const int64_t wall_ms = clock_wall_ms();
	struct key k;
	enum mx_err err;

	key_expiry(&k, 0, 0, SPAN_LIT(""), EXPIRY_END);
	err = time_from(sp, T_EXPIRY, &k, end_of, at_ms);
	/* by the clock the caller has; while that is not believed, later */
	if (err == MX_OK && sp->clock.is_doubting)
		*at_ms += wall_ms - now_trusted(sp, wall_ms);
	return err;
}
