#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/spool/bytes.h"
#include "common/spool/content.h"
#include "common/spool/env.h"
#include "common/spool/look.h"
#include "common/spool/mirror.h"
#include "common/spool/note.h"
#include "common/spool/pack.h"
#include "common/spool/pieces.h"
#include "common/spool/queue.h"
#include "common/spool/touch.h"
#include "common/spool/unit.h"

/*
 * Mail of others, which the mirror has given to us: under an id of ours, marked
 * as still to come.
 *
 *   adopted ------durable------> told ----in a parcel, or noted----> done
 *   nothing of it to the         the whole of it, which takes the
 *   mirror: it has it            mark away there
 *
 * The mark must not go before it is durable here: nobody else has it.  So the
 * two are two transactions, the second by itself; a crash between them brings
 * the message again, and then it is here.
 */
struct spool_adoption {
	struct spool *sp;
	struct spool_draft *draft;
};

struct adopting {
	struct request req; /* pos: 1 when it is durable */
	struct spool_draft *draft;
	struct piece *tail;
	struct parcel *rows; /* the message, its units */
	spool_done_cb *cb;
	void *arg;
};

/* ---- The loop's half ---- */

/* Is it here, or was it? */
static enum mx_err look_for(struct spool *sp, uint64_t id, bool *yes)
{
	struct packing k = { .sp = sp };
	struct note note = { .kind = NOTE_NONE };
	enum mx_err err = read_begin(sp, &k.txn);

	if (err != MX_OK)
		return err;
	err = pack_exists(&k, id, yes);
	if (err == MX_OK)
		err = note_get(sp, k.txn, id, &note);
	read_end(sp);
	/* a draft of it that broke off is nothing */
	*yes = *yes || (err == MX_OK && note.kind != NOTE_NONE &&
			note.kind != NOTE_DRAFT_GONE);
	return err;
}

enum mx_err spool_adopt_new(struct spool *sp, uint64_t id,
			    struct spool_adoption **out)
{
	struct spool_draft *d;
	bool is_here;
	enum mx_err err = look_for(sp, id, &is_here);

	*out = NULL;
	if (err == MX_OK && is_here)
		return MX_EBUSY;
	/* what a former process had of it has to go first */
	if (err == MX_OK && !atomic_load(&sp->opened_clean))
		return MX_ETIME;
	if (err == MX_OK)
		err = draft_open(sp, id, 0, false, &d);
	if (err != MX_OK)
		return err;
	d->is_adopted = true;
	*out = mx_alloc(sizeof(**out));
	(*out)->sp = sp;
	(*out)->draft = d;
	return MX_OK;
}

void spool_adopt_content(struct spool_adoption *a, struct span bytes)
{
	spool_draft_write(a->draft, bytes);
}

void spool_adopt_discard(struct spool_adoption **adoption)
{
	struct spool_adoption *a = *adoption;

	*adoption = NULL;
	if (a != NULL)
		draft_leave(a->draft);
	free(a);
}

/* The next recipient of a unit's row; false: it is none. */
static bool next_recipient(struct bytes_in *in, uint32_t *number,
			   struct span *value)
{
	struct recipient_row row;

	*number = (uint32_t)bytes_get(in, 4);
	*value = bytes_get_span(in);
	return !in->bad && recipient_get(*value, &row);
}

static bool is_unit(const struct spool_adopted *u)
{
	struct bytes_in in = { u->row, false };
	struct span reason, value;
	int64_t due_ms;
	uint32_t number;

	if (u->domain.n == 0 || !key_domain_is_valid(u->domain) ||
	    u->row.n == 0 || u->row.n > UINT32_MAX ||
	    u->state.n > PARKED_ROW_MAX ||
	    (u->state.n > 0 && !parked_get(u->state, &due_ms, &reason)))
		return false;
	while (in.left.n > 0)
		if (!next_recipient(&in, &number, &value))
			return false;
	return true;
}

static bool can_be_stored(const struct spool_draft *d, struct span message,
			  const struct spool_adopted *units, size_t count)
{
	struct envelope env;
	uint32_t left;

	if (!envelope_get(message, &env, &left) || env.bytes != d->bytes)
		return false;
	for (size_t i = 0; i < count; i++)
		if (!is_unit(&units[i]))
			return false;
	return count > 0 && count <= UINT32_MAX;
}

