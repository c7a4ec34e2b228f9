#include "daemon/web/tally.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/hash.h"
#include "common/spool/scope.h"

struct group {
	struct web_destination sum;
	char *domain;	   /* of sum, and how long a name fits there */
	size_t domain_cap;
	size_t place; /* tally_settle: where it stands now */
	UT_hash_handle hh;
};

static struct group *need(struct tally *t, struct span name)
{
	struct group *g;

	HASH_FIND(hh, t->groups, name.p, name.n, g);
	if (g != NULL)
		return g;
	g = arena_alloc(&t->arena, sizeof(*g));
	g->sum.name = arena_span(&t->arena, name);
	HASH_ADD_KEYPTR(hh, t->groups, g->sum.name.p, g->sum.name.n, g);
	t->count++;
	return g;
}

/* In place where it fits: the rows may rise one after the other. */
static void name_domain(struct tally *t, struct group *g, struct span name)
{
	if (name.n > g->domain_cap) {
		g->domain_cap = (name.n | 31) + 1;
		g->domain = arena_alloc(&t->arena, g->domain_cap);
	}
	memcpy(g->domain, name.p, name.n);
	g->sum.domain = span_of(g->domain, name.n);
}

static void sum_up(struct tally *t, struct group *g,
		   const struct spool_domain *row)
{
	struct web_destination *d = &g->sum;

	d->messages += row->units;
	d->bytes += row->bytes;
	d->held += row->held;
	d->refused += row->refused;
	d->domain_count++;
	if (row->oldest_ms != 0 &&
	    (d->oldest_ms == 0 || row->oldest_ms < d->oldest_ms))
		d->oldest_ms = row->oldest_ms;
	if (d->domain.n > 0 && row->units <= d->domain_messages)
		return;
	name_domain(t, g, span_str(row->name));
	d->domain_messages = row->units;
}

static void note_name(struct tally *t, struct span name)
{
	if (t->name_count == t->most_names)
		return;
	if (t->names == NULL)
		t->names = arena_alloc_array(&t->arena, t->most_names,
					     sizeof(*t->names));
	t->names[t->name_count++] = arena_span(&t->arena, name);
}

void tally_add(struct tally *t, const struct spool_domain *row)
{
	struct span name = span_str(row->name);
	struct span to = span_str(row->destination);

	if (scope_is_destination(name))
		return;
	t->rows++;
	note_name(t, name);
	/* the loop may know where it goes: see tally_settle */
	if (row->units > 0)
		sum_up(t, need(t, to.n > 0 ? to : name), row);
}

static int by_mail(const void *va, const void *vb)
{
	const struct web_destination *a = *(struct web_destination *const *)va;
	const struct web_destination *b = *(struct web_destination *const *)vb;

	if (a->messages != b->messages)
		return a->messages > b->messages ? -1 : 1;
	return span_cmp(a->name, b->name);
}

struct web_destination *tally_top(struct tally *t, size_t most, size_t *count)
{
	struct web_destination **all =
		mx_alloc_array(t->count + 1, sizeof(struct web_destination *));
	struct web_destination *out;
	struct group *g, *next;
	size_t n = 0;

	HASH_ITER (hh, t->groups, g, next)
		all[n++] = &g->sum;
	qsort(all, n, sizeof(*all), by_mail);
	*count = n < most ? n : most;
	out = arena_alloc_array(&t->arena, *count + 1, sizeof(*out));
	for (size_t i = 0; i < *count; i++)
		out[i] = *all[i];
	free(all);
	return out;
}

static void merge(struct web_destination *d, const struct web_destination *more)
{
	d->messages += more->messages;
	d->bytes += more->bytes;
	d->held += more->held;
	d->refused += more->refused;
	d->domain_count += more->domain_count;
	if (more->oldest_ms != 0 &&
	    (d->oldest_ms == 0 || more->oldest_ms < d->oldest_ms))
		d->oldest_ms = more->oldest_ms;
}

/* A route's key has a port in it, which no domain's name has. */
static struct span settled_name(const struct web_destination *d)
{
	if (d->state.name.n > 0)
		return d->state.name;
	return span_find(d->name, ':') < d->name.n ? d->name : TALLY_NO_ROUTE;
}

static int by_value(const void *a, const void *b)
{
	const struct web_destination *va = a, *vb = b;

	return by_mail(&va, &vb);
}

void tally_settle(struct tally *t, struct web_destination *all, size_t *count)
{
	struct group *named = NULL, *g;
	size_t n = 0;

	for (size_t i = 0; i < *count; i++) {
		struct span name = settled_name(&all[i]);

		HASH_FIND(hh, named, name.p, name.n, g);
		if (g != NULL) {
			merge(&all[g->place], &all[i]);
			continue;
		}
		g = arena_alloc(&t->arena, sizeof(*g));
		g->place = n;
		all[n] = all[i];
		all[n++].name = name;
		HASH_ADD_KEYPTR(hh, named, name.p, name.n, g);
	}
	HASH_CLEAR(hh, named);
	qsort(all, n, sizeof(*all), by_value);
	*count = n;
}

void tally_fini(struct tally *t)
{
	HASH_CLEAR(hh, t->groups);
	arena_reset(&t->arena);
	*t = (struct tally){ 0 };
}
