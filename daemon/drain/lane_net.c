#include "daemon/drain/lane_net.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/hash.h"

/* An IPv4 address, or an IPv6 /48: what one customer has at no cost. */
enum { IPV4_BYTES = 4, IPV6_BYTES = 6 };

struct key {
	sa_family_t family;
	unsigned char ip[IPV6_BYTES];
};

struct lane_net {
	struct key key;
	struct lanes *of;
	unsigned waiting, held;
	UT_hash_handle hh;
};

static struct lane_net *find_or_add(struct lanes *of,
				    const struct net_addr *client)
{
	struct lane_net *n;
	struct key key;

	memset(&key, 0, sizeof(key)); /* no padding may differ */
	key.family = client->family;
	memcpy(key.ip, client->ip,
	       client->family == AF_INET ? IPV4_BYTES : IPV6_BYTES);
	HASH_FIND(hh, of->nets, &key, sizeof(key), n);
	if (n != NULL)
		return n;
	n = mx_alloc(sizeof(*n));
	memcpy(&n->key, &key, sizeof(key));
	n->of = of;
	HASH_ADD(hh, of->nets, key, sizeof(n->key), n);
	return n;
}

static void drop(struct lane_net *n)
{
	if (n->waiting > 0 || n->held > 0)
		return;
	HASH_DELETE(hh, n->of->nets, n);
	free(n);
}

/* One more: no more than would be left for the others, but for the odd one. */
static bool is_fair(unsigned own, unsigned all, unsigned most)
{
	return own == 0 || (all < most && own <= most - all - 1);
}

bool lane_net_wait(struct lane_stake *s, struct lanes *of, unsigned places)
{
	struct lane_net *n = find_or_add(of, &s->client);

	MX_ASSERT(s->net == NULL);
	if (of->count >= places || !is_fair(n->waiting, of->count, places)) {
		drop(n);
		return false;
	}
	n->waiting++;
	of->count++;
	s->net = n;
	s->is_held = false;
	return true;
}

bool lane_net_may_hold(const struct lane_stake *s, unsigned most)
{
	MX_ASSERT(s->net != NULL && !s->is_held);
	return is_fair(s->net->held, s->net->of->held, most);
}

void lane_net_hold(struct lane_stake *s)
{
	struct lanes *of = s->net->of;

	MX_ASSERT(!s->is_held && s->net->waiting > 0 && of->count > 0);
	s->net->waiting--;
	of->count--;
	s->net->held++;
	of->held++;
	s->is_held = true;
}

void lane_net_leave(struct lane_stake *s)
{
	struct lane_net *n = s->net;

	if (n == NULL)
		return;
	s->net = NULL;
	if (s->is_held) {
		MX_ASSERT(n->held > 0 && n->of->held > 0);
		n->held--;
		n->of->held--;
	} else {
		MX_ASSERT(n->waiting > 0 && n->of->count > 0);
		n->waiting--;
		n->of->count--;
	}
	drop(n);
}

bool lane_net_is_same(const struct lane_stake *a, const struct lane_stake *b)
{
	return a->net != NULL && a->net == b->net;
}
