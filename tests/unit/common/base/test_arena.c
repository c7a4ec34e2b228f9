#include "common/base/arena.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdalign.h>

Test(arena, is_zeroed_and_aligned)
{
	struct arena a = { 0 };

	for (size_t size = 0; size < 3000; size += 7) {
		unsigned char *p = arena_alloc(&a, size);

		cr_assert_eq((uintptr_t)p % alignof(max_align_t), 0);
		for (size_t i = 0; i < size; i++)
			cr_assert_eq(p[i], 0);
		memset(p, 0xff, size); /* overlaps would show as non-zero */
	}
	arena_reset(&a);
	cr_expect_null(a.blocks);
	cr_expect_eq(a.bytes, 0);
}

Test(arena, copies_are_terminated)
{
	struct arena a = { 0 };
	char text[] = "abc";
	struct span s = arena_span(&a, span_of(text, 3));
	const char *empty = arena_str(&a, (struct span){ NULL, 0 });

	text[0] = 'x';
	cr_expect(span_eq(s, SPAN_LIT("abc")));
	cr_expect_eq(s.p[3], '\0');
	cr_expect_str_eq(empty, "");
	cr_expect_not_null(arena_span(&a, (struct span){ NULL, 0 }).p);
	arena_reset(&a);
}

/* What was handed out, so that an owner can hold it to a limit. */
Test(arena, counts)
{
	struct arena a = { 0 };

	arena_alloc(&a, 1);
	cr_expect_geq(a.bytes, 1);
	arena_alloc(&a, 5000);
	cr_expect_geq(a.bytes, 5001);
	cr_expect_leq(a.bytes, 5001 + 64);
	arena_reset(&a);
	arena_reset(&a); /* twice is harmless */
}

Test(arena, array_overflow_is_our_mistake, .signal = SIGABRT)
{
	struct arena a = { 0 };

	arena_alloc_array(&a, SIZE_MAX / 2, 3);
}

Test(arena, size_overflow_is_our_mistake, .signal = SIGABRT)
{
	struct arena a = { 0 };

	arena_alloc(&a, SIZE_MAX - 3);
}
