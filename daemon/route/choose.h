/*
 * From record sets to hosts in order: RFC 5321 section 5.1, RFC 7505.
 * Pure: look-ups have been made, chance is handed in.
 */
#ifndef MX_ROUTE_CHOOSE_H
#define MX_ROUTE_CHOOSE_H

#include "daemon/dns/answer.h"
#include "daemon/dns/self.h"
#include "daemon/route/route.h"
#include "daemon/sts/policy.h"

enum {
	CHOOSE_HOSTS_MAX = 32, /* MX hosts looked up for one domain */
	CHOOSE_ADDRS_MAX = 16, /* addresses kept of one host */
	CHOOSE_NOTES_MAX = 64,
	/* of a stranger */
	BRIEF_HOSTS_MAX = 5,
	BRIEF_ADDRS_MAX = 2,
	BRIEF_RECORDS_MAX = 16, /* MX shown, TLSA kept of one host */
};

/* What the look-up of one address family came to. */
struct choice_addrs {
	enum dns_status status;
	bool secure;
	struct net_addr addrs[CHOOSE_ADDRS_MAX];
	size_t count;
	struct span canon;
};

/* One MX host on its way into a route, or out of it. */
struct candidate {
	struct span name;         /* empty: a literal */
	unsigned preference;
	in_port_t port;
	enum route_fate fate;
	const char *why;          /* of a fate that is not USED; may be NULL */
	struct choice_addrs v4, v6;
	bool is_here;             /* one of its addresses is this host's, be it
				     among those kept or not */
	struct net_addr *addrs;   /* merged; with port; in order of trial */
	size_t addr_count;
	struct span canon;
	enum route_dnssec addr_dnssec;
	bool is_alias_secure;     /* canon is set, and signed on its own */
	/* DANE: see tlsa.h */
	struct span tlsa_base;    /* where records were found */
	enum route_dnssec tlsa_dnssec;
	size_t tlsa_published;
	struct tls_tlsa *tlsa;    /* usable ones */
	size_t tlsa_count;
	const struct sts_policy *sts; /* in force for it; may be NULL */
	struct route_tls tls;
};

struct choice {
	struct arena *arena;      /* owns what it points at */
	const struct self *self;
	enum route_source source;
	bool is_brief;            /* a stranger's: a few hosts, addresses and
				     records will do */
	struct candidate *hosts;  /* by preference, then name */
	struct candidate **order; /* the same as they are to be tried */
	size_t count;
	struct route_note notes[CHOOSE_NOTES_MAX];
	size_t note_count;
};

/* Take a host out, and say why (a string constant). */
void choice_drop(struct choice *c, struct candidate *h, enum route_fate fate,
		 const char *why);
void choice_note(struct choice *c, struct span host, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Fill hosts from an MX answer: sorted, each name once, this host by name and
 * what is not better than it cut, address texts marked.  False: the set is
 * the null MX of RFC 7505.
 */
bool choice_read_mx(struct choice *c, const struct dns_answer *mx,
		    in_port_t port);
/* Fill hosts from primary= or bounce.relay. */
void choice_read_hops(struct choice *c, const struct config_hop *hops,
		      size_t count);
/* No MX: the domain itself at preference 0. */
void choice_read_domain(struct choice *c, struct span domain, in_port_t port);

/* Take one answer about a host's addresses. */
void choice_read_addrs(const struct choice *c, struct candidate *h,
		       enum dns_type type, const struct dns_answer *answer);

/* All addresses are there: settle each host's fate, cut this host by
 * address, shuffle equals.  seed is any number. */
void choice_settle(struct choice *c, uint64_t seed);

/* What it comes to; reason (not for ROUTE_OK) is appended. */
enum route_result choice_result(const struct choice *c, struct span domain,
				struct buf *reason);

#endif
