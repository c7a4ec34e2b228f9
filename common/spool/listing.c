#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/spool/counters.h"
#include "common/spool/domain.h"
#include "common/spool/find.h"
#include "common/spool/internal.h"
#include "common/spool/queue.h"
#include "common/spool/unit.h"

/*
 * Domains that the allowlist lists no longer while mail waits for them.
 *
 *            spool_unlisted                 spool_release
 *   (plain) ----------------> marked, held ---------------> marked
 *      ^                            |                          |
 *      +------------------------ spool_listed <----------------+
 *
 * Both are flags of the domain's row: a million units cost what one does.
 * While it is marked no lifetime of its units ends (expiry.c strikes the rows
 * off as it meets them); to put them back takes a walk, in steps, and the mark
 * goes with the last of these.
 */
enum { STEP_UNITS = 500 };

struct listing {
	struct request req; /* pos: the last id done; count: units */
	struct span domain;
	int64_t until_ms; /* listed again: no lifetime ends before */
	spool_count_cb *cb;
	void *arg;
};

static enum mx_err apply_unlisted(struct batch *b, struct request *r)
{
	struct listing *l = CONTAINER_OF(r, struct listing, req);
	struct domain_row *row;
	enum mx_err err = counters_get(b, l->domain, &row);

	if (err != MX_OK)
		return err;
	r->count = row->d.units;
	row->d.is_unlisted = true;
	if (row->d.is_held) /* by the operator: he said why */
		return MX_OK;
	row->d.is_held = true;
	strcpy(row->d.hold_reason, SPOOL_UNLISTED);
	return MX_OK;
}

/* ---- listed again ---- */

/* Its recipients share the time: it is the unit's. */
static enum mx_err extend(struct batch *b, uint64_t id, struct span domain,
			  int64_t until_ms)
{
	struct recipient_row row;
	int64_t ended_ms = until_ms, warn_ms = 0;
	uint32_t number = 0;
	enum mx_err err;

	while ((err = unit_recipient(b->sp, b->txn, id, domain, number,
				     &row)) == MX_OK) {
		ended_ms = row.expires_ms;
		warn_ms = row.warn_ms;
		number = row.r.number + 1;
		row.expires_ms = until_ms;
		err = unit_recipient_put(b, id, domain, &row);
		if (err != MX_OK || number == 0)
			break;
	}
	if (err == MX_ENOENT)
		err = unit_expiry_del(b, id, domain, ended_ms, warn_ms);
	if (err != MX_OK)
		return err;
	return unit_expiry_put(b, id, domain, until_ms, 0);
}

static enum mx_err renew(struct batch *b, const struct listing *l, uint64_t id)
{
	enum unit_state state;
	struct recipient_row row;
	int64_t due_ms;
	enum mx_err err =
		unit_state_get(b->sp, b->txn, id, l->domain, &state, &due_ms);

	if (err != MX_OK || state == UNIT_HELD) /* that is the operator's */
		return err;
	err = unit_recipient(b->sp, b->txn, id, l->domain, 0, &row);
	if (err != MX_OK || row.expires_ms >= l->until_ms)
		return err; /* a row that was not met yet is still there */
	return extend(b, id, l->domain, l->until_ms);
}

static void lift_hold(struct batch *b, struct span domain,
		      struct domain_row *row)
{
	if (!domain_is_held_by_us(&row->d))
		return;
	row->d.is_held = false;
	row->d.hold_reason[0] = '\0';
	if (row->d.ready > 0)
		counters_announce(b, domain);
}

static enum mx_err apply_listed(struct batch *b, struct request *r)
{
	struct listing *l = CONTAINER_OF(r, struct listing, req);
	struct domain_row *row;
	enum mx_err err = counters_get(b, l->domain, &row);

	if (err != MX_OK || !row->d.is_unlisted)
		return err;
	if (r->pos == 0)
		lift_hold(b, l->domain, row);
	for (; err == MX_OK && b->work < STEP_UNITS; b->work++) {
		uint64_t id;

		err = unit_first(b->sp, b->txn, IN_BOTH, l->domain, r->pos + 1,
				 &id);
		if (err == MX_OK && id == UINT64_MAX) {
			/* unless its line went again meanwhile */
			row->d.is_unlisted = domain_is_held_by_us(&row->d);
			return MX_OK;
		}
		if (err == MX_OK)
			err = renew(b, l, id);
		r->pos = id;
		r->count++;
	}
	r->again = err == MX_OK;
	return err;
}

static void finish(struct spool *sp, struct request *r)
{
	struct listing *l = CONTAINER_OF(r, struct listing, req);

	(void)sp;
	if (r->err != MX_OK)
		log_warn(EV_SPOOL, LOG_SPAN("domain", l->domain),
			 LOG_STR("what", r->ops->name),
			 LOG_STR("error", mx_strerror(r->err)));
	if (l->cb != NULL)
		l->cb(r->err, r->count, l->arg);
	free(l);
}

static const struct request_ops unlisted_ops = {
	.name = "unlisted",
	.order = ORDER_BARRIER,
	.apply = apply_unlisted,
	.finish = finish,
};

static const struct request_ops listed_ops = {
	.name = "listed",
	.order = ORDER_BARRIER,
	.apply = apply_listed,
	.finish = finish,
};

static void push(struct spool *sp, const struct request_ops *ops,
		 struct span domain, int64_t until_ms, spool_count_cb *cb,
		 void *arg)
{
	struct listing *l = mx_alloc(sizeof(*l) + domain.n);
	char *p = (char *)(l + 1);

	MX_ASSERT(key_domain_is_valid(domain));
	memcpy(p, domain.p, domain.n);
	l->req.ops = ops;
	l->req.bytes = sizeof(*l) + domain.n;
	l->domain = (struct span){ p, domain.n };
	l->until_ms = until_ms;
	l->cb = cb;
	l->arg = arg;
	queue_push(sp, &l->req);
}

void spool_unlisted(struct spool *sp, struct span domain, spool_count_cb *cb,
		    void *arg)
{
	push(sp, &unlisted_ops, domain, 0, cb, arg);
}

void spool_listed(struct spool *sp, struct span domain, int64_t until_ms,
		  spool_count_cb *cb, void *arg)
{
	push(sp, &listed_ops, domain, until_ms, cb, arg);
}