static struct parcel *rows_of(uint64_t id, struct span message,
			      const struct spool_adopted *units, size_t count)
{
	struct parcel_item item = { .kind = PARCEL_MESSAGE, .id = id };
	struct parcel *p = parcel_new();
	char held[PARKED_ROW_MAX];
	char *row = mx_alloc(message.n);

	memcpy(row, message.p, message.n);
	envelope_set_units(row, (uint32_t)count);
	item.row = span_of(row, message.n);
	parcel_add(p, &item);
	free(row);
	item.kind = PARCEL_UNIT;
	for (size_t i = 0; i < count; i++) {
		const struct spool_adopted *u = &units[i];
		char *end = parked_put(held, PARKED_HELD, u->hold_reason);

		item.domain = u->domain;
		item.state = u->is_held ? span_of(held, (size_t)(end - held))
					: u->state;
		item.row = u->row;
		parcel_add(p, &item);
	}
	return p;
}

/* ---- The writer's half ---- */

static enum mx_err put_recipients(struct batch *b,
				  const struct parcel_item *item)
{
	struct bytes_in in = { item->row, false };
	enum mx_err err = MX_OK;

	while (err == MX_OK && in.left.n > 0) {
		struct span value;
		struct key k;
		uint32_t number;

		if (!next_recipient(&in, &number, &value))
			return MX_EINVAL;
		key_recipient(&k, item->id, item->domain, number);
		err = table_put(batch_table(b, T_RECIPIENT), b->txn, &k, value);
	}
	return err;
}

/* For the row of the parked ones. */
static enum keep put_back(struct recipient_row *row, void *arg)
{
	(void)arg;
	return recipient_is_parked(&row->r) ? KEEP_CHANGED : KEEP_AS_IT_IS;
}

/* A unit with a history: its recipients are there, and it stands where *u
 * says. */
static enum mx_err restore(struct batch *b, const struct found *u,
			   int64_t arrived_ms, uint64_t bytes)
{
	struct found at = *u;
	struct ends ends;
	enum mx_err err = unit_recipients(b, u, put_back, NULL, &ends);

	if (err == MX_OK && ends.warn_ms <= atomic_load(&b->sp->trusted_ms))
		ends.warn_ms = 0; /* its sender was warned */
	if (u->state != UNIT_HELD)
		at.state = UNIT_READY;
	at.due_ms = 0;
	if (err == MX_OK)
		err = unit_put(b, &at, &ends, arrived_ms, bytes);
	if (err == MX_OK && at.state != u->state)
		err = unit_move(b, &at, u->state, u->due_ms);
	return err == MX_OK && u->state == UNIT_REFUSED
		       ? unit_expiry_del(b, &at, &ends)
		       : err;
}

static enum mx_err put_unit(struct batch *b, const struct parcel_item *item,
			    int64_t arrived_ms, uint64_t bytes)
{
	struct found u = { .id = item->id, .domain = item->domain };
	enum mx_err err = put_recipients(b, item);

	u.state = UNIT_READY;
	if (err == MX_OK && item->state.n > 0)
		err = found_stands(item->state, &u) ? MX_OK : MX_EINVAL;
	return err == MX_OK ? restore(b, &u, arrived_ms, bytes) : err;
}

static enum mx_err put_rows(struct batch *b, const struct parcel *rows)
{
	struct parcel_item item;
	struct envelope env = { 0 };
	enum mx_err err = MX_OK;
	uint32_t units;
	struct key k;
	size_t pos = 0;

	while (err == MX_OK && parcel_next(rows, &pos, &item)) {
		key_message(&k, item.id);
		if (item.kind == PARCEL_UNIT)
			err = put_unit(b, &item, env.arrived_ms, env.bytes);
		else if (envelope_get(item.row, &env, &units))
			err = table_put(batch_table(b, T_MESSAGE), b->txn, &k,
					item.row);
	}
	b->state.bytes += env.bytes;
	return err;
}

static enum mx_err put_content(struct batch *b, const struct adopting *a)
{
	const struct piece *tail = a->tail;
	enum mx_err err = MX_OK;

