#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/spool/find.h"
#include "common/spool/internal.h"
#include "common/spool/queue.h"
#include "common/spool/unit.h"

/*
 * After an outage in which a primary answered and refused everybody: what was
 * deferred by it is ready again, as if it had not been tried.  A domain may
 * have a million such units: some hundred rows a transaction.
 */
enum { STEP_ROWS = 500 };

struct forgive {
	struct request req; /* pos: the last id done */
	struct span domain;
	int64_t since_ms;
	uint64_t until_id; /* ids above it came later */
};

static bool was_refused(const struct forgive *f, const struct recipient *r)
{
	return r->attempts > 0 && !r->is_held && r->attempt_ms >= f->since_ms;
}

static enum mx_err give_back(struct batch *b, const struct forgive *f,
			     uint64_t id, struct recipient_row *row)
{
	size_t n = recipient_size(row);
	char *value = mx_realloc(NULL, n);
	struct key k;
	enum mx_err err;

	row->r.attempts = 0;
	recipient_put(value, row);
	key_recipient(&k, id, f->domain, row->r.number);
	err = table_put(batch_table(b, T_RECIPIENT), b->txn, &k,
			span_of(value, n));
	free(value);
	b->work++;
	return err;
}

static enum mx_err forgive_unit(struct batch *b, const struct forgive *f,
				uint64_t id)
{
	struct recipient_row row;
	enum unit_state state;
	int64_t due_ms;
	uint32_t number = 0;
	size_t n = 0;
	enum mx_err err =
		unit_state_get(b->sp, b->txn, id, f->domain, &state, &due_ms);

	b->work++;
	if (err != MX_OK || state != UNIT_DEFERRED)
		return err;
	while ((err = unit_recipient(b->sp, b->txn, id, f->domain, number,
				     &row)) == MX_OK) {
		number = row.r.number + 1;
		if (was_refused(f, &row.r)) {
			err = give_back(b, f, id, &row);
			n++;
		}
		if (err != MX_OK || number == 0)
			break;
	}
	if (err != MX_OK && err != MX_ENOENT)
		return err;
	return n > 0 ? unit_move(b, id, f->domain, UNIT_READY, 0) : MX_OK;
}

static enum mx_err apply_forgive(struct batch *b, struct request *r)
{
	struct forgive *f = CONTAINER_OF(r, struct forgive, req);
	enum mx_err err = MX_OK;

	while (err == MX_OK && b->work < STEP_ROWS) {
		uint64_t id;

		err = unit_first(b->sp, b->txn, IN_PARKED, f->domain,
				 r->pos + 1, &id);
		if (err != MX_OK || id > f->until_id)
			return err;
		err = forgive_unit(b, f, id);
		r->pos = id;
	}
	r->again = err == MX_OK;
	return err;
}

static void finish_forgive(struct spool *sp, struct request *r)
{
	(void)sp;
	free(CONTAINER_OF(r, struct forgive, req));
}

static const struct request_ops forgive_ops = {
	.name = "forgive",
	.order = ORDER_ANY,
	.apply = apply_forgive,
	.finish = finish_forgive,
};

void spool_forgive(struct spool *sp, struct span domain, int64_t since_ms)
{
	struct forgive *f = mx_alloc(sizeof(*f) + domain.n + 1);
	char *p = (char *)(f + 1);

	memcpy(p, domain.p, domain.n);
	f->req.ops = &forgive_ops;
	f->req.bytes = sizeof(*f) + domain.n;
	f->domain = span_of(p, domain.n);
	f->since_ms = since_ms;
	f->until_id = atomic_load(&sp->last_id);
	queue_push(sp, &f->req);
}
