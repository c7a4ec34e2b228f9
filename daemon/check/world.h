/* What all that is examined has in common in one run. */
#ifndef MX_CHECK_WORLD_H
#define MX_CHECK_WORLD_H

#include "daemon/check/check.h"
#include "daemon/check/gather.h"
#include "daemon/dns/hosts.h"
#include "daemon/dns/self.h"
#include "daemon/sts/sts.h"

struct server;
TAILQ_HEAD(owns, own);

struct world {
	struct ev_loop *loop;
	const struct check_options *opt;
	struct config *config;
	struct resolver *resolver;
	struct resolver *fresh; /* without memory; NULL until it is needed */
	struct sts *sts;
	struct self self;
	struct hosts hosts;
	struct owns owns;	/* own.c */
	struct server *servers; /* server.c */
};

#endif
