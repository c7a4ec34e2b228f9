#include "common/base/log.h"
#include "common/spool/queue.h"
#include "common/spool/spool_priv.h"

#include "common/spool/bytes.h"
#include "common/spool/look.h"

/*
 * What is known of recipients, written behind: nobody waits for it.
 *
 *   known       key:8 -> the row
 *   known-good  at:8 key:8 -> nothing     who is one, in the order of learning
 *   known-bad   at:8 key:8 -> nothing     who is none
 *
 * There is a bound to the rows, and the oldest go first.  Strangers make up as
 * many recipients as they like: so those that do not exist have half of the
 * rows at most, or they would drive out the others.
 */
enum {
	ORDER_SIZE = 8 + SPOOL_KNOWN_KEY_SIZE,
	GO_AT_ONCE = 100, /* rows over the bound, beside each one that comes */
};

/* ---- Writing ---- */

struct learn {
	struct request req;
	unsigned char key[SPOOL_KNOWN_KEY_SIZE];
	uint64_t max;
	bool is_forgotten;
	struct spool_known row;
};

static struct span key_of(const struct learn *l)
{
	return span_of((const char *)l->key, sizeof(l->key));
}

static enum table_id order_of(const struct spool_known *k)
{
	return k->what == KNOWN_NO ? T_KNOWN_BAD : T_KNOWN_GOOD;
}

static struct span order_key(char key[static ORDER_SIZE], int64_t at_ms,
			     struct span of)
{
	memcpy(bytes_put(key, (uint64_t)at_ms, 8), of.p, SPOOL_KNOWN_KEY_SIZE);
	return span_of(key, ORDER_SIZE);
}

static enum mx_err or_gone(enum mx_err err)
{
	return err == MX_ENOENT ? MX_OK : err;
}

/* Both of its rows.  One that is damaged has no place in the order. */
static enum mx_err take_out(struct batch *b, struct span key)
{
	struct table *known = batch_table(b, T_KNOWN);
	char order[ORDER_SIZE];
	struct spool_known was;
	struct span row;
	enum mx_err err = table_get_name(known, b->txn, key, &row);

	if (err != MX_OK)
		return or_gone(err);
	if (known_row_get(row, &was))
		err = or_gone(table_del_name(batch_table(b, order_of(&was)),
					     b->txn,
					     order_key(order, was.at_ms, key)));
	return err == MX_OK ? or_gone(table_del_name(known, b->txn, key)) : err;
}

/* The oldest of an order: its time, and whose it is; MX_ENOENT: none. */
static enum mx_err oldest(struct batch *b, enum table_id t, uint64_t *at,
			  char order[static ORDER_SIZE])
{
	struct scan p;
	enum mx_err err = scan_open(&p, batch_table(b, t), b->txn);

	if (err == MX_OK)
		err = scan_seek(&p, NULL);
	if (err == MX_OK && p.key.n != ORDER_SIZE)
		err = MX_ECORRUPT;
	if (err == MX_OK) {
		struct bytes_in in = { p.key, false };

		memcpy(order, p.key.p, ORDER_SIZE);
		*at = bytes_get(&in, 8);
	}
	scan_close(&p);
	return err;
}

/* Whose turn it is to go. */
static enum table_id who_goes(struct batch *b, uint64_t bad, uint64_t max,
			      char order[static ORDER_SIZE], enum mx_err *err)
{
	char good_order[ORDER_SIZE];
	uint64_t good_at = UINT64_MAX, bad_at = UINT64_MAX;
	enum mx_err good_err = oldest(b, T_KNOWN_GOOD, &good_at, good_order);
	enum mx_err bad_err = oldest(b, T_KNOWN_BAD, &bad_at, order);

	if (bad_err == MX_OK && (bad > max / 2 || bad_at <= good_at)) {
		*err = MX_OK;
		return T_KNOWN_BAD;
	}
	memcpy(order, good_order, ORDER_SIZE);
	*err = good_err == MX_ENOENT && bad_err != MX_ENOENT ? bad_err
							    : good_err;
	return T_KNOWN_GOOD;
}

