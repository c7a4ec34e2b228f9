#include "common/spool/step.h"

#include "common/base/log.h"
#include "common/spool/changes.h"
#include "common/spool/env.h"
#include "common/spool/lease.h"
#include "common/spool/mirror.h"
#include "common/spool/note.h"
#include "common/spool/pack.h"
#include "common/spool/touch.h"

/*
 *            the mirror took each parcel              nothing is lacking,
 *                                                     and the loop asks
 *   start --> behind ------------------------------------------> in step
 *               ^                                                  |
 *               +--not known whether it took one: noted as old-----+
 *               +--it was not sent one: noted as absent------------+
 *
 * In step what a transaction changed goes to the mirror while LMDB commits it
 * ("refuse": before), and the replies follow both.  Behind it is noted in the
 * transaction itself; what the mirror lacks is then sent by another thread
 * (arrears.c).  What is noted is never in a parcel: each message is sent in one
 * way at a time, so that nothing old can overtake what is new.
 *
 * A crash between the two commits leaves them at different numbers.
 */

void step_begin(struct batch *b)
{
	b->mirror = b->sp->mirror.row;
	b->in_step = b->sp->mirror.in_step;
}

/* ---- Joining ---- */

/* In step from this transaction on, if nothing is lacking.  Where it was so all
 * the time, as nothing was offered since the connection was lost, the mirror is
 * told again. */
static void try_join(struct batch *b)
{
	if (b->has_notes || b->mirror.walked != UINT64_MAX) {
		b->join->err = MX_EBUSY;
		return;
	}
	b->joins = true;
	b->in_step = true;
}

/* ---- The transaction ---- */

static enum mx_err store_row(struct batch *b)
{
	char value[MIRROR_ROW_SIZE];
	char *end = mirror_row_put(value, &b->mirror);
	struct table *meta = batch_table(b, T_META);
	enum mx_err err = MX_OK;

	if (!b->sp->mirror.is_kept)
		err = env_raise_schema(meta, b->txn, ENV_MIRRORED);
	if (err != MX_OK)
		return err;
	return table_put_name(meta, b->txn, SPAN_LIT("mirror"),
			      span_of(value, (size_t)(end - value)));
}

/* It was offered and is not known to be there. */
static enum mx_err note_doubt(struct batch *b, struct packing *k)
{
	struct mirror_state *m = &b->sp->mirror;
	enum mx_err err;

	if (m->doubt.n == 0)
		return MX_OK;
	err = changes_see(b, k, &m->doubt, m->is_doubt_sent);
	/* its number may not have been committed here */
	if (b->mirror.seq < m->offered)
		b->mirror.seq = m->offered;
	b->mirror.low = m->offered - 1;
	b->mirror_changed = true;
	return err;
}

static void number_parcel(struct batch *b, struct packing *k)
{
	if (parcel_count(k->out) == 0) {
		parcel_free(&k->out);
		return;
	}
	b->parcel = k->out;
	b->mirror.low = ++b->mirror.seq;
	b->mirror_changed = true;
}

/* Nearly always there are none. */
static enum mx_err look_for_notes(struct batch *b)
{
	uint64_t rows;
	enum mx_err err = note_count(b->sp, b->txn, &rows);

	b->has_notes = rows > 0 || b->sp->mirror.doubt.n > 0;
	return err;
}

static enum mx_err prepare(struct batch *b)
{
	struct packing k = { .sp = b->sp, .txn = b->txn };
	enum mx_err err = MX_OK;

	if (!b->sp->mirror.is_kept)
		b->mirror_changed = true;
	if (b->touches.n == 0 && b->sp->mirror.doubt.n == 0 && b->join == NULL)
		return MX_OK;
	err = look_for_notes(b);
	if (err == MX_OK)
		err = note_doubt(b, &k);
	if (err == MX_OK && b->join != NULL)
		try_join(b);
	if (err == MX_OK && b->in_step && b->touches.n > 0)
		k.out = parcel_new();
	if (err == MX_OK)
		err = changes_see(b, &k, &b->touches, false);
	if (err == MX_OK && k.out != NULL)
		number_parcel(b, &k);
	else
		parcel_free(&k.out);
	buf_fini(&k.row);
	return err;
}

