#include "common/spool/content.h"

#include "common/spool/find.h"
#include "common/spool/look.h"
#include "common/spool/touch.h"

/*
 * What a crash leaves of a message:
 *
 *   pieces stored, no seal    content rows and a garbage row "open": deleted
 *                             in the background after the next start
 *   seal committed            everything; the garbage row went with the seal
 *
 * A message of one piece is stored whole by its seal and never has a garbage
 * row.
 */
enum {
	SWEEP_PIECES = 64, /* in one transaction */
	DROP_AT_ONCE_BYTES = 512 << 10,
};

enum mx_err content_put(struct batch *b, uint64_t id, uint64_t offset,
			struct span piece)
{
	struct key k;

	MX_ASSERT(piece.n > 0 && offset + piece.n > offset);
	key_content(&k, id, offset);
	return table_put(batch_table(b, T_CONTENT), b->txn, &k, piece);
}

enum mx_err content_name(struct batch *b, enum garbage_kind kind, uint64_t id)
{
	struct key k;

	key_garbage(&k, kind, id);
	if (kind == GARBAGE_DEAD)
		b->made_dead = true;
	return table_put(batch_table(b, T_GARBAGE), b->txn, &k, SPAN_LIT(""));
}

enum mx_err content_name_adopted(struct batch *b, uint64_t id)
{
	struct key k;

	key_garbage(&k, GARBAGE_OPEN, id);
	return table_put(batch_table(b, T_GARBAGE), b->txn, &k,
			 SPAN_LIT("adopted"));
}

enum mx_err content_next_open(struct spool *sp, MDB_txn *txn, uint64_t from,
			      uint64_t *id, struct span *how)
{
	enum garbage_kind kind;
	struct scan p;
	struct key k;
	enum mx_err err = scan_open(&p, &sp->tables[T_GARBAGE], txn);

	key_garbage(&k, GARBAGE_OPEN, from);
	if (err == MX_OK)
		err = scan_seek(&p, &k);
	if (err == MX_OK && !key_garbage_parse(p.key, &kind, id))
		err = MX_ECORRUPT;
	*how = p.value;
	scan_close(&p);
	return err;
}

enum mx_err content_unname(struct batch *b, enum garbage_kind kind, uint64_t id)
{
	struct key k;

	key_garbage(&k, kind, id);
	return table_del(batch_table(b, T_GARBAGE), b->txn, &k);
}

/* Delete up to *left pieces of a content. */
static enum mx_err delete_pieces(struct batch *b, uint64_t id, size_t *left)
{
	struct scan p;
	struct key k;
	enum mx_err err = scan_open(&p, batch_table(b, T_CONTENT), b->txn);

	if (err != MX_OK)
		return err;
	key_message(&k, id); /* what all of its pieces begin with */
	err = scan_seek(&p, &k);
	while (err == MX_OK && *left > 0 && key_starts(p.key, &k)) {
		(*left)--;
		err = scan_del(&p);
		if (err == MX_OK)
			err = scan_next(&p);
	}
	scan_close(&p);
	return err == MX_ENOENT ? MX_OK : err;
}

enum mx_err content_drop(struct batch *b, uint64_t id, uint64_t bytes)
{
	size_t no_limit = SIZE_MAX;

	if (bytes > DROP_AT_ONCE_BYTES)
		return content_name(b, GARBAGE_DEAD, id);
	return delete_pieces(b, id, &no_limit);
}

/*
 * The next content to delete: what is dead, then what a former process left
 * open (its drafts have ids up to former_id).  MX_ENOENT: nothing.
 */
static enum mx_err next_garbage(struct batch *b, enum garbage_kind *kind,
				uint64_t *id)
{
	struct spool *sp = b->sp;
	struct scan p;
	enum mx_err err = scan_open(&p, batch_table(b, T_GARBAGE), b->txn);

	if (err != MX_OK)
		return err;
	err = scan_seek(&p, NULL);
	if (err == MX_OK && !key_garbage_parse(p.key, kind, id))
		err = MX_ECORRUPT;
	if (err == MX_OK && *kind == GARBAGE_OPEN &&
	    (atomic_load(&sp->opened_clean) || *id > sp->former_id))
		err = MX_ENOENT;
	if (err == MX_ENOENT)
		atomic_store(&sp->opened_clean, true);
	scan_close(&p);
	return err;
}

