#include "daemon/policy/rates.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/hash.h"

enum { WAYS = 8, SETS = RATES_PLACES / WAYS };

struct place {
	int64_t since_ms; /* 0: nobody's */
	uint64_t network; /* the first 64 or 48 bits of IPv6, 32 of IPv4 */
	sa_family_t family;
	bool is_wide; /* the 48 */
	uint16_t counts[RATE_COUNT];
};

struct rates {
	struct place places[SETS][WAYS];
};

struct rates *rates_new(void)
{
	return mx_alloc(sizeof(struct rates));
}

void rates_free(struct rates **r)
{
	free(*r);
	*r = NULL;
}

static struct place key_of(const struct net_addr *client, bool is_wide)
{
	const size_t narrow = client->family == AF_INET6 ? 8 : 4;
	struct place key;

	memset(&key, 0, sizeof(key));
	key.family = client->family;
	key.is_wide = is_wide;
	memcpy(&key.network, client->ip, is_wide ? 6 : narrow);
	return key;
}

static size_t set_of(const struct place *key)
{
	char bytes[sizeof(key->network) + 2];

	memcpy(bytes, &key->network, sizeof(key->network));
	bytes[sizeof(key->network)] = (char)key->family;
	bytes[sizeof(key->network) + 1] = (char)key->is_wide;
	return hash_keyed(span_of(bytes, sizeof(bytes))) % SETS;
}

static bool is_live(const struct place *p, int64_t now_ms)
{
	return p->since_ms != 0 && now_ms - p->since_ms < RATES_WINDOW_MS;
}

static bool is_same(const struct place *p, const struct place *key)
{
	return p->since_ms != 0 && p->network == key->network &&
	       p->family == key->family && p->is_wide == key->is_wide;
}

static const struct place *find(const struct place *set,
				const struct place *key)
{
	for (int i = 0; i < WAYS; i++)
		if (is_same(&set[i], key))
			return &set[i];
	return NULL;
}

/* How much would be lost with it? */
static unsigned weight(const struct place *p, int64_t now_ms)
{
	unsigned sum = 0;

	if (!is_live(p, now_ms))
		return 0;
	for (int i = 0; i < RATE_COUNT; i++)
		sum += p->counts[i];
	return sum + 1;
}

/* The one that did least; of equals the one that began first. */
static struct place *least(struct place *set, int64_t now_ms)
{
	struct place *found = &set[0];

	for (int i = 1; i < WAYS; i++) {
		unsigned a = weight(&set[i], now_ms);
		unsigned b = weight(found, now_ms);

		if (a < b || (a == b && set[i].since_ms < found->since_ms))
			found = &set[i];
	}
	return found;
}

static unsigned get(const struct rates *r, const struct place *key,
		    enum rate what, int64_t now_ms)
{
	const struct place *p = find(r->places[set_of(key)], key);

	return p != NULL && is_live(p, now_ms) ? p->counts[what] : 0;
}

static unsigned add(struct rates *r, const struct place *key, enum rate what,
		    int64_t now_ms)
{
	struct place *set = r->places[set_of(key)];
	struct place *p = (struct place *)(uintptr_t)find(set, key);

	if (p == NULL)
		p = least(set, now_ms);
	if (!is_same(p, key) || !is_live(p, now_ms)) {
		*p = *key;
		p->since_ms = now_ms > 0 ? now_ms : 1;
	}
	if (p->counts[what] < UINT16_MAX)
		p->counts[what]++;
	return p->counts[what];
}

/* The own count, or the share of all around it. */
static unsigned larger(unsigned narrow, unsigned wide)
{
	wide /= RATES_WIDER;
	return narrow > wide ? narrow : wide;
}

unsigned rates_get(const struct rates *r, const struct net_addr *client,
		   enum rate what, int64_t now_ms)
{
	const struct place narrow = key_of(client, false);
	const struct place wide = key_of(client, true);
	unsigned n = get(r, &narrow, what, now_ms);

	return client->family == AF_INET6
		       ? larger(n, get(r, &wide, what, now_ms))
		       : n;
}

unsigned rates_add(struct rates *r, const struct net_addr *client,
		   enum rate what, int64_t now_ms)
{
	const struct place narrow = key_of(client, false);
	const struct place wide = key_of(client, true);
	unsigned n = add(r, &narrow, what, now_ms);

	return client->family == AF_INET6
		       ? larger(n, add(r, &wide, what, now_ms))
		       : n;
}
