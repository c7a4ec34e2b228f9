#include "common/spool/spool_priv.h"
#include "common/spool/queue.h"

/*
 * Small facts that nobody needs any more.  Targets come and go with DNS
 * records, and nothing says when one is the last of its name: so rows that were
 * not written for long are taken out, some hundred a transaction.
 */
enum { STEP_ROWS = 500 };

static const enum table_id walked[] = { T_TARGET, T_FACT };

struct forget {
	struct request req; /* pos: of the table in walked; count: rows gone */
	struct span at;     /* the last row looked at; empty: none yet */
	char name[KEY_NAME_MAX];
	int64_t before_ms;
	spool_is_old *is_old;
};

static bool is_over(const struct forget *f, enum table_id table,
		   struct span name, struct span value)
{
	struct spool_target t = { 0 };
	int64_t seen_ms;

	if (table == T_FACT)
		return f->is_old(name, value);
	if (!target_row_get(value, &t))
		return true; /* of no use */
	seen_ms = t.checked_ms != 0 ? t.checked_ms : t.since_ms;
	if (t.ehlo_ms > seen_ms)
		seen_ms = t.ehlo_ms;
	return seen_ms < f->before_ms;
}

static enum mx_err look(struct batch *b, struct forget *f, struct scan *p,
			enum table_id table, size_t *left)
{
	enum mx_err err = scan_seek_behind(p, f->at);

	for (; err == MX_OK && *left > 0; err = scan_next(p)) {
		(*left)--;
		b->work++;
		if (p->key.n > sizeof(f->name))
			return MX_ECORRUPT;
		memcpy(f->name, p->key.p, p->key.n);
		f->at = span_of(f->name, p->key.n);
		if (!is_over(f, table, p->key, p->value))
			continue;
		err = scan_del(p);
		if (err != MX_OK)
			break;
		f->req.count++;
	}
	return err;
}

static enum mx_err apply_forget(struct batch *b, struct request *r)
{
	struct forget *f = CONTAINER_OF(r, struct forget, req);
	size_t left = STEP_ROWS;
	enum mx_err err = MX_OK;

	while (err == MX_OK && left > 0 && r->pos < COUNT(walked)) {
		enum table_id table = walked[r->pos];
		struct scan p;

		err = scan_open(&p, batch_table(b, table), b->txn);
		if (err == MX_OK)
			err = look(b, f, &p, table, &left);
		scan_close(&p);
		if (err != MX_ENOENT)
			continue;
		err = MX_OK; /* the table's end */
		f->at.n = 0;
		r->pos++;
	}
	r->again = err == MX_OK && r->pos < COUNT(walked);
	return err;
}

static const struct request_ops forget_ops = {
	.name = "forget",
	.order = ORDER_ANY,
	.lazy = true,
	.apply = apply_forget,
	.finish = request_finish,
};

void spool_forget(struct spool *sp, int64_t before_ms, spool_is_old *is_old,
		  spool_count_cb *cb, void *arg)
{
	struct forget *f = request_new(&forget_ops, sizeof(*f), NULL, 0);

	f->req.cb = cb;
	f->req.arg = arg;
	f->before_ms = before_ms;
	f->is_old = is_old;
	queue_push(sp, &f->req);
}
