#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "common/base/siphash.h"

/* The paper's key is 00 01 .. 0f, its message 00 01 .. as long as is said. */
Test(siphash, agrees_with_the_published_vectors)
{
	static const struct {
		size_t n;
		uint64_t hash;
	} cases[] = {
		{ 0, 0x726fdb47dd0e0e31 }, { 1, 0x74f839c593dc67fd },
		{ 2, 0x0d6c8009d9a94f5a }, { 8, 0x93f5f5799a932462 },
		{ 15, 0xa129ca6149be45e5 },
	};
	const struct siphash_key key = { 0x0706050403020100,
					 0x0f0e0d0c0b0a0908 };
	char text[16];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)i;
	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(siphash(key, span_of(text, cases[i].n)),
			     cases[i].hash, "%zu bytes", cases[i].n);
}

Test(siphash, keys_differ)
{
	const struct siphash_key a = { 1, 2 }, b = { 1, 3 };

	cr_expect_neq(siphash(a, span_str("example.org")),
		      siphash(b, span_str("example.org")));
}
