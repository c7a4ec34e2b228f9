/* SipHash-2-4: a hash nobody can aim at without its key (Aumasson and
 * Bernstein, 2012). */
#ifndef MX_BASE_SIPHASH_H
#define MX_BASE_SIPHASH_H

#include "common/base/span.h"

struct siphash_key {
	uint64_t k0, k1;
};

uint64_t siphash(struct siphash_key key, struct span s);

#endif
