#include "common/spool/touch.h"

#include <stdlib.h>

#include "common/base/alloc.h"

static void add(struct batch *b, struct touch one, struct span domain)
{
	struct touches *t = &b->touches;

	if (b->sp->mirror.ops == NULL || b->is_known_there)
		return;
	if (t->n == t->cap) {
		t->cap = t->cap > 0 ? 2 * t->cap : 64;
		t->all = mx_realloc(t->all, t->cap * sizeof(*t->all));
	}
	one.name_at = t->names.n;
	one.name_n = domain.n;
	buf_add(&t->names, domain);
	t->all[t->n++] = one;
}

void touch_message(struct batch *b, uint64_t id, enum touch_kind kind)
{
	add(b, (struct touch){ .id = id, .kind = kind }, SPAN_LIT(""));
}

void touch_content(struct batch *b, uint64_t id, uint64_t offset)
{
	add(b,
	    (struct touch){ .id = id, .offset = offset, .kind = TOUCH_CONTENT },
	    SPAN_LIT(""));
}

void touch_unit(struct batch *b, uint64_t id, struct span domain)
{
	add(b, (struct touch){ .id = id, .kind = TOUCH_UNIT }, domain);
}

void touch_hold(struct batch *b, struct span domain)
{
	add(b, (struct touch){ .kind = TOUCH_HOLD }, domain);
}

struct span touch_domain(const struct touches *t, const struct touch *one)
{
	return span_skip((struct span){ t->names.p, one->name_at + one->name_n },
			 one->name_at);
}

static int by_key(const void *pa, const void *pb, void *arg)
{
	const struct touch *a = pa, *b = pb;

	if (a->id != b->id)
		return a->id < b->id ? -1 : 1;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->offset != b->offset)
		return a->offset < b->offset ? -1 : 1;
	return span_cmp(touch_domain(arg, a), touch_domain(arg, b));
}

void touches_sort(struct touches *t)
{
	size_t n = 0;

	if (t->n == 0)
		return;
	qsort_r(t->all, t->n, sizeof(*t->all), by_key, t);
	for (size_t i = 0; i < t->n; i++)
		if (n == 0 || by_key(&t->all[n - 1], &t->all[i], t) != 0)
			t->all[n++] = t->all[i];
	t->n = n;
}

void touches_free(struct touches *t)
{
	free(t->all);
	buf_fini(&t->names);
	*t = (struct touches){ 0 };
}
