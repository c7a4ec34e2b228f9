/* What the operator's orders ask of the drain. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "daemon/drain/internal.h"
#include "daemon/drain/turns.h"

/* ---- Units ---- */

bool drain_is_in_flight(struct drain *d, uint64_t id, struct span name)
{
	const struct domain *dom = domain_find(d, name);
	const struct attempt *a = dom != NULL ? attempt_find(d, id, dom) : NULL;

	return a != NULL && a->order == NULL;
}

size_t drain_in_flight(struct drain *d, struct span name)
{
	const struct domain *dom = domain_find(d, name);

	return dom != NULL ? dom->in_flight - dom->ordered : 0;
}

/* ---- Destinations ---- */

static bool is_named(const struct dest *dst, struct span name)
{
	if (scope_names_route(dst->route->key, name))
		return true;
	for (size_t i = 0; i < dst->target_count; i++)
		if (scope_names_target(span_str(dst->targets[i].name), name))
			return true;
	return false;
}

bool drain_goes_to(struct drain *d, const struct spool_domain *row,
		   struct span name)
{
	const struct domain *dom = domain_find(d, span_str(row->name));

	if (dom != NULL && dom->dest != NULL)
		return is_named(dom->dest, name);
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
		*is_over = is_named(dst, name);
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
	if (is_named(dst, name))
		dest_trigger(dst, "flush");
}

void drain_flush_destination(struct drain *d, struct span name)
{
	static const struct visit_ops flush = { NULL, flush_named };

	turns_visit(d, &flush, name);
}

/* ---- Holds of destinations ---- */

const struct dest_hold *dest_held(struct dest *dst)
{
	struct drain *d = dst->drain;
	struct dest_hold *h;

	if (LIST_EMPTY(&d->dest_holds))
		return NULL;
	if (dst->hold_builds == dst->builds &&
	    dst->hold_changes == d->hold_changes)
		return dst->hold;
	dst->hold_builds = dst->builds;
	dst->hold_changes = d->hold_changes;
	dst->hold = NULL;
	LIST_FOREACH (h, &d->dest_holds, link)
		if (is_named(dst, span_str(h->name)))
			dst->hold = h;
	return dst->hold;
}

static struct dest_hold *hold_find(struct drain *d, struct span name)
{
	struct dest_hold *h;

	LIST_FOREACH (h, &d->dest_holds, link)
		if (span_eq(span_str(h->name), name))
			return h;
	return NULL;
}

static void hold_add(struct drain *d, struct span name, const char *reason)
{
	struct dest_hold *h = hold_find(d, name);

	if (h == NULL) {
		h = mx_alloc(sizeof(*h));
		snprintf(h->name, sizeof(h->name), "%.*s", SPAN_ARG(name));
		LIST_INSERT_HEAD(&d->dest_holds, h, link);
	}
	snprintf(h->reason, sizeof(h->reason), "%s", reason);
	d->hold_changes++;
}

static void hold_drop(struct dest_hold *h)
{
	LIST_REMOVE(h, link);
	free(h);
}

static void touch_named(struct dest *dst, struct span name)
{
	if (is_named(dst, name))
		turns_touch(dst);
}

void drain_destination_changed(struct drain *d, struct span name)
{
	static const struct visit_ops touch = { NULL, touch_named };
	char row_name[SCOPE_DESTINATION_MAX + 2];
	struct dest_hold *h = hold_find(d, name);
	struct spool_domain row;

	snprintf(row_name, sizeof(row_name), "@%.*s", SPAN_ARG(name));
	if (spool_domain_get(d->spool, span_str(row_name), &row) == MX_OK &&
	    row.is_held)
		hold_add(d, name, row.hold_reason);
	else if (h != NULL)
		hold_drop(h);
	d->hold_changes++;
	turns_visit(d, &touch, name);
}

static bool on_row(const struct spool_domain *row, void *arg)
{
	struct span name = span_str(row->name);

	if (!scope_is_destination(name))
		return false;
	if (row->is_held)
		hold_add(arg, scope_destination(name), row->hold_reason);
	return true;
}

void holds_load(struct drain *d)
{
	LIST_INIT(&d->dest_holds);
	d->hold_changes = 1;
	spool_domains(d->spool, SPAN_LIT("@"), on_row, d);
}

void holds_forget(struct drain *d)
{
	struct dest_hold *h;

	while ((h = LIST_FIRST(&d->dest_holds)) != NULL)
		hold_drop(h);
}
