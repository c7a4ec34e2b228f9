#include "common/base/log.h"
#include "common/spool/counters.h"
#include "common/spool/spool_priv.h"
#include "common/spool/queue.h"

/* Small facts, written behind: nobody waits for them. */

struct fact {
	struct request req;
	enum table_id table;
	struct span name, value; /* an empty value deletes */
};

static enum mx_err apply_fact(struct batch *b, struct request *r)
{
	struct fact *f = CONTAINER_OF(r, struct fact, req);
	struct table *t = batch_table(b, f->table);
	enum mx_err err;

	if (f->value.n > 0)
		return table_put_name(t, b->txn, f->name, f->value);
	err = table_del_name(t, b->txn, f->name);
	return err == MX_ENOENT ? MX_OK : err;
}

/* Only a domain with mail or a hold has a row to keep it in. */
static enum mx_err apply_destination(struct batch *b, struct request *r)
{
	struct fact *f = CONTAINER_OF(r, struct fact, req);
	struct domain_row *row;
	size_t n = f->value.n;
	enum mx_err err = counters_get(b, f->name, &row);

	if (err != MX_OK)
		return err;
	if (n >= sizeof(row->d.destination))
		n = sizeof(row->d.destination) - 1;
	memcpy(row->d.destination, f->value.p, n);
	row->d.destination[n] = '\0';
	return MX_OK;
}

static void finish_fact(struct spool *sp, struct request *r)
{
	struct fact *f = CONTAINER_OF(r, struct fact, req);

	if (r->err != MX_OK)
		log_warn(EV_SPOOL, LOG_SPAN("fact", f->name),
			 LOG_STR("error", mx_strerror(r->err)));
	request_finish(sp, r);
}

static const struct request_ops fact_ops = {
	.name = "fact",
	.order = ORDER_ANY,
	.fills = true,
	.lazy = true,
	.apply = apply_fact,
	.finish = finish_fact,
};

static const struct request_ops destination_ops = {
	.name = "destination",
	.order = ORDER_ANY,
	.fills = true,
	.lazy = true,
	.apply = apply_destination,
	.finish = finish_fact,
};

static void put(struct spool *sp, const struct request_ops *ops,
		enum table_id table, struct span name, struct span value)
{
	struct span texts[] = { name, value };
	struct fact *f = request_new(ops, sizeof(*f), texts, COUNT(texts));

	f->table = table;
	f->name = texts[0];
	f->value = texts[1];
	if (name.n > 0 && name.n <= KEY_NAME_MAX) {
		queue_push(sp, &f->req);
		return;
	}
	f->req.err = MX_EINVAL;
	queue_answer(sp, &f->req);
}

void spool_fact_put(struct spool *sp, struct span key, struct span value)
{
	put(sp, &fact_ops, T_FACT, key, value);
}

void spool_target_put(struct spool *sp, const struct spool_target *t)
{
	char value[TARGET_ROW_MAX];
	char *end = target_row_put(value, t);

	put(sp, &fact_ops, T_TARGET,
	    (struct span){ t->name, strnlen(t->name, sizeof(t->name)) },
	    span_of(value, (size_t)(end - value)));
}

void spool_domain_destination(struct spool *sp, struct span domain,
			      struct span route_key)
{
	if (key_domain_is_valid(domain))
		put(sp, &destination_ops, T_DOMAIN, domain, route_key);
}
