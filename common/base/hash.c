#include "common/base/hash.h"

#include <pthread.h>

#include "common/base/random.h"
#include "common/base/siphash.h"

static struct siphash_key the_key;

static void draw_key(void)
{
	the_key = (struct siphash_key){ random_secret(), random_secret() };
}

uint64_t hash_keyed(struct span s)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, draw_key);
	return siphash(the_key, s);
}