/* What a former process left of a draft, the mirror may have. */
static enum mx_err sweep_name(struct batch *b, enum garbage_kind kind,
			      uint64_t id)
{
	struct span how;
	uint64_t at;
	enum mx_err err = MX_OK;

	if (kind == GARBAGE_OPEN)
		err = content_next_open(b->sp, b->txn, id, &at, &how);
	if (err == MX_OK && kind == GARBAGE_OPEN && how.n == 0)
		touch_message(b, id, TOUCH_DRAFT_GONE);
	return err == MX_OK ? content_unname(b, kind, id) : err;
}

enum mx_err content_sweep(struct batch *b, bool *more)
{
	size_t left = SWEEP_PIECES;
	enum mx_err err = MX_OK;

	*more = true;
	while (left > 0) {
		enum garbage_kind kind;
		uint64_t id;

		err = next_garbage(b, &kind, &id);
		if (err == MX_OK)
			err = delete_pieces(b, id, &left);
		if (err != MX_OK)
			break;
		if (left > 0) { /* all of it went */
			left--;
			err = sweep_name(b, kind, id);
			if (err != MX_OK)
				break;
		}
	}
	*more = err == MX_OK;
	return err == MX_ENOENT ? MX_OK : err;
}

/* ---- Reading ---- */

/* Go to the row that has this position, where there is one; *first is the
 * offset of position 0. */
static enum mx_err seek_position(struct scan *p, uint64_t id, uint64_t at,
				 uint64_t *first)
{
	uint64_t of;
	struct key k;
	enum mx_err err;

	key_content(&k, id, 0);
	err = scan_seek(p, &k);
	if (err != MX_OK)
		return err;
	if (!key_content_parse(p->key, &of, first) || of != id ||
	    *first > CONTENT_BASE)
		return MX_ECORRUPT;
	if (at < p->value.n)
		return MX_OK;
	key_content(&k, id, *first + at + 1);
	return scan_seek_before(p, &k);
}

/* Append from the pieces that hold offset and what follows it. */
static enum mx_err copy_pieces(struct scan *p, uint64_t id, uint64_t offset,
			       uint64_t end, struct buf *out)
{
	uint64_t first = 0;
	enum mx_err err = seek_position(p, id, offset, &first);

	offset += first;
	end += first;
	while (err == MX_OK && offset < end) {
		uint64_t at, from, n;

		if (!key_content_parse(p->key, &at, &from) || at != id ||
		    from > offset || offset - from >= p->value.n)
			return MX_ECORRUPT;
		n = p->value.n - (offset - from);
		if (n > end - offset)
			n = end - offset;
		buf_add(out, span_of(p->value.p + (offset - from), n));
		offset += n;
		if (offset < end)
			err = scan_next(p);
	}
	return err == MX_ENOENT ? MX_ECORRUPT : err;
}

enum mx_err spool_content(struct spool *sp, uint64_t id, uint64_t offset,
			  size_t max, struct buf *out)
{
	struct envelope env;
	struct scan p;
	MDB_txn *txn;
	uint64_t end;
	uint32_t units;
	enum mx_err err = read_begin(sp, &txn);

	if (err != MX_OK)
		return err;
	/* A message that was removed meanwhile must not look like one that
	 * ends here: its row says how long it is. */
	err = find_message(sp, txn, id, &env, &units);
	if (err != MX_OK || offset >= env.bytes || max == 0)
		goto done;
	end = env.bytes - offset < max ? env.bytes : offset + max;
	err = scan_open(&p, &sp->tables[T_CONTENT], txn);
	if (err == MX_OK) {
		err = copy_pieces(&p, id, offset, end, out);
		scan_close(&p);
	}
done:
	read_end(sp);
	return err;
}
