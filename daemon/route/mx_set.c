#include "daemon/route/mx_set.h"

#include <stdlib.h>

/* A fixed order, so that the route's key does not depend on chance. */
static int by_preference(const void *a, const void *b)
{
	const struct mx_record *x = a, *y = b;

	if (x->preference != y->preference)
		return x->preference < y->preference ? -1 : 1;
	return span_cmp(x->name, y->name);
}

static bool is_listed(const struct mx_record *rows, size_t count,
		      struct span name)
{
	for (size_t i = 0; i < count; i++) {
		if (span_eq(rows[i].name, name))
			return true;
	}
	return false;
}

static size_t read_all(struct arena *a, const struct dns_answer *mx,
		       struct mx_record *all)
{
	size_t n = 0;

	for (size_t i = 0; i < mx->count; i++) {
		if (dns_read_mx(a, mx->rdata[i], &all[n].preference,
				&all[n].name))
			n++;
	}
	return n;
}

/* They are sorted, so the first mention of a name is its best.  Of what finds
 * no room only this host counts, and it takes the last place. */
static size_t take_best(const struct mx_record *all, size_t n,
			const struct self *self, struct mx_record *best)
{
	size_t count = 0, i;

	for (i = 0; i < n && count < MX_SET_MOST; i++) {
		if (!is_listed(best, count, all[i].name))
			best[count++] = all[i];
	}
	for (; i < n; i++) {
		if (!self_is_name(self, all[i].name))
			continue;
		if (!is_listed(best, count, all[i].name))
			best[count - 1] = all[i];
		break;
	}
	return count;
}

size_t mx_set_read(struct arena *a, const struct dns_answer *mx,
		   const struct self *self, struct mx_record **out)
{
	size_t most = mx->count < MX_SET_MOST ? mx->count : MX_SET_MOST;
	struct mx_record *best = arena_alloc_array(a, most, sizeof(*best));
	struct arena scratch = { 0 };
	struct mx_record *all =
		arena_alloc_array(&scratch, mx->count, sizeof(*all));
	size_t n = read_all(&scratch, mx, all), count;

	qsort(all, n, sizeof(*all), by_preference);
	count = take_best(all, n, self, best);
	for (size_t i = 0; i < count; i++)
		best[i].name = arena_span(a, best[i].name);
	arena_reset(&scratch);
	*out = best;
	return count;
}
