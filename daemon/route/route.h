/*
 * Where a domain's mail goes now.  One question, answered later by callback;
 * never stored with a message (RFC 5321 section 5.1).
 */
#ifndef MX_ROUTE_ROUTE_H
#define MX_ROUTE_ROUTE_H

#include <ev.h>

#include "config/config.h"
#include "common/net/addr.h"
#include "common/net/tls.h"

enum route_result {
	ROUTE_OK,
	ROUTE_TRANSIENT, /* SERVFAIL, time-out, bogus: ask again after ttl */
	ROUTE_PERMANENT, /* NXDOMAIN, or no MX and no address */
	ROUTE_NULL_MX,   /* RFC 7505: takes no mail */
	ROUTE_SELF,      /* we are the best MX: hold and alarm */
};

/* What TLS must achieve with one host. */
struct route_tls {
	enum tls_level level;         /* never DEFAULT */
	bool is_dane;                 /* tlsa below decides */
	bool is_sts;                  /* an enforced MTA-STS policy decides */
	struct tls_tlsa *tlsa;
	size_t tlsa_count;
	struct span *names;           /* reference identifiers */
	size_t name_count;
	const char *reason;           /* for people: "dane", "mta-sts", ... */
};

struct route_host {
	struct span name;             /* MX host; empty for a literal */
	unsigned preference;
	struct net_addr *addrs;       /* with port; in order of trial */
	size_t addr_count;
	bool secure;                  /* MX set and addresses by DNSSEC */
	struct route_tls tls;
};

/* Something dropped or remarkable on the way, for `mx20ctl route` and log. */
struct route_note {
	struct span host;
	struct span text;             /* "is this host: dropped with ..." */
};

/* Immutable, shared by counting. */
struct route {
	enum route_result result;
	struct span reason;           /* "NXDOMAIN for example.org" */
	/* Two routes with equal keys are one destination: normalised hosts,
	 * ports and TLS policy. */
	struct span key;
	struct route_host *hosts;     /* best first, equals already shuffled */
	size_t host_count;
	struct route_note *notes;
	size_t note_count;
	int64_t expires_ms;           /* monotonic */
};

struct route *route_ref(struct route *r);
void route_unref(struct route **r);

struct router;

/* The resolver thread starts here: after the last fork.  local: addresses and
 * ports this host listens on. */
enum mx_err router_new(struct router **out, struct ev_loop *loop,
		       struct config *config, const struct net_addr *local,
		       size_t local_count, struct buf *why);
void router_free(struct router **r);

/* New settings; cached answers are dropped. */
void router_reload(struct router *r, struct config *config);

typedef void route_cb(struct route *route, void *arg); /* a reference given */

struct route_query; /* a question under way */

/*
 * Ask for the route of a canonical domain: from the allowlist's primary=, or
 * by MX (any domain: our own DSNs go anywhere).  cb runs exactly once, never
 * before return, unless cancelled.
 */
struct route_query *router_ask(struct router *r, struct span domain,
			       route_cb *cb, void *arg);
void route_cancel(struct route_query **q);

#endif
