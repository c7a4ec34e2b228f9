#include "common/base/alloc.h"
#include "common/spool/pieces.h"
#include "common/spool/room.h"

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
};

uint64_t draft_next_id(struct spool *sp, int64_t now_ms)
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

enum mx_err draft_open(struct spool *sp, uint64_t id, uint64_t expect_bytes,
		       bool may_use_margin, struct spool_draft **out)
{
	uint64_t need = room_need(expect_bytes + ADDED_BYTES);
	enum mx_err err = room_check(sp, need, may_use_margin);
	struct spool_draft *d;

	MX_ASSERT(!sp->is_reader);
	*out = NULL;
	if (err != MX_OK)
		return err;
	d = mx_alloc(sizeof(*d));
	d->sp = sp;
	d->id = id;
	d->expect_bytes = expect_bytes;
	d->may_use_margin = may_use_margin;
	*out = d;
	return MX_OK;
}

enum mx_err spool_draft_new(struct spool *sp, int64_t now_wall_ms,
			    uint64_t expect_bytes, struct spool_draft **out)
{
	return draft_open(sp, draft_next_id(sp, now_wall_ms), expect_bytes,
			  false, out);
}

enum mx_err spool_draft_report(struct spool *sp, int64_t now_wall_ms,
			       uint64_t expect_bytes, struct spool_draft **out)
{
	return draft_open(sp, draft_next_id(sp, now_wall_ms), expect_bytes,
			  true, out);
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
	size_t memory = d->sp->draft_bytes;
	uint64_t expect = d->expect_bytes + ADDED_BYTES;

	if (memory >= BUDGET_BYTES)
		return PIECE_TIGHT;
	if (memory >= BUDGET_BYTES / 2)
		return PIECE_PAGE;
	if (d->handed_bytes > 0 || expect > PIECE_SMALL)
		return d->sp->chunk_bytes;
	return PIECE_SMALL;
}

static bool may_grow(const struct spool_draft *d)
{
	return d->piece->cap >= PIECE_SMALL &&
	       d->piece->cap < d->sp->chunk_bytes &&
	       d->sp->draft_bytes < BUDGET_BYTES / 2;
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
			piece_hand_over(d);
	}
	if (d->piece == NULL)
		d->piece = piece_resize(d, NULL, first_cap(d));
	MX_ASSERT(d->piece->cap >= d->piece->n + ROOM_MIN);
	*room = d->piece->cap - d->piece->n;
	return d->piece->data + d->piece->n;
}

static void extend(struct spool_draft *d)
{
	uint64_t need = draft_need(d);

	if (need <= d->reserved || d->err != MX_OK)
		return;
	d->err = room_take(d->sp, need - d->reserved, d->may_use_margin);
	if (d->err == MX_OK)
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

enum mx_err spool_draft_prefix(struct spool_draft *d, struct span lines)
{
	MX_ASSERT(d->prefix.n == 0 && !d->has_left);
	if (lines.n > d->sp->chunk_bytes)
		return MX_EINVAL;
	buf_add(&d->prefix, lines);
	d->bytes += lines.n;
	extend(d);
	return MX_OK;
}

void spool_draft_hold(struct spool_draft *d, struct span reason)
{
	d->is_held = true;
	buf_reset(&d->hold_reason);
	buf_add(&d->hold_reason, reason);
}

void spool_draft_fact(struct spool_draft *d, struct span key, struct span value)
{
	MX_ASSERT(key.n > 0 && key.n <= KEY_NAME_MAX && value.n > 0);
	MX_ASSERT(d->fact_key.n == 0);
	buf_add(&d->fact_key, key);
	buf_add(&d->fact_value, value);
}

void spool_draft_discard(struct spool_draft **draft)
{
	struct spool_draft *d = *draft;

	*draft = NULL;
	if (d != NULL)
		draft_leave(d);
}
