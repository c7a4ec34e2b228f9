#include "common/base/log.h"
#include "common/spool/content.h"
#include "common/spool/find.h"
#include "common/spool/mirror.h"
#include "common/spool/note.h"
#include "common/spool/pack.h"
#include "common/spool/queue.h"
#include "common/spool/unit.h"
#include "common/spool/walk.h"

/* What a mirror finds that has a connection again, and where it differs. */

struct ids {
	struct request req; /* pos: how many are done */
	struct span ids;
	bool is_missing;
};

static uint64_t id_at(const struct ids *all, uint64_t i)
{
	uint64_t id;

	memcpy(&id, all->ids.p + i * sizeof(id), sizeof(id));
	return id;
}

static bool is_open(struct batch *b, uint64_t id)
{
	struct span how;
	uint64_t at;

	return content_next_open(b->sp, b->txn, id, &at, &how) == MX_OK &&
	       at == id;
}

/* Of a message that is here. */
static struct note differing(struct note old, bool is_missing)
{
	switch (old.kind) {
	case NOTE_NONE:
		old.kind = is_missing ? NOTE_ABSENT : NOTE_ROWS;
		break;
	case NOTE_ABSENT:
		if (!is_missing)
			old = (struct note){ .kind = NOTE_PART };
		break;
	default: /* what it was noted for rested on what is lost */
		if (is_missing)
			old = (struct note){ .kind = NOTE_PART };
		break;
	}
	return old;
}

static enum mx_err note_one(struct batch *b, struct ids *all, uint64_t id)
{
	struct packing k = { .sp = b->sp, .txn = b->txn };
	struct note old, to;
	bool exists;
	enum mx_err err = note_get(b->sp, b->txn, id, &old);

	if (err == MX_OK)
		err = pack_exists(&k, id, &exists);
	if (err != MX_OK)
		return err;
	to = exists ? differing(old, all->is_missing) : old;
	if (!exists && !all->is_missing && old.kind == NOTE_NONE &&
	    !is_open(b, id))
		to.kind = NOTE_ROWS; /* it is to go */
	if (to.kind == NOTE_NONE)
		return MX_OK;
	all->req.count++;
	return note_put(b, id, to);
}

static enum mx_err apply_note(struct batch *b, struct request *r)
{
	struct ids *all = CONTAINER_OF(r, struct ids, req);
	const uint64_t n = all->ids.n / sizeof(uint64_t);
	enum mx_err err = MX_OK;

	for (; r->pos < n && b->work < WALK_STEP && err == MX_OK; b->work++)
		err = note_one(b, all, id_at(all, r->pos++));
	r->again = err == MX_OK && r->pos < n;
	return err;
}

static const struct request_ops note_ops = {
	.name = "note",
	.order = ORDER_BARRIER,
	.apply = apply_note,
	.finish = request_finish,
};

static struct ids *ask_ids(const struct request_ops *ops, const uint64_t *ids,
			   size_t n, spool_count_cb *cb, void *arg)
{
	struct span text = span_of(ids, n * sizeof(*ids));
	struct ids *all;

	all = CONTAINER_OF(request_ask(ops, sizeof(*all), &text, 1, cb, arg),
			   struct ids, req);
	all->ids = text;
	return all;
}

void spool_mirror_note(struct spool *sp, const uint64_t *ids, size_t n,
		       bool is_missing, spool_count_cb *cb, void *arg)
{
	struct ids *all = ask_ids(&note_ops, ids, n, cb, arg);

	all->is_missing = is_missing;
	queue_push(sp, &all->req);
}

struct compared {
	struct request req; /* pos: the last open draft that is noted */
	uint64_t seq;
};

/* What the mirror has of content that still arrives is not known: all of it
 * is sent again.  MX_ENOENT: no more. */
static enum mx_err note_open(struct batch *b, struct request *r)
{
	struct span value;
	struct note old;
	uint64_t id;
	enum mx_err err = content_next_open(b->sp, b->txn, r->pos + 1, &id,
					    &value);

	if (err != MX_OK)
		return err;
	r->pos = id;
	if (value.n > 0) /* taken over: the mirror's alone so far */
		return MX_OK;
	if (id <= b->sp->former_id && !atomic_load(&b->sp->opened_clean))
		return MX_OK; /* it arrives no more, and leaves as a draft */
	err = note_get(b->sp, b->txn, id, &old);
	if (err != MX_OK || old.kind == NOTE_ABSENT)
		return err;
	return note_put(b, id, (struct note){ .kind = NOTE_PART });
}

static enum mx_err apply_compared(struct batch *b, struct request *r)
{
	uint64_t seq = CONTAINER_OF(r, struct compared, req)->seq;
	enum mx_err err = MX_OK;

