#include "common/base/log.h"
#include "common/spool/counters.h"
#include "common/spool/domain.h"
#include "common/spool/queue.h"
#include "common/spool/unit.h"
#include "common/spool/walk.h"

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
struct listing {
	struct request req; /* pos: the last id done; count: units */
	struct span domain;
	int64_t until_ms; /* listed again: no lifetime ends before */
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

static void raise_to(int64_t *at_ms, int64_t least_ms)
{
	if (*at_ms < least_ms)
		*at_ms = least_ms;
}

/* The row of parked ones may have been struck off: it is put back. */
static enum keep extend(struct recipient_row *row, void *arg)
{
	int64_t until_ms = *(const int64_t *)arg;

	raise_to(&row->expires_ms, until_ms);
	if (recipient_is_parked(&row->r))
		raise_to(&row->r.until_ms, until_ms);
	return KEEP_CHANGED;
}

static enum mx_err renew(struct batch *b, struct request *r, struct found *u)
{
	struct listing *l = CONTAINER_OF(r, struct listing, req);
	struct ends ends;
	bool is_long;
	enum mx_err err;

	r->count++;
	if (u->state == UNIT_HELD) /* that is the operator's */
		return MX_OK;
	err = unit_ends(b, u, &ends);
	is_long = ends.expires_ms >= l->until_ms;
	if (err != MX_OK || (is_long && ends.parked_ms == 0))
		return err; /* a row that was not met yet is still there */
	err = unit_recipients(b, u, extend, &l->until_ms, &ends);
	if (err != MX_OK || is_long || u->state == UNIT_REFUSED)
		return err;
	err = unit_expiry_del(b, u, &ends);
	ends = (struct ends){ .expires_ms = l->until_ms };
	return err == MX_OK ? unit_expiry_put(b, u, &ends) : err;
}

static void lift_hold(struct batch *b, struct span domain,
		      struct domain_row *row)
{
	if (!spool_is_held_unlisted(&row->d))
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
	err = walk_domain(b, r, IN_BOTH, l->domain, UINT64_MAX, renew);
	if (err == MX_OK && !r->again) /* unless its line went meanwhile */
		row->d.is_unlisted = spool_is_held_unlisted(&row->d);
	return err;
}

static void finish(struct spool *sp, struct request *r)
{
	struct listing *l = CONTAINER_OF(r, struct listing, req);

	if (r->err != MX_OK)
		log_warn(EV_SPOOL, LOG_SPAN("domain", l->domain),
			 LOG_STR("what", r->ops->name),
			 LOG_STR("error", mx_strerror(r->err)));
	request_finish(sp, r);
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
	struct listing *l = request_new(ops, sizeof(*l), &domain, 1);

	MX_ASSERT(key_domain_is_valid(domain));
	l->req.cb = cb;
	l->req.arg = arg;
	l->domain = domain;
	l->until_ms = until_ms;
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
