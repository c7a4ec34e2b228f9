/* The keyed hash behind tables of names that strangers choose. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/hash.h"

Test(hash, is_stable_and_tells_names_apart)
{
	uint64_t a = hash_keyed(SPAN_LIT("a.test"));

	cr_expect_eq(a, hash_keyed(SPAN_LIT("a.test")));
	cr_expect_neq(a, hash_keyed(SPAN_LIT("b.test")));
	cr_expect_neq(a, hash_keyed(SPAN_LIT("")));
}

struct row {
	UT_hash_handle hh;
	char name[32];
};

Test(hash, works_as_the_function_of_uthash)
{
	struct row *rows = NULL, *r, *tmp;

	for (int i = 0; i < 1000; i++) {
		r = mx_alloc(sizeof(*r));
		snprintf(r->name, sizeof(r->name), "d%d.test", i);
		HASH_ADD_STR(rows, name, r);
	}
	HASH_FIND_STR(rows, "d517.test", r);
	cr_assert_not_null(r);
	cr_expect_str_eq(r->name, "d517.test");
	HASH_FIND_STR(rows, "d1000.test", r);
	cr_expect_null(r);
	HASH_ITER (hh, rows, r, tmp) {
		HASH_DEL(rows, r);
		free(r);
	}
}
