#include "common/spool/arrive.h"

#include <stdlib.h>

#include "common/spool/bytes.h"

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

static enum mx_err content_put(struct batch *b, const struct piece *p,
			       uint64_t id)
{
	struct key k;

	key_content(&k, id, p->offset);
	return table_put(batch_table(b, T_CONTENT), b->txn, &k,
			 span_of(p->data, p->n));
}

static enum mx_err garbage_put(struct batch *b, enum garbage_kind kind,
			       uint64_t id)
{
	struct key k;

	key_garbage(&k, kind, id);
	if (kind == GARBAGE_DEAD)
		b->made_dead = true;
	return table_put(batch_table(b, T_GARBAGE), b->txn, &k, SPAN_LIT(""));
}

static enum mx_err garbage_del(struct batch *b, enum garbage_kind kind,
			       uint64_t id)
{
	struct key k;

	key_garbage(&k, kind, id);
	return table_del(batch_table(b, T_GARBAGE), b->txn, &k);
}

static enum mx_err apply_piece(struct batch *b, struct request *r)
{
	struct piece *p = CONTAINER_OF(r, struct piece, req);
	enum mx_err err = MX_OK;

	/* without its bytes: the transaction before this one failed */
	if (p->data == NULL && p->draft->writer_err == MX_OK)
		p->draft->writer_err = MX_EIO;
	r->err = p->draft->writer_err;
	if (r->err != MX_OK)
		return MX_OK;
	if (p->is_first)
		err = garbage_put(b, GARBAGE_OPEN, r->id);
	if (err == MX_OK)
		err = content_put(b, p, r->id);
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

const struct request_ops piece_ops = {
	.name = "piece",
	.order = ORDER_ARRIVAL,
	.fills = true,
	.lazy = true,
	.apply = apply_piece,
	.failed = failed_piece,
	.finish = finish_piece,
};

static enum mx_err apply_discard(struct batch *b, struct request *r)
{
	enum mx_err err = garbage_del(b, GARBAGE_OPEN, r->id);

	if (err == MX_ENOENT) /* no piece of it was ever committed */
		return MX_OK;
	return err == MX_OK ? garbage_put(b, GARBAGE_DEAD, r->id) : err;
}

static void finish_discard(struct spool *sp, struct request *r)
{
	(void)sp;
	free(r);
}

const struct request_ops discard_ops = {
	.name = "discard",
	.order = ORDER_ARRIVAL,
	.lazy = true,
	.apply = apply_discard,
	.finish = finish_discard,
};

static void skip_recipients(struct bytes_in *in)
{
	uint32_t count = (uint32_t)bytes_get(in, 4);

	for (uint32_t i = 0; i < count; i++) {
		bytes_get(in, 4);
		bytes_get_span(in);
	}
}

static enum mx_err put_recipients(struct batch *b, struct bytes_in *in,
				  uint64_t id, struct span domain)
{
	uint32_t count = (uint32_t)bytes_get(in, 4);
	enum mx_err err = MX_OK;

	for (uint32_t i = 0; i < count && err == MX_OK; i++) {
		uint32_t number = (uint32_t)bytes_get(in, 4);
		struct span row = bytes_get_span(in);
		struct key k;

		key_recipient(&k, id, domain, number);
		err = table_put(batch_table(b, T_RECIPIENT), b->txn, &k, row);
	}
	return err;
}

static enum mx_err count_unit(struct batch *b, const struct arrival *a,
			      struct span domain)
{
	struct domain_row *row;
	enum mx_err err = batch_domain(b, domain, &row);

	if (err != MX_OK)
		return err;
	if (row->d.units == 0 || a->id < row->oldest_id) {
		row->oldest_id = a->id;
		row->d.oldest_ms = a->arrived_ms;
	}
	row->d.units++;
	row->d.ready++;
	row->d.bytes += a->bytes;
	batch_announce(b, domain);
	return MX_OK;
}

static enum mx_err put_unit(struct batch *b, const struct arrival *a,
			    struct bytes_in *in)
{
	struct span domain = bytes_get_span(in);
	int64_t expires_ms = (int64_t)bytes_get(in, 8);
	int64_t warn_ms = (int64_t)bytes_get(in, 8);
	struct key k;
	enum mx_err err;

