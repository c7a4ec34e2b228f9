/*
 * What is counted per client: an IPv4 address, an IPv6 /64.  Who has one of
 * those often has more, so the networks around it are counted, too.  Times are
 * monotonic milliseconds.
 */
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

/* Has it, or a network around it, as many as it may, when one client may have
 * so many?  4 times as many for an IPv6 /56, 16 times for a /48 or an IPv4
 * /24. */
bool clients_are_many(const struct clients *c, const struct net_addr *client,
		      unsigned per_client);

/* May it connect once more, at rate connections a minute (0: no limit)?  The
 * networks it is in have as many times more as they may hold. */
bool clients_may_connect(struct clients *c, const struct net_addr *client,
			 unsigned rate, int64_t now_ms);

/* Count a connection, pay for it, and forget a few that are long gone. */
void clients_enter(struct clients *c, const struct net_addr *client,
		   unsigned rate, int64_t now_ms);
void clients_leave(struct clients *c, const struct net_addr *client);

/*
 * May a line be logged for it?  100 a minute and client, 6,000 for all.
 * *left_out: what was left out in the minute before, to be said now; *is_last:
 * no further one will be.  Both for all clients when *is_all.
 */
struct clients_line {
	bool may, is_all, is_last;
	unsigned left_out;
};
struct clients_line clients_line(struct clients *c,
				 const struct net_addr *client, int64_t now_ms);

#endif