enum mx_err step_prepare(struct batch *b)
{
	const struct mirror_state *m = &b->sp->mirror;
	enum mx_err err = MX_OK;

	if (m->ops != NULL) {
		err = prepare(b);
	} else if (m->is_kept && !m->is_counted) {
		/* nobody looks on: the mirror must not take us for the same */
		b->mirror.low = ++b->mirror.seq;
		b->mirror_changed = true;
	}
	return err == MX_OK && b->mirror_changed ? store_row(b) : err;
}

/* Once for each that was offered: it may take as long as there is patience. */
static void wait_for(struct batch *b)
{
	const struct mirror_state *m = &b->sp->mirror;
	enum mx_err err;

	MX_ASSERT(m->ops != NULL && b->is_offered);
	err = m->ops->wait(m->arg);
	b->is_waited = true;
	b->is_taken = err == MX_OK;
	b->is_sent = err != MX_ENOENT;
}

enum mx_err step_ahead(struct batch *b)
{
	struct mirror_state *m = &b->sp->mirror;

	if (b->joins && m->ops->joined != NULL)
		m->ops->joined(b->mirror.seq - (b->parcel != NULL), m->arg);
	if (b->parcel == NULL)
		return MX_OK;
	m->offered = b->mirror.seq;
	m->ops->offer(b->parcel, m->offered, m->arg);
	b->parcel = NULL;
	b->is_offered = true;
	if (!atomic_load(&m->refuses))
		return MX_OK;
	wait_for(b);
	return b->is_taken ? MX_OK : MX_EMIRROR;
}

static void set_in_step(struct mirror_state *m, bool yes)
{
	m->in_step = yes;
	atomic_store(&m->is_in_step, yes);
}

static void keep_row(struct batch *b)
{
	struct mirror_state *m = &b->sp->mirror;

	m->row = b->mirror;
	m->is_counted = true;
	m->is_kept = m->is_kept || b->mirror_changed;
	atomic_store(&m->seq, m->row.seq);
	atomic_store(&m->low, m->row.low);
	atomic_store(&m->walked, m->row.walked);
}

/* One of the two may have it, the other not. */
static void fall_behind(struct batch *b, bool is_committed)
{
	struct mirror_state *m = &b->sp->mirror;

	MX_ASSERT(m->doubt.n == 0);
	set_in_step(m, false);
	if (!b->is_taken)
		lease_cut(b->sp);
	if (!b->is_sent && !is_committed)
		return; /* neither has */
	m->doubt = b->touches;
	m->is_doubt_sent = b->is_sent;
	b->touches = (struct touches){ 0 };
}

void step_end(struct batch *b, bool is_committed)
{
	struct mirror_state *m = &b->sp->mirror;

	if (m->ops == NULL && !b->mirror_changed)
		return;
	if (b->is_offered && !b->is_waited)
		wait_for(b);
	if (is_committed) {
		keep_row(b);
		touches_free(&m->doubt); /* noted */
		if (b->joins)
			set_in_step(m, true);
	}
	if (b->is_offered && !(b->is_taken && is_committed))
		fall_behind(b, is_committed);
	parcel_free(&b->parcel);
	touches_free(&b->touches);
}

bool step_refuses(struct spool *sp)
{
	const struct mirror_state *m = &sp->mirror;

	return m->ops != NULL && !m->in_step && atomic_load(&m->refuses);
}

bool step_is_due(const struct spool *sp)
{
	return sp->mirror.doubt.n > 0;
}

enum mx_err step_learn(struct spool *sp, MDB_txn *txn)
{
	struct mirror_state *m = &sp->mirror;
	struct span value;
	enum mx_err err = table_get_name(&sp->tables[T_META], txn,
					 SPAN_LIT("mirror"), &value);

	if (err != MX_OK)
		return err == MX_ENOENT ? MX_OK : err;
	if (!mirror_row_get(value, &m->row))
		return MX_ECORRUPT;
	m->is_kept = m->is_known = true;
	memcpy(m->uuid, m->row.uuid, sizeof(m->uuid));
	atomic_store(&m->seq, m->row.seq);
	atomic_store(&m->low, m->row.low);
	atomic_store(&m->walked, m->row.walked);
	return MX_OK;
}

void step_free(struct spool *sp)
{
	touches_free(&sp->mirror.doubt);
}
