#include "common/spool/arrears.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/spool/calm.h"
#include "common/spool/find.h"
#include "common/spool/note.h"
#include "common/spool/queue.h"

/*
 * What the mirror lacks, sent behind.
 *
 *   loop     writer               another thread         mirror
 *   pick --> marks what it sends
 *        <-- ids, their stamps --> export from a view --> N
 *   sent --> strikes off what <---------------------------+
 *            has the same stamp
 *
 * Who is picked is no longer absent for certain, whatever becomes of it: that
 * is recorded before anything is sent.
 */
enum { ROWS_BYTES = 1 << 10 };

uint64_t arrears_seq(const struct arrears *a)
{
	return a->seq;
}

void arrears_free(struct arrears **a)
{
	free(*a);
	*a = NULL;
}

/* ---- Picking ---- */

struct pick {
	struct request req;
	struct arrears *arrears;
	size_t max_bytes;
	spool_arrears_cb *cb;
	void *arg;
};

static enum mx_err pick_holds(struct batch *b, struct arrears *a)
{
	struct scan p;
	struct span name;
	enum mx_err err =
		scan_open(&p, batch_table(b, T_STALE_HOLD), b->txn);

	if (err != MX_OK)
		return err;
	for (err = scan_seek(&p, NULL); err == MX_OK && a->hold_n < ARREARS_MAX;
	     err = scan_next(&p)) {
		struct hold_mark *h = &a->holds[a->hold_n];

		if (!key_domain_parse(p.key, &name)) {
			err = MX_ECORRUPT;
			break;
		}
		memcpy(h->domain, name.p, name.n);
		h->n = name.n;
		err = note_hold_get(b->sp, b->txn, name, &h->stamp);
		if (err != MX_OK)
			break;
		a->hold_n++;
	}
	scan_close(&p);
	return err == MX_ENOENT ? MX_OK : err;
}

/* About so much has to be sent of it. */
static enum mx_err bytes_of(struct batch *b, uint64_t id,
			    const struct note *note, size_t *bytes)
{
	struct envelope env = { .bytes = 0 };
	uint32_t units;
	enum mx_err err = MX_OK;

	if (note->kind == NOTE_PART)
		err = find_message(b->sp, b->txn, id, &env, &units);
	*bytes = ROWS_BYTES;
	if (err == MX_OK && env.bytes > note->at)
		*bytes += env.bytes - note->at;
	return err == MX_ENOENT ? MX_OK : err;
}

static enum mx_err mark(struct batch *b, struct pick *p, uint64_t id,
			struct note note, size_t *bytes)
{
	size_t more;
	enum mx_err err = bytes_of(b, id, &note, &more);

	*bytes += more;
	p->arrears->marks[p->arrears->n++] = (struct mark){
		.id = id,
		.stamp = note.stamp,
		.at = note.at,
		.kind = note.kind,
	};
	return err;
}

static bool is_full(const struct pick *p, size_t bytes)
{
	return p->arrears->n == ARREARS_MAX || bytes >= p->max_bytes;
}

/* From the one behind the last that was picked, once around. */
static enum mx_err pick_stale(struct batch *b, struct pick *p, size_t *bytes)
{
	const uint64_t from = b->sp->mirror.picked;
	struct note note;
	uint64_t id = from;
	bool is_around = from == 0;
	enum mx_err err = MX_OK;

	while (!is_full(p, *bytes)) {
		err = note_next_stale(b->sp, b->txn, id + 1, &id, &note);
		if (err == MX_ENOENT && !is_around) {
			is_around = true;
			id = 0;
			continue;
		}
		if (err != MX_OK || (is_around && from != 0 && id > from))
			break;
		err = mark(b, p, id, note, bytes);
		if (err != MX_OK)
			break;
		p->req.pos = id;
	}
	return err == MX_ENOENT ? MX_OK : err;
}

/* The mirror may have them from now on. */
static enum mx_err pick_absent(struct batch *b, struct pick *p, size_t *bytes)
{
	struct note note = { .kind = NOTE_PART };
	enum mx_err err = MX_OK;
	uint64_t id = 0;

	while (!is_full(p, *bytes)) {
		err = note_next_absent(b->sp, b->txn, id + 1, &id);
		if (err == MX_OK)
			err = note_put(b, id, note);
		note.stamp = mdb_txn_id(b->txn);
		if (err == MX_OK)
			err = mark(b, p, id, note, bytes);
		if (err != MX_OK)
			break;
	}
	return err == MX_ENOENT ? MX_OK : err;
}

