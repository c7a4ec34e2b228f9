#include "daemon/ctl/top_rows.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/hash.h"
#include "common/control/control.h"
#include "common/spool/scope.h"
#include "daemon/ctl/print.h"

struct entry {
	struct top_row row;
	UT_hash_handle hh;
};

struct table {
	struct entry *hash;
	struct entry **list;
	size_t n, cap;
};

struct top_rows {
	struct table shown, next;
	enum top_order order;
	bool is_whole;
};

/* ---- Tables ---- */

static void table_clear(struct table *t)
{
	HASH_CLEAR(hh, t->hash);
	for (size_t i = 0; i < t->n; i++) {
		struct entry *e = t->list[i];

		buf_fini(&e->row.name);
		buf_fini(&e->row.domain);
		buf_fini(&e->row.state);
		buf_fini(&e->row.reply);
		buf_fini(&e->row.hold);
		free(e);
	}
	free(t->list);
	*t = (struct table){ 0 };
}

static struct entry *table_find(const struct table *t, struct span name)
{
	struct entry *e;

	HASH_FIND(hh, t->hash, name.p, name.n, e);
	return e;
}

static struct entry *table_add(struct table *t, struct span name)
{
	struct entry *e = mx_alloc(sizeof(*e));

	if (t->n == t->cap) {
		t->cap = t->cap > 0 ? 2 * t->cap : 64;
		t->list = mx_realloc(t->list, t->cap * sizeof(*t->list));
	}
	t->list[t->n++] = e;
	buf_add(&e->row.name, name);
	HASH_ADD_KEYPTR(hh, t->hash, e->row.name.p, e->row.name.n, e);
	return e;
}

/* ---- Gathering ---- */

static void take_state(struct top_row *r, const json_t *item)
{
	buf_add(&r->domain, control_get_text(item, "domain"));
	buf_add(&r->state, control_get_text(item, "state"));
	buf_add(&r->reply, control_get_text(item, "last_reply"));
	r->since_ms = print_get_time(item, "since");
	r->next_ms = print_get_time(item, "next_probe");
	r->connections = control_get_int(item, "connections", -1);
}

/* What holds one of its domains is shown for all of it, unless it has more. */
static void take_hold(struct top_row *r, const json_t *item)
{
	struct span hold = control_get_text(item, "hold");

	if (r->hold.n == 0)
		buf_add(&r->hold, hold);
}

static void add_item(struct table *t, const json_t *item)
{
	struct span domain = control_get_text(item, "domain");
	struct span name = control_get_text(item, "destination");
	int64_t oldest_ms = print_get_time(item, "oldest");
	struct entry *e;
	struct top_row *r;

	/* a hold of a destination, or of a pattern: what is under it says so */
	if (domain.n == 0 || scope_is_pattern(domain))
		return;
	e = table_find(t, name.n > 0 ? name : domain);
	if (e == NULL) {
		e = table_add(t, name.n > 0 ? name : domain);
		e->row.has_destination = name.n > 0;
		take_state(&e->row, item);
	}
	r = &e->row;
	take_hold(r, item);
	r->domains++;
	r->messages += (uint64_t)control_get_int(item, "messages", 0);
	r->bytes += (uint64_t)control_get_int(item, "bytes", 0);
	if (oldest_ms != 0 && (r->oldest_ms == 0 || oldest_ms < r->oldest_ms))
		r->oldest_ms = oldest_ms;
}

void top_rows_add(struct top_rows *t, const json_t *items)
{
	for (size_t i = 0; i < json_array_size(items); i++)
		add_item(&t->next, json_array_get(items, i));
}

void top_rows_end(struct top_rows *t)
{
	table_clear(&t->shown);
	t->shown = t->next;
	t->next = (struct table){ 0 };
	t->is_whole = true;
	top_rows_sort(t, t->order);
}

void top_rows_abort(struct top_rows *t)
{
	table_clear(&t->next);
}

/* ---- Order ---- */

static int by_name(const struct top_row *a, const struct top_row *b)
{
	return span_cmp(buf_span(&a->name), buf_span(&b->name));
}

static int by_messages(const void *pa, const void *pb)
{
	const struct top_row *a = &(*(struct entry *const *)pa)->row;
	const struct top_row *b = &(*(struct entry *const *)pb)->row;

	if (a->messages != b->messages)
		return a->messages > b->messages ? -1 : 1;
	return by_name(a, b);
}

/* Without mail: last. */
static int by_oldest(const void *pa, const void *pb)
{
	const struct top_row *a = &(*(struct entry *const *)pa)->row;
	const struct top_row *b = &(*(struct entry *const *)pb)->row;
	int64_t x = a->oldest_ms != 0 ? a->oldest_ms : INT64_MAX;
	int64_t y = b->oldest_ms != 0 ? b->oldest_ms : INT64_MAX;

	if (x != y)
		return x < y ? -1 : 1;
	return by_name(a, b);
}

/* What needs somebody first. */
static int rank(const struct top_row *r)
{
	static const char *const states[] = { "down", "probing", "unknown",
					      "up" };

	if (r->hold.n > 0)
		return -1;
	for (size_t i = 0; i < COUNT(states); i++)
		if (span_eq(buf_span(&r->state), span_str(states[i])))
			return (int)i;
	return COUNT(states);
}

static int by_state(const void *pa, const void *pb)
{
	const struct top_row *a = &(*(struct entry *const *)pa)->row;
	const struct top_row *b = &(*(struct entry *const *)pb)->row;
	int x = rank(a), y = rank(b);

	return x != y ? (x > y) - (x < y) : by_messages(pa, pb);
}

static const struct {
	const char *name;
	int (*compare)(const void *a, const void *b);
} orders[TOP_ORDERS] = {
	[TOP_BY_MESSAGES] = { "messages", by_messages },
	[TOP_BY_OLDEST] = { "oldest", by_oldest },
	[TOP_BY_STATE] = { "state", by_state },
};

const char *top_order_name(enum top_order o)
{
	MX_ASSERT(o < TOP_ORDERS);
	return orders[o].name;
}

void top_rows_sort(struct top_rows *t, enum top_order order)
{
	MX_ASSERT(order < TOP_ORDERS);
	t->order = order;
	if (t->shown.n > 0)
		qsort(t->shown.list, t->shown.n, sizeof(*t->shown.list),
		      orders[order].compare);
}

/* ---- What is shown ---- */

static const struct table *shown(const struct top_rows *t)
{
	return t->is_whole ? &t->shown : &t->next;
}

size_t top_rows_count(const struct top_rows *t)
{
	return shown(t)->n;
}

const struct top_row *top_rows_at(const struct top_rows *t, size_t i)
{
	MX_ASSERT(i < shown(t)->n);
	return &shown(t)->list[i]->row;
}

size_t top_rows_find(const struct top_rows *t, struct span name)
{
	for (size_t i = 0; i < shown(t)->n; i++)
		if (span_eq(buf_span(&shown(t)->list[i]->row.name), name))
			return i;
	return SIZE_MAX;
}

bool top_rows_are_whole(const struct top_rows *t)
{
	return t->is_whole;
}

struct top_rows *top_rows_new(void)
{
	return mx_alloc(sizeof(struct top_rows));
}

void top_rows_free(struct top_rows **tp)
{
	struct top_rows *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	table_clear(&t->shown);
	table_clear(&t->next);
	free(t);
}
