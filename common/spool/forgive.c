#include "common/base/hash.h"
#include "common/spool/queue.h"
#include "common/spool/unit.h"
#include "common/spool/walk.h"

/*
 * After an outage in which a primary answered and refused everybody: what was
 * deferred by it is ready again, as if it had not been tried.  A domain may
 * have a million such units, and each success may ask for it: so there is one
 * walk a domain, and what is asked for meanwhile is one more behind it.
 */
struct forgive {
	struct request req; /* pos: the last id done */
	struct span domain;
	int64_t since_ms;
	uint64_t until_id; /* ids above it came later */
	/* loop thread */
	UT_hash_handle hh;
	int64_t next_since_ms; /* of the walk behind this; FOREVER: none */
};

#define FOREVER INT64_MAX

struct forgiving {
	struct batch *b;
	int64_t since_ms;
	size_t n;
};

static enum keep as_if_untried(struct recipient_row *row, void *arg)
{
	struct forgiving *f = arg;
	struct recipient *r = &row->r;

	if (r->attempts == 0 || r->state != RECIPIENT_PENDING || r->attempt_ms < f->since_ms)
		return KEEP_AS_IT_IS;
	r->attempts = 0;
	f->n++;
	f->b->work++;
	return KEEP_CHANGED;
}

static enum mx_err forgive_unit(struct batch *b, struct request *r,
				struct found *u)
{
	struct forgive *f = CONTAINER_OF(r, struct forgive, req);
	struct forgiving unit = { .b = b, .since_ms = f->since_ms };
	struct ends ends;
	enum mx_err err;

	if (u->state != UNIT_DEFERRED)
		return MX_OK;
	err = unit_recipients(b, u, as_if_untried, &unit, &ends);
	return err == MX_OK && unit.n > 0 ? unit_move(b, u, UNIT_READY, 0)
					  : err;
}

static enum mx_err apply_forgive(struct batch *b, struct request *r)
{
	struct forgive *f = CONTAINER_OF(r, struct forgive, req);

	return walk_domain(b, r, IN_PARKED, f->domain, f->until_id,
			   forgive_unit);
}

static void start(struct spool *sp, struct forgive *f, int64_t since_ms)
{
	f->since_ms = since_ms;
	f->next_since_ms = FOREVER;
	f->until_id = atomic_load(&sp->last_id);
	f->req.pos = 0;
	queue_push(sp, &f->req);
}

static void finish_forgive(struct spool *sp, struct request *r)
{
	struct forgive *f = CONTAINER_OF(r, struct forgive, req);

	if (r->err == MX_OK && f->next_since_ms != FOREVER) {
		start(sp, f, f->next_since_ms);
		return;
	}
	HASH_DEL(sp->forgives, f);
	request_finish(sp, r);
}

static const struct request_ops forgive_ops = {
	.name = "forgive",
	.order = ORDER_ANY,
	.apply = apply_forgive,
	.finish = finish_forgive,
};

void spool_forgive(struct spool *sp, struct span domain, int64_t since_ms)
{
	struct forgive *f;

	HASH_FIND(hh, sp->forgives, domain.p, domain.n, f);
	if (f == NULL) {
		f = request_new(&forgive_ops, sizeof(*f), &domain, 1);
		f->domain = domain;
		HASH_ADD_KEYPTR(hh, sp->forgives, f->domain.p, f->domain.n, f);
		start(sp, f, since_ms);
	} else if (since_ms < f->next_since_ms) {
		f->next_since_ms = since_ms;
	}
}
