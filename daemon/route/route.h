/*
 * Where a domain's mail goes now.  One question, answered later by callback;
 * never stored with a message (RFC 5321 section 5.1).
 */
#ifndef MX_ROUTE_ROUTE_H
#define MX_ROUTE_ROUTE_H

#include <ev.h>

#include "common/base/arena.h"
#include "common/net/addr.h"
#include "common/net/tls.h"
#include "config/config.h"
#include "daemon/sts/policy.h"

struct resolver;

enum route_result {
	ROUTE_OK,
	ROUTE_TRANSIENT, /* SERVFAIL, time-out, bogus: ask again */
	ROUTE_PERMANENT, /* NXDOMAIN, or no MX and no address: see is_final */
	ROUTE_NULL_MX,   /* RFC 7505: takes no mail; see is_final */
	ROUTE_SELF,      /* we are the best MX: hold and alarm */
};
const char *route_result_name(enum route_result r); /* "ok", "transient" ... */

/* Where the hosts of a route come from. */
enum route_source {
	ROUTE_FROM_PRIMARY, /* the allowlist's primary= */
	ROUTE_FROM_MX,
	ROUTE_FROM_ADDRESS, /* no MX: the domain's own A/AAAA */
	ROUTE_FROM_RELAY,   /* bounce.relay */
};
const char *route_source_name(enum route_source s); /* "primary", "mx" ... */

/* What DNSSEC says about one RRset. */
enum route_dnssec {
	ROUTE_UNASKED, /* not looked up */
	ROUTE_INSECURE,
	ROUTE_SECURE,
	ROUTE_BOGUS,
	ROUTE_NO_ANSWER, /* SERVFAIL or time-out: nothing is known */
};
const char *route_dnssec_name(enum route_dnssec s); /* "secure" ... */

/* What TLS must achieve with one host. */
struct route_tls {
	enum tls_level level;         /* never DEFAULT */
	bool is_dane;                 /* tlsa below decides */
	bool is_sts;                  /* an enforced MTA-STS policy decides */
	struct span sni;              /* host name to send; DANE: the TLSA base
					 domain.  Empty: a literal */
	struct tls_tlsa *tlsa;        /* usable ones only */
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
	enum route_dnssec addr_dnssec, tlsa_dnssec;
	struct span canon;            /* name's CNAME target; else empty */
	size_t tlsa_published;        /* unusable ones included */
	struct route_tls tls;
};

/* One MX record as published, and what became of it. */
enum route_fate {
	ROUTE_USED,
	ROUTE_IS_SELF,      /* this host */
	ROUTE_IS_WORSE,     /* not better than this host */
	ROUTE_IS_NULL,      /* the null MX of RFC 7505 */
	ROUTE_NOT_A_NAME,   /* the text of an IP address, or "." among others */
	ROUTE_NO_ADDRESS,   /* neither A nor AAAA, or NXDOMAIN */
	ROUTE_NOT_PUBLIC,   /* only addresses that dns/shun.h refuses */
	ROUTE_UNKNOWN_NOW,  /* its look-ups failed for now */
	ROUTE_NOT_IN_STS,   /* not in the domain's MTA-STS policy */
	ROUTE_NO_DANE,      /* tls=dane, and it has no usable TLSA */
	ROUTE_BEYOND_LIMIT, /* more MX records than we look at */
};
const char *route_fate_name(enum route_fate f); /* "used", "self" ... */

struct route_mx {
	struct span host;
	unsigned preference;
	enum route_fate fate;
	enum route_dnssec addr_dnssec;
};

/* The MTA-STS policy in force (RFC 8461). */
struct route_sts {
	enum sts_mode mode;
	struct span domain;           /* whose policy; empty: none published */
	struct span id;
	int64_t max_age_s;
	int64_t fetched_ms;           /* wall */
};

/* Something dropped or remarkable on the way, for `mx20ctl route` and log. */
struct route_note {
	struct span host;
	struct span text;             /* "is this host: dropped with ..." */
};

/* Immutable, shared by counting. */
struct route {
	enum route_result result;
	/* Mail may be returned for this result.  Never for a domain of ours:
	 * that it exists is the allowlist's to say, and DNS that denies it is
	 * an outage like any other. */
	bool is_final;
	struct span reason;           /* "NXDOMAIN for example.org"; empty
					 with ROUTE_OK */
	/* Two routes with equal keys are one destination: normalised hosts,
	 * ports and TLS policy. */
	struct span key;
	struct route_host *hosts;     /* best first, equals already shuffled */
	size_t host_count;
	struct route_note *notes;
	size_t note_count;
	int64_t expires_ms;           /* monotonic: ask again from then on.
					 Without a route that is soon: who has
					 mail waiting has a clock of its own */

