/*
 * One route being looked up: a machine of rounds, each of which asks DNS a
 * number of questions at once and ends when all are answered.
 */
#ifndef MX_ROUTE_LOOKUP_H
#define MX_ROUTE_LOOKUP_H

#include <ev.h>

#include "daemon/dns/hosts.h"
#include "daemon/dns/resolver.h"
#include "daemon/dns/self.h"
#include "daemon/route/route.h"
#include "daemon/sts/sts.h"

struct lookup;

struct lookup_options {
	struct ev_loop *loop;
	struct resolver *resolver;
	struct sts *sts;
	const struct self *self;
	const struct hosts *hosts;
	struct config *config;   /* a reference is taken */
	struct span domain;      /* canonical; copied */
	enum route_source source; /* PRIMARY, RELAY or MX */
	bool is_ours;            /* what DNS denies is never final */
	bool is_brief;           /* a stranger's, see choose.h */
	const struct config_hop *hops; /* copied; not for MX */
	size_t hop_count;
	struct span hops_text;   /* normalised; for the cache only */
	enum tls_level tls;      /* what the configuration asks; no DEFAULT */
};

typedef void lookup_cb(struct route *route, void *arg); /* a reference given */

/* Begin; cb runs once, never before return, and the lookup is gone then. */
struct lookup *lookup_new(const struct lookup_options *opt, lookup_cb *cb,
			  void *arg);
void lookup_free(struct lookup **l); /* without cb; *l may be NULL */

#endif