static enum mx_err make_room(struct batch *b, uint64_t max)
{
	enum mx_err err = MX_OK;

	for (int n = 0; err == MX_OK && n < GO_AT_ONCE; n++) {
		char order[ORDER_SIZE] = "";
		uint64_t good = 0, bad = 0;
		enum table_id t;

		err = table_rows(batch_table(b, T_KNOWN_GOOD), b->txn, &good);
		if (err == MX_OK)
			err = table_rows(batch_table(b, T_KNOWN_BAD), b->txn,
					 &bad);
		if (err != MX_OK || good + bad <= max)
			return err;
		t = who_goes(b, bad, max, order, &err);
		if (err != MX_OK)
			return or_gone(err);
		err = or_gone(table_del_name(batch_table(b, T_KNOWN), b->txn,
					     span_of(order + 8,
						     SPOOL_KNOWN_KEY_SIZE)));
		if (err == MX_OK)
			err = table_del_name(batch_table(b, t), b->txn,
					     span_of(order, ORDER_SIZE));
	}
	return err;
}

static enum mx_err apply_learn(struct batch *b, struct request *r)
{
	struct learn *l = CONTAINER_OF(r, struct learn, req);
	char row[KNOWN_ROW_MAX], order[ORDER_SIZE];
	const char *end;
	enum mx_err err = take_out(b, key_of(l));

	if (err != MX_OK || l->is_forgotten)
		return err;
	end = known_row_put(row, &l->row);
	err = table_put_name(batch_table(b, T_KNOWN), b->txn, key_of(l),
			     span_of(row, (size_t)(end - row)));
	if (err == MX_OK)
		err = table_put_name(batch_table(b, order_of(&l->row)), b->txn,
				     order_key(order, l->row.at_ms, key_of(l)),
				     SPAN_LIT(""));
	return err == MX_OK ? make_room(b, l->max) : err;
}

static const struct request_ops learn_ops = {
	.name = "known",
	.order = ORDER_ANY,
	.fills = true,
	.lazy = true,
	.apply = apply_learn,
	.finish = request_finish,
};

static void put(struct spool *sp, const unsigned char *key,
		const struct spool_known *row, uint64_t max, spool_count_cb *cb,
		void *arg)
{
	struct learn *l = request_new(&learn_ops, sizeof(*l), NULL, 0);

	memcpy(l->key, key, sizeof(l->key));
	l->max = max;
	l->is_forgotten = row == NULL;
	if (row != NULL)
		l->row = *row;
	l->req.cb = cb;
	l->req.arg = arg;
	queue_push(sp, &l->req);
}

void spool_known_put(struct spool *sp,
		     const unsigned char key[static SPOOL_KNOWN_KEY_SIZE],
		     const struct spool_known *row, uint64_t max,
		     spool_count_cb *cb, void *arg)
{
	put(sp, key, row, max, cb, arg);
}

void spool_known_forget(struct spool *sp,
			const unsigned char key[static SPOOL_KNOWN_KEY_SIZE],
			spool_count_cb *cb, void *arg)
{
	put(sp, key, NULL, 0, cb, arg);
}

/* ---- Reading ---- */

enum mx_err
spool_known_get(struct spool *sp,
		const unsigned char key[static SPOOL_KNOWN_KEY_SIZE],
		struct spool_known *out)
{
	struct span row;
	MDB_txn *txn;
	enum mx_err err = read_begin(sp, &txn);

	if (err != MX_OK)
		return err;
	err = table_get_name(
		&sp->tables[T_KNOWN], txn,
		span_of((const char *)key, SPOOL_KNOWN_KEY_SIZE), &row);
	if (err == MX_OK && !known_row_get(row, out))
		err = MX_ECORRUPT;
	read_end(sp);
	return err;
}

enum mx_err spool_known_count(struct spool *sp, uint64_t *rows)
{
	MDB_txn *txn;
	enum mx_err err = read_begin(sp, &txn);

	*rows = 0;
	if (err != MX_OK)
		return err;
	err = table_rows(&sp->tables[T_KNOWN], txn, rows);
	read_end(sp);
	return err;
}
