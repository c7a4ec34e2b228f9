#include "daemon/policy/returns.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/base/hash.h"

enum { WAYS = 16, SETS = RETURNS_PLACES / WAYS };

struct place {
	uint64_t mail;	   /* hash of all three */
	int64_t since_ms;  /* 0: nobody's */
	uint32_t network;  /* hash of the first */
	bool was_let_in;
};

struct returns {
	struct place places[SETS][WAYS];
};

struct returns *returns_new(void)
{
	return mx_alloc(sizeof(struct returns));
}

void returns_free(struct returns **r)
{
	free(*r);
	*r = NULL;
}

/* ---- Keys ---- */

/* A path holds neither NUL nor line end: what stands between keeps them
 * apart. */
static struct place key_of(const struct net_addr *client, struct span from,
			   struct span to)
{
	const struct net_addr whose = net_addr_client(client);
	const struct span network = span_of(whose.ip, sizeof(whose.ip));
	struct buf text = { 0 };
	struct place key = { 0 };

	key.network = (uint32_t)hash_keyed(network);
	buf_add(&text, network);
	buf_addc(&text, '\n');
	buf_add(&text, from);
	buf_addc(&text, '\n');
	buf_add(&text, to);
	key.mail = hash_keyed(buf_span(&text));
	buf_fini(&text);
	return key;
}

/* Of a network in one of a few sets, by what it sends. */
static size_t set_of(const struct place *key)
{
	const uint64_t bits[2] = { key->network, key->mail % RETURNS_SPREAD };

	return hash_keyed(span_of((const char *)bits, sizeof(bits))) % SETS;
}

static bool is_live(const struct place *p, int64_t now_ms)
{
	return p->since_ms != 0 && now_ms - p->since_ms < RETURNS_LIFE_MS;
}

static const struct place *find(const struct place *set,
				const struct place *key, int64_t now_ms)
{
	for (int i = 0; i < WAYS; i++)
		if (set[i].mail == key->mail && set[i].network == key->network)
			return is_live(&set[i], now_ms) ? &set[i] : NULL;
	return NULL;
}

/* ---- Room ---- */

static unsigned held_by(const struct place *set, uint32_t network)
{
	unsigned n = 0;

	for (int i = 0; i < WAYS; i++)
		n += set[i].network == network;
	return n;
}

/* Nobody misses it: it is over, else it was let in, and that the longest time
 * ago. */
static struct place *idle_place(struct place *set, int64_t now_ms)
{
	struct place *found = NULL;

	for (int i = 0; i < WAYS; i++) {
		if (!is_live(&set[i], now_ms))
			return &set[i];
		if (set[i].was_let_in &&
		    (found == NULL || set[i].since_ms < found->since_ms))
			found = &set[i];
	}
	return found;
}

/* The newest of the network that has most.  Where nobody has more than one it is
 * the oldest: a crowd must not keep all others out for days. */
static struct place *place_of_most(struct place *set, unsigned *most)
{
	struct place *found = NULL;

	*most = 0;
	for (int i = 0; i < WAYS; i++) {
		const unsigned n = held_by(set, set[i].network);
		const bool is_newer = found != NULL &&
				      set[i].since_ms > found->since_ms;

		if (n > *most || (n == *most && is_newer == (n > 1)))
			found = &set[i];
		if (n > *most)
			*most = n;
	}
	return found;
}

/* NULL: the network itself has most. */
static struct place *make_room(struct place *set, const struct place *key,
			       int64_t now_ms)
{
	struct place *p = idle_place(set, now_ms);
	unsigned most;

	if (p != NULL)
		return p;
	p = place_of_most(set, &most);
	return held_by(set, key->network) < most ? p : NULL;
}

/* ---- Coming and going ---- */

static bool is_due(const struct place *p, int64_t wait_ms, int64_t now_ms)
{
	return p != NULL && now_ms - p->since_ms >= wait_ms;
}

bool returns_is_due(const struct returns *r, const struct net_addr *client,
		    struct span from, struct span to, int64_t wait_ms,
		    int64_t now_ms)
{
	const struct place key = key_of(client, from, to);

	return is_due(find(r->places[set_of(&key)], &key, now_ms), wait_ms,
		      now_ms);
}

bool returns_come(struct returns *r, const struct net_addr *client,
		  struct span from, struct span to, int64_t wait_ms,
		  int64_t now_ms)
{
	const struct place key = key_of(client, from, to);
	struct place *set = r->places[set_of(&key)];
	struct place *p =
		(struct place *)(uintptr_t)find(set, &key, now_ms);

	if (p == NULL) {
		p = make_room(set, &key, now_ms);
		if (p == NULL)
			return false;
		*p = key;
		p->since_ms = now_ms > 0 ? now_ms : 1;
		return false;
	}
	p->was_let_in |= is_due(p, wait_ms, now_ms);
	return is_due(p, wait_ms, now_ms);
}
