/*
 * The servers of primaries: one for all domains that are sent there in the
 * same way.  It is talked to over one connection at a time, whose facts are
 * remembered; each domain asks about a recipient of its own.
 */
#ifndef MX_CHECK_SERVER_H
#define MX_CHECK_SERVER_H

#include "common/base/hash.h"
#include "daemon/check/talk.h"
#include "daemon/check/world.h"
#include "daemon/route/route.h"

struct server_visit;
TAILQ_HEAD(server_visits, server_visit);

struct server {
	UT_hash_handle hh;
	struct world *world;
	struct arena arena;
	struct span host; /* empty: a literal */
	struct net_addr addr;
	enum tls_level level;
	struct tls_demand demand;
	struct talk *talk;
	struct talk_facts facts, later; /* of the first talk; of others */
	/* TLS was not as safe as the route demands, for this reason: we go on
	 * with any certificate, then without TLS, to see what else there is. */
	struct buf tls_error;
	bool is_lax, is_clear;
	struct server_visits visits; /* who waits */
	struct server_visit *current;
	unsigned answered, refused; /* by this talk */
	ev_timer timer;	   /* what must not be done within its events */
	bool is_lost;	   /* the talk is over, not taken away yet */
	size_t key_len;
	char key[];
};

/* A domain's question to a server: embedded in what asks. */
struct server_visit {
	TAILQ_ENTRY(server_visit) link;
	struct server *server;
	struct span recipient;
	struct gather *g; /* waits for it */
	bool is_done;
	bool is_answered; /* by a reply; else the server's facts say why not,
			     or, if it got ready, the connection was lost */
	bool is_mail;	  /* the reply is to MAIL */
	int code;
	char enhanced[12];
	struct span text; /* in g's arena: the reply as it is shown */
};

/* Ask; g waits.  recipient is borrowed. */
void server_visit(struct world *w, const struct route_host *host,
		  const struct net_addr *addr, struct span recipient,
		  struct gather *g, struct server_visit *v);
void server_leave(struct server_visit *v); /* done or not */
void server_free_all(struct world *w);

#endif
