#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/spool/arrive.h"

/*
 * A draft fills one piece at a time.  Memory of all drafts together is
 * bounded: while there is plenty a piece grows to a full chunk; beyond half of
 * the budget pieces are one page, beyond the whole a quarter of one, and are
 * handed to the writer the earlier.  So 10,000 clients that send a byte a
 * second hold a few MiB, and one that sends fast writes whole chunks.
 */
enum {
	BUDGET_BYTES = 16 << 20,
	PIECE_TIGHT = 1008,
	PIECE_PAGE = 4096 - PAGE_HEADER_BYTES,
	PIECE_SMALL = 8192 - PAGE_HEADER_BYTES,
	ROOM_MIN = 64, /* what spool_draft_buffer promises */
	ADDED_BYTES = 512, /* our own Received field */
};

static uint64_t next_id(struct spool *sp, int64_t now_ms)
{
	uint64_t last =
		atomic_load_explicit(&sp->last_id, memory_order_relaxed);
	uint64_t id = (uint64_t)(now_ms > 0 ? now_ms : 0) << 20;

	/* a clock that stands or goes back: count on from the last one */
	if (id <= last)
		id = last + 1;
	atomic_store_explicit(&sp->last_id, id, memory_order_relaxed);
	return id;
}

static enum mx_err draft_new(struct spool *sp, int64_t now_ms,
			     uint64_t expect_bytes, bool may_use_margin,
			     struct spool_draft **out)
{
	uint64_t need = room_need(expect_bytes + ADDED_BYTES);
	enum mx_err err = room_check(sp, need, may_use_margin);
	struct spool_draft *d;

	*out = NULL;
	if (err != MX_OK)
		return err;
	d = mx_alloc(sizeof(*d));
	d->sp = sp;
	d->id = next_id(sp, now_ms);
	d->expect_bytes = expect_bytes;
	d->may_use_margin = may_use_margin;
	*out = d;
	return MX_OK;
}

enum mx_err spool_draft_new(struct spool *sp, int64_t now_wall_ms,
			    uint64_t expect_bytes, struct spool_draft **out)
{
	return draft_new(sp, now_wall_ms, expect_bytes, false, out);
}

enum mx_err spool_draft_report(struct spool *sp, int64_t now_wall_ms,
			       uint64_t expect_bytes, struct spool_draft **out)
{
	return draft_new(sp, now_wall_ms, expect_bytes, true, out);
}

uint64_t spool_last_id(const struct spool *sp)
{
	return atomic_load_explicit(&sp->last_id, memory_order_relaxed);
}

uint64_t spool_draft_id(const struct spool_draft *d)
{
	return d->id;
}

enum mx_err spool_draft_error(const struct spool_draft *d)
{
	return d->err;
}

static size_t first_cap(const struct spool_draft *d)
{
	size_t memory = d->sp->drafts.bytes;
	uint64_t expect = d->expect_bytes + ADDED_BYTES;

	if (memory >= BUDGET_BYTES)
		return PIECE_TIGHT;
	if (memory >= BUDGET_BYTES / 2)
		return PIECE_PAGE;
	if (d->handed_bytes > 0 || expect > PIECE_SMALL)
		return d->sp->chunk_bytes;
	return PIECE_SMALL;
}

/* A piece of cap bytes; p, if not NULL, is the one it replaces. */
static struct piece *piece_resize(struct spool_draft *d, struct piece *p,
				  size_t cap)
{
	size_t n = p != NULL ? p->n : 0;

	d->sp->drafts.bytes += cap - (p != NULL ? p->cap : 0);
	if (p == NULL)
		p = mx_alloc(sizeof(*p));
	p->data = mx_realloc(p->data, cap);
	p->n = n;
	p->cap = cap;
	return p;
}

void piece_free(struct piece *p)
{
	if (p != NULL)
		free(p->data);
	free(p);
}

/* The piece leaves the draft; it is no longer the draft's memory. */
static struct piece *piece_take(struct spool_draft *d)
{
	struct piece *p = d->piece;

