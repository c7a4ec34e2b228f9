/* The inside of the router (route.h).  The files stand on each other in this
 * order: router_source, router_cache, router. */
#ifndef MX_ROUTE_ROUTER_PRIV_H
#define MX_ROUTE_ROUTER_PRIV_H

#include <sys/queue.h>

#include "daemon/route/found.h"
#include "daemon/route/lookup.h"
#include "daemon/route/report.h"

enum { ROUTER_MAGIC = 0x7007e700 };

struct entry;
TAILQ_HEAD(query_list, route_query);
TAILQ_HEAD(entry_list, entry);

/*
 * Strangers are the domains that are not listed, where our reports go.  What
 * their servers do must not delay the others, so they have a resolver, policies
 * and a cache of their own.  What the operator named (bounce.relay) is ours.
 */
enum { OURS, STRANGERS, SIDES };
struct side {
	struct resolver *resolver;
	struct sts *sts;
	struct entry_list lru;
	size_t count, most; /* entries */
};

struct router {
	unsigned magic;
	struct ev_loop *loop;
	struct config *config;
	struct side sides[SIDES];
	struct router_options opt;
	struct net_addr *local;
	struct self self;
	struct found found; /* self borrows it */
	unsigned findings;
	struct hosts hosts;
	ev_timer files;
	struct entry *entries;
	struct query_list queries;
	struct report_budget budget;
	struct arena scratch; /* of the last router_choose */
};

/* ---- router_source.c ---- */

/* What to look up for a domain.  What opt borrows lives until the next call. */
void router_choose(struct router *r, struct span domain,
		   struct lookup_options *opt);
struct side *router_side(struct router *r, const struct lookup_options *opt);

/* ---- router_cache.c ---- */

void router_cache_init(struct router *r);
/* Nothing is known any more, and nobody is asked; who waits has to be asked for
 * again. */
void router_cache_drop(struct router *r);
void router_cache_ask_again(struct router *r);
/* The same, and nobody waits any more: none is called back. */
void router_cache_fini(struct router *r);

#endif
