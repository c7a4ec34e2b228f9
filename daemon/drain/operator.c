/* What the operator's orders ask of the drain. */
#include "common/base/log.h"
#include "daemon/drain/drain_priv.h"

bool drain_is_in_flight(struct drain *d, uint64_t id, struct span name)
{
	const struct domain *dom = domain_find(d, name);
	const struct attempt *a = dom != NULL ? attempt_find(d, id, dom) : NULL;

	return a != NULL && attempt_is_delivery(a);
}

size_t drain_in_flight(struct drain *d, struct span name)
{
	const struct domain *dom = domain_find(d, name);

	return dom != NULL ? dom->in_flight - dom->ordered : 0;
}

bool drain_goes_to(struct drain *d, const struct spool_domain *row,
		   struct span name)
{
	const struct domain *dom = domain_find(d, span_str(row->name));

	if (dom != NULL && dom->dest != NULL)
		return holds_names(dom->dest, name);
	return row->units > 0 &&
	       scope_names_route(span_str(row->destination), name);
}

/* Where a look ended; from the first on if that one has gone since. */
static const struct dest *behind(struct drain *d, const struct buf *key)
{
	struct dest *dst = NULL;

	if (key->n > 0)
		HASH_FIND(hh, d->dests, key->p, key->n, dst);
	return dst != NULL ? TAILQ_NEXT(dst, all)
			   : TAILQ_FIRST(&d->turns.dests);
}

bool drain_knows_destination(struct drain *d, struct span name,
			     struct buf *after, bool *is_over)
{
	const struct dest *dst = behind(d, after), *last = NULL;

	for (int n = 0; dst != NULL && n < VISITED_A_TURN; n++) {
		*is_over = holds_names(dst, name);
		if (*is_over)
			return true;
		last = dst;
		dst = TAILQ_NEXT(dst, all);
	}
	*is_over = dst == NULL;
	buf_reset(after);
	if (last != NULL)
		buf_add(after, last->route->key);
	return false;
}

static void flush_named(struct dest *dst, struct span name)
{
	if (holds_names(dst, name))
		dest_trigger(dst, "flush");
}

void drain_flush_destination(struct drain *d, struct span name)
{
	static const struct visit_ops flush = { NULL, flush_named };

	turns_visit(d, &flush, name);
}

static void touch_named(struct dest *dst, struct span name)
{
	if (holds_names(dst, name))
		turns_touch(dst);
}

void drain_destination_changed(struct drain *d, struct span name)
{
	static const struct visit_ops touch = { NULL, touch_named };

	holds_reread(d, name);
	turns_visit(d, &touch, name);
}

/* ---- Brakes ---- */

static void open_flow(struct drain *d, struct flow *f, struct stop *s)
{
	stops_drop(d, s);
	f->stop = NULL;
	f->is_trial = false;
	f->tries = 0;
	f->is_canary = true;
}

static bool release_domain(struct drain *d, struct span name)
{
	struct stop *s = stops_of_domain(d, name);
	struct domain *dom;

	if (s == NULL)
		return false;
	dom = domain_need(d, name);
	open_flow(d, &dom->flow, s);
	flow_unrefuse(d, name);
	domain_rewind(dom);
	return true;
}

static bool release_dest(struct drain *d, struct span route_key)
{
	struct stop *s = stops_of_route(d, route_key);
	struct dest *dst = NULL;

	if (s == NULL)
		return false;
	HASH_FIND(hh, d->dests, route_key.p, route_key.n, dst);
	if (dst == NULL) {
		stops_drop(d, s);
		return true;
	}
	open_flow(d, &dst->flow, s);
	dest_trigger(dst, "release");
	return true;
}

bool drain_release(struct drain *d, struct span name)
{
	const struct domain *dom = domain_find(d, name);
	struct spool_domain row;
	bool was_stopped = release_domain(d, name);

	if (dom != NULL && dom->dest != NULL)
		was_stopped |= release_dest(d, dom->dest->route->key);
	else if (spool_domain_get(d->spool, name, &row) == MX_OK)
		was_stopped |= release_dest(d, span_str(row.destination));
	if (was_stopped)
		log_info(EV_BRAKE, LOG_SPAN("domain", name),
			 LOG_STR("state", "released"));
	return was_stopped;
}