	if (p == NULL)
		return NULL;
	d->piece = NULL;
	d->sp->drafts.bytes -= p->cap;
	if (p->n == 0) {
		piece_free(p);
		return NULL;
	}
	p->req = (struct request){ .ops = &piece_ops,
				   .id = d->id,
				   .bytes = p->cap };
	p->draft = d;
	p->offset = d->handed_bytes;
	p->is_first = d->handed_bytes == 0;
	return p;
}

static void hand_over(struct spool_draft *d)
{
	struct piece *p = piece_take(d);

	if (p == NULL)
		return;
	d->handed_bytes += p->n;
	d->in_flight++;
	writer_push(d->sp, &p->req);
}

static bool may_grow(const struct spool_draft *d)
{
	return d->piece->cap >= PIECE_SMALL &&
	       d->piece->cap < d->sp->chunk_bytes &&
	       d->sp->drafts.bytes < BUDGET_BYTES / 2;
}

char *spool_draft_buffer(struct spool_draft *d, size_t *room)
{
	if (d->err != MX_OK && d->piece != NULL)
		d->piece->n = 0; /* thrown away */
	if (d->piece != NULL && d->piece->cap - d->piece->n < ROOM_MIN) {
		if (may_grow(d))
			d->piece =
				piece_resize(d, d->piece, d->sp->chunk_bytes);
		else
			hand_over(d);
	}
	if (d->piece == NULL)
		d->piece = piece_resize(d, NULL, first_cap(d));
	*room = d->piece->cap - d->piece->n;
	return d->piece->data + d->piece->n;
}

/*
 * Room is taken as content comes.  What was announced takes none: a client
 * that names a size and sends nothing would else fill the spool for a line.
 * Nor does our own field, for one that stops behind its first command.
 */
static uint64_t needed(const struct spool_draft *d)
{
	return d->bytes <= ADDED_BYTES ? 0
				       : room_need(d->bytes - d->stored_bytes);
}

static void extend(struct spool_draft *d)
{
	uint64_t need = needed(d);

	if (need <= d->reserved || d->err != MX_OK)
		return;
	d->err = room_take(d->sp, need - d->reserved, d->may_use_margin);
	if (d->err == MX_OK)
		d->reserved = need;
}

void draft_stored(struct spool_draft *d, size_t n)
{
	uint64_t need;

	d->stored_bytes += n;
	need = needed(d);
	if (need >= d->reserved)
		return;
	room_give(d->sp, d->reserved - need);
	d->reserved = need;
}

void spool_draft_used(struct spool_draft *d, size_t n)
{
	MX_ASSERT(d->piece != NULL && n <= d->piece->cap - d->piece->n);
	d->piece->n += n;
	d->bytes += n;
	extend(d);
}

void spool_draft_write(struct spool_draft *d, struct span s)
{
	while (s.n > 0) {
		size_t room;
		char *to = spool_draft_buffer(d, &room);

		if (room > s.n)
			room = s.n;
		memcpy(to, s.p, room);
		spool_draft_used(d, room);
		s = span_skip(s, room);
	}
}

static void draft_free(struct spool_draft *d)
{
	room_give(d->sp, d->reserved);
	free(d);
}

void draft_unref(struct spool_draft *d)
{
	d->in_flight--;
	if (d->in_flight == 0 && d->has_left)
		draft_free(d);
}

/* What the writer has of it is to go. */
static void discard_pieces(struct spool_draft *d)
{
	struct request *r;

	if (d->handed_bytes == 0)
		return;
	r = mx_alloc(sizeof(*r));
	r->ops = &discard_ops;
	r->id = d->id;
	r->bytes = sizeof(*r);
	writer_push(d->sp, r);
}

void spool_draft_discard(struct spool_draft **draft)
{
	struct spool_draft *d = *draft;

	if (d == NULL)
		return;
	*draft = NULL;
	piece_free(piece_take(d));
	discard_pieces(d);
	d->has_left = true;
	if (d->in_flight == 0)
		draft_free(d);
}

struct piece *draft_tail(struct spool_draft *d)
{
	struct piece *p = piece_take(d);

	d->has_left = true;
	d->in_flight++;
	return p;
}

void arrival_finish(struct arrival *a, enum mx_err err)
{
	struct spool_draft *d = a->draft;

	if (err != MX_OK)
		discard_pieces(d);
	piece_free(a->tail);
	a->tail = NULL;
	a->draft = NULL;
	draft_unref(d);
}
