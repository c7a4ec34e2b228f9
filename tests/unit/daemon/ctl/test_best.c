/* The first so many, in order, of however many come. */
#include <criterion/criterion.h>

#include "daemon/ctl/best.h"

static void add(struct best *b, int64_t number, const char *text, int id)
{
	const struct best_key key = { number, span_str(text) };
	json_t *item = json_integer(id);

	best_add(b, &key, item);
	json_decref(item);
}

Test(ctl_best, keeps_the_first_of_many_in_order)
{
	struct best b = { .most = 10 };
	json_t *list;

	for (int i = 0; i < 1000; i++)
		add(&b, (i * 7919) % 1000, "", (i * 7919) % 1000);
	cr_expect_eq(b.seen, 1000);
	list = best_take(&b);
	cr_assert_eq(json_array_size(list), 10);
	for (int i = 0; i < 10; i++)
		cr_expect_eq(json_integer_value(json_array_get(list, (size_t)i)),
			     i);
	json_decref(list);
}

Test(ctl_best, equals_stay_as_they_came)
{
	static const int order[] = { 3, 0, 1 };
	struct best b = { .most = 3 };
	json_t *list;

	add(&b, 1, "b", 0);
	add(&b, 1, "b", 1);
	add(&b, 1, "b", 2);
	add(&b, 1, "ab", 3);
	list = best_take(&b);
	cr_assert_eq(json_array_size(list), 3);
	for (size_t i = 0; i < 3; i++)
		cr_expect_eq(json_integer_value(json_array_get(list, i)),
			     order[i]);
	json_decref(list);
	list = best_take(&b);
	cr_expect_eq(json_array_size(list), 0);
	json_decref(list);
}
