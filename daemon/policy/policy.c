#include "daemon/policy/policy.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "daemon/policy/clients.h"
#include "daemon/policy/shares.h"
#include "daemon/policy/verdicts.h"

struct policy {
	struct clients *clients;
	struct shares *shares;
};

struct policy *policy_new(void)
{
	struct policy *p = mx_alloc(sizeof(*p));

	p->clients = clients_new();
	p->shares = shares_new();
	return p;
}

struct shares *policy_shares(struct policy *p)
{
	return p->shares;
}

void policy_free(struct policy **p)
{
	if (*p == NULL)
		return;
	clients_free(&(*p)->clients);
	shares_free(&(*p)->shares);
	free(*p);
	*p = NULL;
}

struct verdict policy_connect(struct policy *p, const struct config *c,
			      const struct net_addr *client,
			      int64_t now_mono_ms)
{
	const unsigned rate = c->limits.connection_rate;

	if (clients_connected(p->clients) >= c->limits.connections)
		return verdict(V_BUSY);
	if (clients_held(p->clients, client) >=
	    c->limits.connections_per_client)
		return verdict(V_CLIENT_BUSY);
	if (!clients_may_connect(p->clients, client, rate, now_mono_ms))
		return verdict(V_CLIENT_FAST);
	clients_enter(p->clients, client, rate, now_mono_ms);
	return verdict(V_GO);
}

void policy_leave(struct policy *p, const struct net_addr *client)
{
	clients_leave(p->clients, client);
}
