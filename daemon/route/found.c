#include "daemon/route/found.h"

#include <string.h>

static void drop(struct found *f, size_t i)
{
	size_t behind = --f->count - i;

	memmove(&f->at[i], &f->at[i + 1], behind * sizeof(f->at[0]));
	memmove(&f->until_ms[i], &f->until_ms[i + 1],
		behind * sizeof(f->until_ms[0]));
}

bool found_add(struct found *f, const struct net_addr *at, int64_t now_ms)
{
	const size_t before = f->count;
	bool is_known;

	for (size_t i = 0; i < f->count; i++) {
		if (net_endpoint_eq(&f->at[i], at)) {
			drop(f, i);
			break;
		}
	}
	is_known = f->count < before;
	if (f->count == FOUND_MOST)
		return false;
	f->at[f->count] = *at;
	f->until_ms[f->count++] = now_ms + FOUND_FOR_MS;
	return !is_known;
}

void found_expire(struct found *f, int64_t now_ms)
{
	while (f->count > 0 && f->until_ms[0] <= now_ms)
		drop(f, 0);
}
