/* What is counted per client.  Times are monotonic milliseconds. */
#ifndef MX_POLICY_CLIENTS_H
#define MX_POLICY_CLIENTS_H

#include "common/net/addr.h"

struct clients;

/* Clients that hold no connection are remembered for their rate only, and at
 * most this many of them. */
enum { CLIENTS_IDLE_MAX = 65536 };

struct clients *clients_new(void);
void clients_free(struct clients **c);

/* Connections held now, by all. */
size_t clients_connected(const struct clients *c);
/* Clients in the table. */
size_t clients_known(const struct clients *c);

/* Connections held now by this one. */
unsigned clients_held(const struct clients *c, const struct net_addr *client);

/* May it connect once more, at rate connections a minute (0: no limit)? */
bool clients_may_connect(struct clients *c, const struct net_addr *client,
			 unsigned rate, int64_t now_ms);

/* Count a connection, pay for it, and forget a few that are long gone. */
void clients_enter(struct clients *c, const struct net_addr *client,
		   unsigned rate, int64_t now_ms);
void clients_leave(struct clients *c, const struct net_addr *client);

#endif
