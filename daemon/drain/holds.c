/* Holds of destinations. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "daemon/drain/drain_priv.h"

bool holds_names(const struct dest *dst, struct span name)
{
	if (scope_names_route(dst->route->key, name))
		return true;
	for (size_t i = 0; i < dst->target_count; i++)
		if (scope_names_target(span_str(dst->targets[i].name), name))
			return true;
	return false;
}

const struct dest_hold *hold_of(struct dest *dst)
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
		if (holds_names(dst, span_str(h->name)))
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
}

static void hold_drop(struct dest_hold *h)
{
	LIST_REMOVE(h, link);
	free(h);
}

void holds_reread(struct drain *d, struct span name)
{
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
