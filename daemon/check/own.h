/*
 * This host as the world sees it under one of its names: addresses, reverse
 * names, the listeners behind them with their certificate, TLSA, blocklists.
 * Asked once, however many domains name it.
 */
#ifndef MX_CHECK_OWN_H
#define MX_CHECK_OWN_H

#include "daemon/check/talk.h"
#include "daemon/check/world.h"

enum { OWN_ADDRS_MAX = 8, OWN_NAMES_MAX = 4, OWN_MS = 14000 };

/* A name that an address has, and where that leads. */
struct own_name {
	struct span name;
	struct answer v4, v6;
};

struct own_addr {
	struct net_addr addr; /* with the port that we are asked at */
	bool is_here;         /* of this host, or one it listens on */
	bool is_alias;        /* the configuration says that it is ours */
	struct answer ptr;
	struct own_name names[OWN_NAMES_MAX];
	size_t name_count;
	struct answer *listed; /* one for each zone of policy.dnsbl */
	struct talk *talk;
	struct talk_facts facts;
};

struct own_wait;
TAILQ_HEAD(own_waits, own_wait);

struct own {
	struct gather g; /* first */
	struct world *world;
	TAILQ_ENTRY(own) link;
	struct span name;
	in_port_t port;	      /* 25, or where we listen instead of it */
	bool is_proxied;      /* a listener wants the PROXY protocol */
	struct answer v4, v6;
	unsigned addrs_pending;
	struct own_addr addrs[OWN_ADDRS_MAX];
	size_t addr_count;
	struct answer tlsa;
	struct tls_tlsa *records; /* usable ones */
	size_t record_count;
	struct tls_demand demand, dane_demand;
	struct talk *dane; /* held to the TLSA records */
	struct talk_facts dane_facts;
	bool is_dane_tried;
	bool is_done;
	struct findings findings;
	struct own_waits waits;
};

struct own *own_get(struct world *w, struct span name);
/* g waits for it, and then is called when it is there, at once if it is;
 * unless own_leave. */
void own_await(struct own *o, struct gather *g, gather_fn *then);
void own_leave(struct own *o, struct gather *g);
void own_free_all(struct world *w);

/* ---- own_facts.c ---- */

/* Append its addresses, a space between them: "192.0.2.2 2001:db8::2"; or a
 * word for them.  o may be NULL. */
void own_add_addrs(struct buf *out, const struct own *o);

/* One where we answered over TLS, and not somebody else; NULL: none. */
const struct own_addr *own_shown(const struct own *o);

/* Were we there, and not somebody else? */
bool own_answered(const struct own *o, const struct own_addr *a);

/* ---- own_judge.c: what is wrong with it ---- */

enum { OWN_TTL_S = 3600 }; /* of records to be published */
void own_judge(struct own *o);

/* ---- own_judge_tls.c: its part of that ---- */

void own_judge_tls(struct findings *f, const struct own *o);
void own_judge_tlsa(struct findings *f, const struct own *o);
/* Append "_25._tcp.mx2.example.net. 3600 IN TLSA 3 1 1 ..." of the certificate
 * served. */
void own_tlsa_record(struct buf *out, const struct own *o,
		     const struct tls_shown *shown);

#endif
