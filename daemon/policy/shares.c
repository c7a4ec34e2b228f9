#include "daemon/policy/shares.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/hash.h"

enum { IPV4_BYTES = 4, IPV6_BYTES = 6 };

struct network {
	sa_family_t family;
	unsigned char ip[IPV6_BYTES];
};

/* In the table for as long as a transaction refers to it. */
struct share {
	struct network key;
	struct shares *all;
	unsigned refs;
	unsigned arriving; /* transactions with content */
	size_t memory;
	uint64_t content;
	UT_hash_handle hh;
};

struct shares {
	struct share *table;
	size_t memory;
};

struct shares *shares_new(void)
{
	return mx_alloc(sizeof(struct shares));
}

void shares_free(struct shares **s)
{
	if (*s == NULL)
		return;
	MX_ASSERT((*s)->table == NULL && (*s)->memory == 0);
	free(*s);
	*s = NULL;
}

size_t shares_memory(const struct shares *s)
{
	return s->memory;
}

size_t shares_networks(const struct shares *s)
{
	return HASH_COUNT(s->table);
}

static struct share *find_or_add(struct shares *s,
				 const struct net_addr *client)
{
	struct network key;
	struct share *e;

	memset(&key, 0, sizeof(key)); /* no padding may differ */
	key.family = client->family;
	memcpy(key.ip, client->ip,
	       client->family == AF_INET ? IPV4_BYTES : IPV6_BYTES);
	HASH_FIND(hh, s->table, &key, sizeof(key), e);
	if (e != NULL)
		return e;
	e = mx_alloc(sizeof(*e));
	memcpy(&e->key, &key, sizeof(key));
	e->all = s;
	HASH_ADD(hh, s->table, key, sizeof(e->key), e);
	return e;
}

void holding_begin(struct holding *h, struct shares *s,
		   const struct net_addr *client)
{
	*h = (struct holding){ .share = find_or_add(s, client) };
	h->share->refs++;
}

void holding_end(struct holding *h)
{
	struct share *e = h->share;

	if (e == NULL)
		return;
	holding_set_memory(h, 0);
	holding_set_content(h, 0, 0);
	h->share = NULL;
	if (--e->refs > 0)
		return;
	/* who is in the table has one: the analyzer cannot know */
	HASH_DELETE(hh, e->all->table, e); /* NOLINT(*NullDereference) */
	free(e);
}

bool holding_may_grow(const struct holding *h)
{
	const size_t all = h->share->all->memory;

	return h->memory == 0 || (all < SHARES_MEMORY_BYTES &&
				  h->share->memory < SHARES_MEMORY_BYTES - all);
}

void holding_set_memory(struct holding *h, size_t bytes)
{
	const size_t counted =
		bytes > SHARES_FREE_BYTES ? bytes - SHARES_FREE_BYTES : 0;

	h->share->memory += counted - h->memory;
	h->share->all->memory += counted - h->memory;
	h->memory = counted;
}

bool holding_set_content(struct holding *h, uint64_t bytes, uint64_t room_left)
{
	struct share *e = h->share;

	e->arriving += (unsigned)(bytes > 0) - (unsigned)(h->content > 0);
	e->content += bytes - h->content;
	h->content = bytes;
	return e->arriving <= 1 || e->content <= room_left / SHARES_ROOM_PART;
}
