#include "common/base/random.h"

#include <criterion/criterion.h>

/* As the authors' program prints them for a seed of 0. */
Test(random, a_series_is_that_of_splitmix64)
{
	uint64_t state = 0;

	cr_expect_eq(random_next(&state), 0xe220a8397b1dcdaf);
	cr_expect_eq(random_next(&state), 0x6e789e6aa1b965f4);
	cr_expect_eq(random_next(&state), 0x06c45d188009454f);
}

Test(random, secrets_differ)
{
	cr_expect_neq(random_secret(), random_secret());
}
