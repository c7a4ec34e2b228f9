#include "common/base/random.h"

#include <sys/random.h>

#include "common/base/assert.h"

uint64_t random_secret(void)
{
	uint64_t n;

	/* Up to 256 bytes come whole, and at start the pool may block. */
	MX_ASSERT(getrandom(&n, sizeof(n), 0) == sizeof(n));
	return n;
}

/* splitmix64 (Steele, Lea and Flood, 2014) */
uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}