	bytes_get(in, 1); /* the claim: judged before */
	err = put_recipients(b, in, a->id, domain);
	key_ready(&k, domain, a->id);
	if (err == MX_OK)
		err = table_put(batch_table(b, T_READY), b->txn, &k,
				SPAN_LIT(""));
	if (err == MX_OK)
		err = unit_expiry_put(b, a->id, domain, expires_ms, warn_ms);
	return err == MX_OK ? count_unit(b, a, domain) : err;
}

/* Has one of its domains had its share already?  Exact: the rows are those of
 * this transaction.  Nothing is changed. */
static enum mx_err judge(struct batch *b, const struct arrival *a,
			 struct bytes_in in, enum mx_err *fault)
{
	const uint64_t coming =
		b->coming + (a->tail != NULL ? a->tail->n : 0);

	if (a->draft->may_use_margin || !room_is_tight(b->sp, coming))
		return MX_OK;
	for (uint32_t i = 0; i < a->units; i++) {
		struct span domain = bytes_get_span(&in);
		struct domain_row *row;
		enum spool_claim claim;
		enum mx_err err = batch_domain(b, domain, &row);

		if (err != MX_OK)
			return err;
		bytes_get(&in, 8 + 8);
		claim = (enum spool_claim)bytes_get(&in, 1);
		if (!room_is_fair(b->sp, &row->d, a->bytes, coming, claim))
			*fault = MX_ESHARE;
		skip_recipients(&in);
	}
	return MX_OK;
}

enum mx_err arrival_apply(struct batch *b, struct arrival *a,
			  enum mx_err *fault)
{
	struct bytes_in in = { { a->blob, a->n }, false };
	struct span row = bytes_get_n(&in, a->message_n);
	struct key k;
	enum mx_err err = MX_OK;

	*fault = a->draft->writer_err;
	if (*fault == MX_OK)
		err = judge(b, a, in, fault);
	if (err != MX_OK || *fault != MX_OK)
		return err;
	b->coming += a->tail != NULL ? a->tail->n : 0;
	if (a->tail != NULL)
		err = content_put(b, a->tail, a->id);
	if (err == MX_OK && a->draft->handed_bytes > 0)
		err = garbage_del(b, GARBAGE_OPEN, a->id);
	key_message(&k, a->id);
	if (err == MX_OK)
		err = table_put(batch_table(b, T_MESSAGE), b->txn, &k, row);
	for (uint32_t i = 0; i < a->units && err == MX_OK; i++)
		err = put_unit(b, a, &in);
	b->state.bytes += a->bytes;
	MX_ASSERT(err != MX_OK || bytes_end(&in));
	return err;
}

/* Delete up to *left pieces of a content. */
static enum mx_err delete_pieces(struct batch *b, uint64_t id, size_t *left)
{
	struct place p;
	struct key k;
	enum mx_err err = place_open(&p, batch_table(b, T_CONTENT), b->txn);

	if (err != MX_OK)
		return err;
	key_message(&k, id); /* what all of its pieces begin with */
	err = place_seek(&p, &k);
	while (err == MX_OK && *left > 0 && key_starts(p.key, &k)) {
		(*left)--;
		err = place_del(&p);
		if (err == MX_OK)
			err = place_next(&p);
	}
	place_close(&p);
	return err == MX_ENOENT ? MX_OK : err;
}

enum mx_err content_drop(struct batch *b, uint64_t id, uint64_t bytes)
{
	size_t no_limit = SIZE_MAX;

	if (bytes > DROP_AT_ONCE_BYTES)
		return garbage_put(b, GARBAGE_DEAD, id);
	return delete_pieces(b, id, &no_limit);
}

/*
 * The next content to delete: what is dead, then what a former process left
 * open (its drafts have ids up to former_id).  MX_ENOENT: nothing.
 */
static enum mx_err next_garbage(struct batch *b, enum garbage_kind *kind,
				uint64_t *id)
{
	struct writer *w = &b->sp->writer;
	struct place p;
	enum mx_err err = place_open(&p, batch_table(b, T_GARBAGE), b->txn);

	if (err != MX_OK)
		return err;
	err = place_seek(&p, NULL);
	if (err == MX_OK && !key_garbage_parse(p.key, kind, id))
		err = MX_ECORRUPT;
	if (err == MX_OK && *kind == GARBAGE_OPEN &&
	    (w->opened_clean || *id > w->former_id)) {
		w->opened_clean = true;
		err = MX_ENOENT;
	}
	place_close(&p);
	return err;
}

enum mx_err sweep_step(struct batch *b, bool *more)
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
			err = garbage_del(b, kind, id);
			if (err != MX_OK)
				break;
		}
	}
	*more = err == MX_OK;
	return err == MX_ENOENT ? MX_OK : err;
}
