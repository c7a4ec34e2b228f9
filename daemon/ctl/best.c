#include "daemon/ctl/best.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"

struct best_row {
	int64_t number;
	struct buf text;
	uint64_t at; /* as it came */
	json_t *item;
};

/* Of the key of one that comes now, and a row. */
static int compare(const struct best_key *key, uint64_t at,
		   const struct best_row *r)
{
	int c = (key->number > r->number) - (key->number < r->number);

	if (c == 0)
		c = span_cmp(key->text, buf_span(&r->text));
	return c != 0 ? c : (at > r->at) - (at < r->at);
}

static int compare_rows(const void *a, const void *b)
{
	const struct best_row *r = a;
	const struct best_key key = { r->number, buf_span(&r->text) };

	return compare(&key, r->at, b);
}

static void row_fini(struct best_row *r)
{
	buf_fini(&r->text);
	json_decref(r->item);
}

void best_fini(struct best *b)
{
	for (size_t i = 0; i < b->n; i++)
		row_fini(&b->rows[i]);
	free(b->rows);
	*b = (struct best){ 0 };
}

static void swap(struct best_row *a, struct best_row *b)
{
	struct best_row kept = *a;

	*a = *b;
	*b = kept;
}

static void sift_up(struct best *b, size_t i)
{
	while (i > 0 &&
	       compare_rows(&b->rows[i], &b->rows[(i - 1) / 2]) > 0) {
		swap(&b->rows[i], &b->rows[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
}

static void sift_down(struct best *b)
{
	size_t i = 0, child;

	while ((child = 2 * i + 1) < b->n) {
		if (child + 1 < b->n &&
		    compare_rows(&b->rows[child + 1], &b->rows[child]) > 0)
			child++;
		if (compare_rows(&b->rows[child], &b->rows[i]) <= 0)
			return;
		swap(&b->rows[i], &b->rows[child]);
		i = child;
	}
}

/* Room for one more; the last of a full heap goes. */
static struct best_row *make_room(struct best *b)
{
	if (b->n == b->most) {
		row_fini(&b->rows[0]);
		return &b->rows[0];
	}
	if (b->n == b->cap) {
		b->cap = b->cap > 0 ? 2 * b->cap : 64;
		b->rows = mx_realloc(b->rows, b->cap * sizeof(*b->rows));
	}
	return &b->rows[b->n];
}

void best_add(struct best *b, const struct best_key *key, json_t *item)
{
	uint64_t at = b->seen++;
	struct best_row *r;

	MX_ASSERT(b->most > 0);
	if (b->n == b->most && compare(key, at, &b->rows[0]) > 0)
		return;
	r = make_room(b);
	*r = (struct best_row){ .number = key->number,
				.at = at,
				.item = json_incref(item) };
	buf_add(&r->text, key->text);
	if (r == b->rows && b->n == b->most)
		sift_down(b);
	else
		sift_up(b, b->n++);
}

json_t *best_take(struct best *b)
{
	json_t *list = json_array();

	if (b->n > 0)
		qsort(b->rows, b->n, sizeof(*b->rows), compare_rows);
	for (size_t i = 0; i < b->n; i++)
		json_array_append(list, b->rows[i].item);
	best_fini(b);
	return list;
}