	/* for `mx20ctl route` */
	enum route_source source;
	struct span domain;           /* the one first asked for */
	enum route_dnssec mx_dnssec;
	struct route_mx *published;   /* as published, by preference */
	size_t published_count;
	struct route_sts sts;
	bool is_brief;		  /* a stranger's: some of its hosts,
				     addresses and TLSA records only */
	bool is_stale;                /* DNS fails: an older answer goes on */
	unsigned findings;            /* router_findings when it was made */

	/* the module's own */
	unsigned refs;
	struct arena arena;           /* owns everything above */
	struct route *base;           /* or borrows it from this one */
};

struct route *route_ref(struct route *r);
void route_unref(struct route **r); /* *r may be NULL */

struct router;

struct router_options {
	struct ev_loop *loop;
	struct config *config;        /* a reference is taken */
	/* Addresses and ports this host listens on; the wildcard address
	 * stands for every address of the host.  Copied. */
	const struct net_addr *local;
	size_t local_count;
	/* Where MTA-STS policies and last options outlive a restart (the
	 * spool's facts); may be NULL.  An empty value deletes. */
	void (*fact_put)(struct span key, struct span value, void *arg);
	enum mx_err (*fact_get)(struct span key, struct buf *out, void *arg);
	/* Is this domain, which is not listed, one that was, and mail still
	 * waits for it?  Its last options count then, and what DNS denies is
	 * not final.  May be NULL. */
	bool (*is_left)(struct span domain, void *arg);
	void *arg;
};

/* What only libunbound can say of a configuration: is the trust anchor one?
 * Takes milliseconds. */
enum mx_err router_check(struct ev_loop *loop, const struct config *config,
			 struct buf *why);

/* The resolver thread starts here: after the last fork. */
enum mx_err router_new(struct router **out, const struct router_options *opt,
		       struct buf *why);
/* Questions under way end without their callback. */
void router_free(struct router **r);

/* This host listens elsewhere now; counts from the next router_reload on. */
void router_listens(struct router *r, const struct net_addr *local,
		    size_t count);

/* New settings; cached answers are dropped, questions under way begin
 * again. */
void router_reload(struct router *r, struct config *config);

/* The resolver for strangers; until router_reload or router_free. */
struct resolver *router_strangers(struct router *r);

typedef void route_cb(struct route *route, void *arg); /* a reference given */

struct route_query; /* a question under way */

/*
 * Ask for the route of a canonical domain: from the allowlist's primary=, or
 * by MX (any domain: our own DSNs go anywhere).  cb runs exactly once, never
 * before return, unless cancelled.  The query is gone when cb runs.
 *
 * An answer is the cache's as long as it has not expired.  When DNS does not
 * answer, the last good one goes on for a while (is_stale).
 */
struct route_query *router_ask(struct router *r, struct span domain,
			       route_cb *cb, void *arg);
void route_cancel(struct route_query **q); /* *q may be NULL */

/* Mail waits for this listed domain: have its options outlive its line. */
void router_remember(struct router *r, struct span domain);

/* Doubt what is cached for this domain: the next question looks again, at the
 * MTA-STS policy, too (RFC 8461 section 5.1: before a permanent failure). */
void router_forget(struct router *r, struct span domain);

/*
 * The MX host at this address, with its port, greets with our own name: it is
 * this host for some minutes, or until a reload, and what is not better than it
 * is left out.  Every route that was made before may be used no longer.
 */
void router_found_here(struct router *r, const struct net_addr *at);
/* The operator may have mended it. */
void router_forget_found(struct router *r);
/* Differs from that of a route that was made before such a find. */
unsigned router_findings(const struct router *r);

/* Will an answer come soon, whatever DNS does?  For primary= and bounce.relay,
 * which share their look-ups, and for what was found before. */
bool router_answers_soon(struct router *r, struct span domain);

/* The cached answer without asking, or NULL; a reference given.  For RCPT:
 * a null MX that is known already. */
struct route *router_cached(struct router *r, struct span domain);

#endif
