/* The mail of a destination, one unit after the other. */
#include "daemon/drain/canary.h"
#include "daemon/drain/drain_priv.h"

enum { OLD_AT_ONCE = 64, DRY_A_TURN = 64 };

/*
 * How many units wait for a connection, at most `most`.  A host is not probed
 * for mail that has been removed: for_probe has it looked up again.  So many
 * domains that have none any more leave the ring in one turn; is_known: none of
 * those behind them would have changed the number.
 */
unsigned dest_waiting(struct dest *dst, unsigned most, bool for_probe,
		      bool *is_known)
{
	struct domain *dom, *next;
	unsigned n = 0, dry = 0;

	*is_known = true;
	if (!drain_is_at_work(dst->drain))
		return 0;
	for (dom = TAILQ_FIRST(&dst->ring); dom != NULL && n < most;
	     dom = next) {
		next = TAILQ_NEXT(dom, ring);
		if (for_probe)
			domain_reread(dom);
		n += (unsigned)domain_waiting(dom, most - n);
		if (dom->has_mail)
			continue;
		domain_leave_ring(dom);
		if (++dry == DRY_A_TURN && n < most) {
			*is_known = TAILQ_EMPTY(&dst->ring);
			return n;
		}
	}
	return n;
}

bool dest_is_idle(struct dest *dst)
{
	const struct link *l;
	bool is_known;
	unsigned n;

	LIST_FOREACH (l, &dst->links, entry)
		if (l->delivery != NULL && l->kind != LINK_CALLOUT &&
		    l->kind != LINK_RELAY &&
		    delivery_jobs(l->delivery) > 0)
			return false;
	n = dest_waiting(dst, 1, false, &is_known);
	if (!is_known)
		turns_touch(dst);
	return n == 0 && is_known;
}

/* Round-robin across domains.  One whose route grew old asks first, and is
 * back in the ring when it has its answer. */
struct attempt *dest_take(struct dest *dst, bool newest)
{
	int asked = 0, dry = 0;
	struct drain *d = dst->drain;
	struct domain *dom;

	if (!drain_is_at_work(d) || hold_of(dst) != NULL ||
	    !flow_is_open(&dst->flow) || drain_is_full(d))
		return NULL;
	while ((dom = TAILQ_FIRST(&dst->ring)) != NULL) {
		struct attempt *a;

		if (domain_is_old(dom)) {
			domain_ask(dom);
			if (++asked == OLD_AT_ONCE)
				return NULL;
			continue;
		}
		a = domain_take(dom, newest);
		if (a != NULL)
			canary_sent(a);
		domain_leave_ring(dom);
		if (dom->has_mail)
			domain_enter_ring(dom);
		if (a != NULL || d->is_blind)
			return a;
		if (++dry == DRY_A_TURN) {
			turns_touch(dst);
			return NULL;
		}
	}
	return NULL;
}