static enum mx_err apply_pick(struct batch *b, struct request *r)
{
	struct pick *p = CONTAINER_OF(r, struct pick, req);
	struct arrears *a = p->arrears;
	size_t bytes = 0;
	enum mx_err err;

	a->n = a->hold_n = 0;
	r->pos = b->sp->mirror.picked;
	err = pick_holds(b, a);
	if (err == MX_OK)
		err = pick_stale(b, p, &bytes);
	if (err == MX_OK)
		err = pick_absent(b, p, &bytes);
	if (err != MX_OK)
		return err;
	if (a->n + a->hold_n == 0) {
		r->err = MX_ENOENT;
		return MX_OK;
	}
	if (!is_full(p, bytes) && a->hold_n < ARREARS_MAX)
		calm_begin(b->sp);
	b->sp->mirror.picked = r->pos;
	a->seq = ++b->mirror.seq;
	b->mirror_changed = true;
	return MX_OK;
}

static void finish_pick(struct spool *sp, struct request *r)
{
	struct pick *p = CONTAINER_OF(r, struct pick, req);

	if (r->err != MX_OK)
		arrears_free(&p->arrears);
	p->cb(r->err, p->arrears, p->arg);
	request_finish(sp, r);
}

/* In step, what is touched before goes ahead with a lower number. */
static const struct request_ops pick_ops = {
	.name = "pick",
	.order = ORDER_BARRIER,
	.mirrors = true,
	.apply = apply_pick,
	.finish = finish_pick,
};

void spool_mirror_pick(struct spool *sp, size_t max_bytes,
		       spool_arrears_cb *cb, void *arg)
{
	struct pick *p = request_new(&pick_ops, sizeof(*p), NULL, 0);

	p->arrears = mx_alloc(sizeof(*p->arrears));
	p->max_bytes = max_bytes;
	p->cb = cb;
	p->arg = arg;
	queue_push(sp, &p->req);
}

/* ---- Striking off ---- */

struct sent {
	struct request req; /* count: how many are struck off */
	struct arrears *arrears;
};

static enum mx_err strike(struct batch *b, struct request *r,
			  const struct mark *m)
{
	struct note note;
	enum mx_err err = note_get(b->sp, b->txn, m->id, &note);

	if (err != MX_OK || note.kind == NOTE_NONE || m->is_damaged)
		return err;
	if (note.stamp == m->stamp && m->is_whole) {
		r->count++;
		return note_put(b, m->id, (struct note){ .kind = NOTE_NONE });
	}
	if (!m->is_whole)
		b->sp->mirror.picked = m->id - 1; /* go on with it */
	if (note.kind == NOTE_PART && m->kind == NOTE_PART && m->at > note.at)
		note.at = m->at;
	return note_put(b, m->id, note);
}

static enum mx_err strike_hold(struct batch *b, struct request *r,
			       const struct hold_mark *h)
{
	struct span name = span_of(h->domain, h->n);
	uint64_t stamp;
	enum mx_err err = note_hold_get(b->sp, b->txn, name, &stamp);

	if (err != MX_OK || stamp != h->stamp)
		return err;
	r->count++;
	return note_hold_del(b, name);
}

static enum mx_err apply_sent(struct batch *b, struct request *r)
{
	const struct arrears *a = CONTAINER_OF(r, struct sent, req)->arrears;
	enum mx_err err = MX_OK;

	for (size_t i = 0; i < a->hold_n && err == MX_OK; i++)
		err = strike_hold(b, r, &a->holds[i]);
	for (size_t i = 0; i < a->exported && err == MX_OK; i++)
		err = strike(b, r, &a->marks[i]);
	if (b->mirror.low < a->seq)
		b->mirror.low = a->seq;
	b->mirror_changed = true;
	return err;
}

static void finish_sent(struct spool *sp, struct request *r)
{
	arrears_free(&CONTAINER_OF(r, struct sent, req)->arrears);
	request_finish(sp, r);
}

static const struct request_ops sent_ops = {
	.name = "sent",
	.order = ORDER_BARRIER,
	.mirrors = true,
	.apply = apply_sent,
	.finish = finish_sent,
};

void spool_mirror_sent(struct spool *sp, struct arrears **a,
		       spool_count_cb *cb, void *arg)
{
	struct sent *s = request_new(&sent_ops, sizeof(*s), NULL, 0);

	s->req.cb = cb;
	s->req.arg = arg;
	s->arrears = *a;
	*a = NULL;
	queue_push(sp, &s->req);
}