	if (tail != NULL)
		b->coming += tail->n;
	if (a->draft->handed_bytes > 0)
		err = env_raise_schema(batch_table(b, T_META), b->txn,
				       ENV_BASED);
	if (err == MX_OK && tail != NULL)
		err = content_put(b, a->req.id, tail->offset,
				  span_of(tail->data, tail->n));
	if (err == MX_OK && a->draft->handed_bytes > 0)
		err = content_unname(b, GARBAGE_OPEN, a->req.id);
	return err;
}

static enum mx_err apply_adopt(struct batch *b, struct request *r)
{
	struct adopting *a = CONTAINER_OF(r, struct adopting, req);
	enum mx_err err;

	if (r->pos == 1) {
		touch_message(b, r->id, TOUCH_WHOLE);
		return MX_OK;
	}
	r->err = a->draft->writer_err;
	if (r->err != MX_OK)
		return MX_OK;
	b->is_known_there = true;
	err = put_content(b, a);
	if (err == MX_OK)
		err = put_rows(b, a->rows);
	b->is_known_there = false;
	r->pos = 1;
	r->again = err == MX_OK;
	return err;
}

static void finish_adopt(struct spool *sp, struct request *r)
{
	struct adopting *a = CONTAINER_OF(r, struct adopting, req);

	piece_free(a->tail);
	draft_end(a->draft, r->pos == 1);
	parcel_free(&a->rows);
	if (a->cb != NULL)
		a->cb(r->err, a->arg);
	request_finish(sp, r);
}

static const struct request_ops adopt_ops = {
	.name = "adopt",
	.order = ORDER_ANY,
	.fills = true,
	.apply = apply_adopt,
	.finish = finish_adopt,
};

/* Nothing of it was stored under its name. */
static void finish_refused(struct spool *sp, struct request *r)
{
	struct adopting *a = CONTAINER_OF(r, struct adopting, req);

	if (a->cb != NULL)
		a->cb(r->err, a->arg);
	request_finish(sp, r);
}

static const struct request_ops refused_ops = {
	.name = "adopt",
	.order = ORDER_ANY,
	.apply = apply_adopt,
	.finish = finish_refused,
};

void spool_adopt_commit(struct spool_adoption **adoption, struct span message,
			const struct spool_adopted *units, size_t count,
			spool_done_cb *cb, void *arg)
{
	struct spool_adoption *given = *adoption;
	struct spool *sp = given->sp;
	struct spool_draft *d = given->draft;
	struct adopting *a = request_new(&adopt_ops, sizeof(*a), NULL, 0);

	*adoption = NULL;
	free(given);
	a->cb = cb;
	a->arg = arg;
	a->req.err = d->err;
	if (d->err == MX_OK && !can_be_stored(d, message, units, count))
		a->req.err = MX_EINVAL;
	if (a->req.err != MX_OK) {
		a->req.ops = &refused_ops;
		draft_leave(d);
		queue_answer(sp, &a->req);
		return;
	}
	a->req.id = d->id;
	a->draft = d;
	a->rows = rows_of(d->id, message, units, count);
	a->tail = draft_tail(d);
	a->req.bytes += parcel_bytes(a->rows) +
			(a->tail != NULL ? a->tail->cap : 0);
	queue_push(sp, &a->req);
}

/* ---- Ids ---- */

/* The last id is stored with every transaction. */
static enum mx_err apply_ids(struct batch *b, struct request *r)
{
	(void)b;
	r->count = r->id;
	return MX_OK;
}

static const struct request_ops ids_ops = {
	.name = "ids",
	.order = ORDER_ANY,
	.apply = apply_ids,
	.finish = request_finish,
};

void spool_mirror_ids(struct spool *sp, int64_t now_wall_ms, size_t n,
		      spool_count_cb *cb, void *arg)
{
	struct request *r = request_ask(&ids_ops, sizeof(*r), NULL, 0, cb, arg);

	r->id = draft_next_id(sp, now_wall_ms);
	spool_mirror_past(sp, r->id + n - 1);
	queue_push(sp, r);
}

void spool_mirror_past(struct spool *sp, uint64_t id)
{
	if (id > atomic_load(&sp->last_id))
		atomic_store(&sp->last_id, id);
}