	for (; err == MX_OK && b->work < WALK_STEP; b->work++)
		err = note_open(b, r);
	if (err != MX_ENOENT) {
		r->again = err == MX_OK;
		return err;
	}
	if (seq > INT64_MAX) /* the mirror is new: it has none */
		seq = b->mirror.seq;
	if (b->mirror.seq < seq)
		b->mirror.seq = seq;
	b->mirror.low = seq;
	b->mirror_changed = true;
	return MX_OK;
}

static const struct request_ops compared_ops = {
	.name = "compared",
	.order = ORDER_BARRIER,
	.apply = apply_compared,
	.finish = request_finish,
};

void spool_mirror_compared(struct spool *sp, uint64_t seq, spool_count_cb *cb,
			   void *arg)
{
	struct request *r = request_ask(&compared_ops, sizeof(struct compared), NULL, 0,
				cb, arg);

	CONTAINER_OF(r, struct compared, req)->seq = seq;
	queue_push(sp, r);
}

/* ---- Holds ---- */

struct holds {
	struct request req; /* pos: 1 when the names are done */
	struct span names;
	/* the last domain looked at, of this step and of the one before: when
	 * the transaction fails it is done again */
	struct key at[2];
};

static enum mx_err note_named(struct batch *b, struct span names)
{
	enum mx_err err = MX_OK;

	while (err == MX_OK && names.n > 0) {
		struct span name = span_cut(&names, '\0');

		if (name.n > 0 && key_domain_is_valid(name))
			err = note_hold_put(b, name);
	}
	return err;
}

/* Some domains of ours that are held; MX_ENOENT: those were all. */
static enum mx_err note_held(struct batch *b, struct holds *h)
{
	struct key *at = &h->at[h->req.pos % 2];
	struct domain_row row = { 0 };
	struct span name;
	struct scan p;
	enum mx_err err = scan_open(&p, batch_table(b, T_DOMAIN), b->txn);

	if (err != MX_OK)
		return err;
	for (err = scan_seek_behind(&p, span_of(at->b, at->n));
	     err == MX_OK && b->work < WALK_STEP; err = scan_next(&p)) {
		b->work++;
		if (!key_domain_parse(p.key, &name) ||
		    !domain_row_get(p.value, &row)) {
			err = MX_ECORRUPT;
			break;
		}
		key_domain(at, name);
		if (row.d.is_held && !spool_is_held_unlisted(&row.d))
			err = note_hold_put(b, name);
		if (err != MX_OK)
			break;
	}
	scan_close(&p);
	return err;
}

static enum mx_err apply_holds(struct batch *b, struct request *r)
{
	struct holds *h = CONTAINER_OF(r, struct holds, req);
	enum mx_err err = r->pos == 0 ? note_named(b, h->names) : MX_OK;

	h->at[(r->pos + 1) % 2] = h->at[r->pos % 2];
	r->pos++;
	if (err == MX_OK)
		err = note_held(b, h);
	r->again = err == MX_OK;
	return err == MX_ENOENT ? MX_OK : err;
}

static const struct request_ops holds_ops = {
	.name = "note-holds",
	.order = ORDER_BARRIER,
	.apply = apply_holds,
	.finish = request_finish,
};

void spool_mirror_note_holds(struct spool *sp, struct span names,
			     spool_count_cb *cb, void *arg)
{
	struct request *r = request_ask(&holds_ops, sizeof(struct holds), &names, 1, cb,
				arg);

	CONTAINER_OF(r, struct holds, req)->names = names;
	queue_push(sp, r);
}

/* ---- What others have ---- */

static enum mx_err drop_unit(struct batch *b, struct request *r,
			     struct found *u)
{
	enum mx_err err = unit_remove(b, u);

	r->count += err == MX_OK;
	return err;
}

static enum mx_err apply_drop(struct batch *b, struct request *r)
{
	struct ids *all = CONTAINER_OF(r, struct ids, req);
	const uint64_t n = all->ids.n / sizeof(uint64_t);
	enum mx_err err = MX_OK;
	size_t units;

	for (; r->pos < n && b->work < WALK_STEP && err == MX_OK; b->work++)
		err = walk_message(b, r, id_at(all, r->pos++), drop_unit,
				   &units);
	r->again = err == MX_OK && r->pos < n;
	return err;
}

static const struct request_ops drop_ops = {
	.name = "drop",
	.order = ORDER_BARRIER,
	.apply = apply_drop,
	.finish = request_finish,
};

void spool_mirror_drop(struct spool *sp, const uint64_t *ids, size_t n,
		       spool_count_cb *cb, void *arg)
{
	queue_push(sp, &ask_ids(&drop_ops, ids, n, cb, arg)->req);
}
