#include "common/spool/pieces.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/spool/content.h"
#include "common/spool/queue.h"
#include "common/spool/room.h"
#include "common/spool/touch.h"

/* ---- Storing them ---- */

static enum mx_err apply_piece(struct batch *b, struct request *r)
{
	struct piece *p = CONTAINER_OF(r, struct piece, req);
	enum mx_err err = MX_OK;

	/* without its bytes: the transaction before this one failed */
	if (p->data == NULL && p->draft->writer_err == MX_OK)
		p->draft->writer_err = MX_EIO;
	r->err = p->draft->writer_err;
	MX_ASSERT(p->offset >= CONTENT_BASE);
	if (r->err != MX_OK)
		return MX_OK;
	if (p->is_first)
		err = p->draft->is_adopted
			      ? content_name_adopted(b, r->id)
			      : content_name(b, GARBAGE_OPEN, r->id);
	if (err == MX_OK)
		err = content_put(b, r->id, p->offset, span_of(p->data, p->n));
	if (p->is_first && !p->draft->is_adopted)
		touch_message(b, r->id, TOUCH_FIRST);
	if (!p->draft->is_adopted)
		touch_content(b, r->id, p->offset);
	b->coming += p->n;
	free(p->data);
	p->data = NULL;
	return err;
}

/* The seal may be on its way already: it must not go through. */
static void failed_piece(struct request *r)
{
	CONTAINER_OF(r, struct piece, req)->draft->writer_err = r->err;
}

/*
 * Room is taken as content comes.  What was announced takes none: a client
 * that names a size and sends nothing would else fill the spool for a line.
 * Nor do the first few bytes, for one that stops behind them.
 */
uint64_t draft_need(const struct spool_draft *d)
{
	return d->bytes <= ADDED_BYTES ? 0
				       : room_need(d->bytes - d->stored_bytes);
}

static void draft_stored(struct spool_draft *d, size_t n)
{
	uint64_t need;

	d->stored_bytes += n;
	MX_ASSERT(d->stored_bytes <= d->handed_bytes &&
		  d->handed_bytes <= d->bytes);
	need = draft_need(d);
	if (need >= d->reserved)
		return;
	room_give(d->sp, d->reserved - need);
	d->reserved = need;
}

static void draft_free(struct spool_draft *d)
{
	MX_ASSERT(d->in_flight == 0 && d->piece == NULL);
	room_give(d->sp, d->reserved);
	buf_fini(&d->prefix);
	buf_fini(&d->hold_reason);
	buf_fini(&d->fact_key);
	buf_fini(&d->fact_value);
	free(d);
}

static void draft_unref(struct spool_draft *d)
{
	MX_ASSERT(d->in_flight > 0);
	d->in_flight--;
	if (d->in_flight == 0 && d->has_left)
		draft_free(d);
}

static void finish_piece(struct spool *sp, struct request *r)
{
	struct piece *p = CONTAINER_OF(r, struct piece, req);
	struct spool_draft *d = p->draft;

	(void)sp;
	if (r->err != MX_OK && d->err == MX_OK)
		d->err = r->err;
	if (r->err == MX_OK)
		draft_stored(d, p->n);
	piece_free(p);
	draft_unref(d);
}

static const struct request_ops piece_ops = {
	.name = "piece",
	.order = ORDER_ARRIVAL,
	.fills = true,
	.lazy = true,
	.undoable = true,
	.apply = apply_piece,
	.failed = failed_piece,
	.finish = finish_piece,
};

/* The mirror has it, and keeps it: request.pos. */
enum { IS_ADOPTED = 1 };

static enum mx_err apply_discard(struct batch *b, struct request *r)
{
	enum mx_err err = content_unname(b, GARBAGE_OPEN, r->id);

	if (err == MX_OK && r->pos != IS_ADOPTED)
		touch_message(b, r->id, TOUCH_DRAFT_GONE);
	if (err == MX_ENOENT) /* no piece of it was ever committed */
		return MX_OK;
	return err == MX_OK ? content_name(b, GARBAGE_DEAD, r->id) : err;
}

static const struct request_ops discard_ops = {
	.name = "discard",
	.order = ORDER_ARRIVAL,
	.lazy = true,
	.undoable = true,
	.apply = apply_discard,
	.finish = request_finish,
};

/* ---- The loop's side ---- */

struct piece *piece_resize(struct spool_draft *d, struct piece *p, size_t cap)
{
	size_t n = p != NULL ? p->n : 0;

	MX_ASSERT(n <= cap);
	d->sp->draft_bytes += cap - (p != NULL ? p->cap : 0);
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
	MX_ASSERT(p->n <= p->cap && p->cap <= d->sp->draft_bytes);
	d->piece = NULL;
	d->sp->draft_bytes -= p->cap;
	if (p->n == 0) {
		piece_free(p);
		return NULL;
	}
	p->req = (struct request){ .ops = &piece_ops,
				   .id = d->id,
				   .bytes = p->cap };
	p->draft = d;
	p->offset = CONTENT_BASE + d->handed_bytes;
	p->is_first = d->handed_bytes == 0;
	return p;
}

void piece_hand_over(struct spool_draft *d)
{
	struct piece *p = piece_take(d);

	MX_ASSERT(!d->has_left);
	if (p == NULL)
		return;
	d->handed_bytes += p->n;
	d->in_flight++;
	queue_push(d->sp, &p->req);
}

/* What the writer has of it is to go. */
static void discard_pieces(struct spool_draft *d)
{
	struct request *r;

	if (d->handed_bytes == 0)
		return;
	r = request_new(&discard_ops, sizeof(*r), NULL, 0);
	r->id = d->id;
	r->pos = d->is_adopted ? IS_ADOPTED : 0;
	queue_push(d->sp, r);
}

void draft_leave(struct spool_draft *d)
{
	MX_ASSERT(!d->has_left);
	piece_free(piece_take(d));
	discard_pieces(d);
	d->has_left = true;
	if (d->in_flight == 0)
		draft_free(d);
}

/* The prefix in front of what is there, if that is all and both are one piece:
 * an ordinary message is one row. */
static void join_prefix(struct spool_draft *d)
{
	const struct span prefix = buf_span(&d->prefix);
	const size_t had = d->piece != NULL ? d->piece->n : 0;
	const size_t n = prefix.n + had;
	struct piece *p = d->piece;

	if (prefix.n == 0 || d->handed_bytes > 0 || n > d->sp->chunk_bytes)
		return;
	if (p == NULL || p->cap < n)
		p = d->piece = piece_resize(d, p, n);
	memmove(p->data + prefix.n, p->data, had);
	memcpy(p->data, prefix.p, prefix.n);
	p->n = n;
	buf_reset(&d->prefix);
}

struct piece *draft_tail(struct spool_draft *d)
{
	struct piece *p;

	MX_ASSERT(!d->has_left);
	join_prefix(d);
	p = piece_take(d);
	if (p != NULL && d->handed_bytes == 0 && d->prefix.n == 0)
		p->offset = 0;
	d->has_left = true;
	d->in_flight++;
	return p;
}

void draft_end(struct spool_draft *d, bool is_sealed)
{
	if (!is_sealed)
		discard_pieces(d);
	draft_unref(d);
}
