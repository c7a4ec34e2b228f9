/*
 * DNS by libunbound, in its own thread; answers come back on the loop.
 * Nothing outside this folder knows libunbound.
 */
#ifndef MX_DNS_RESOLVER_H
#define MX_DNS_RESOLVER_H

#include <ev.h>

#include "config/config.h"
#include "daemon/dns/answer.h"

struct resolver;
struct dns_query; /* a question under way */

typedef void dns_cb(const struct dns_answer *answer, void *arg);

/*
 * Make the context; its thread starts with the first question, so not before
 * the last fork.  why says which server or file is at fault.  One for strangers
 * asks fewer questions at a time, and waits less for each: what their servers
 * do to it (a name server that seems to be away, since it waits for them) is
 * nothing to the other.
 */
enum resolver_use {
	RESOLVER_OURS,
	RESOLVER_STRANGERS,
	/* For people: the TTLs are those of the zones, not of what we make of
	 * them, and nobody waits for long. */
	RESOLVER_DOCTOR,
};
enum mx_err resolver_new(struct resolver **out, struct ev_loop *loop,
			 const struct config *config, enum resolver_use use,
			 struct buf *why);
/* Would it work?  Nothing is asked.  As resolver_new, and MX_OK. */
enum mx_err resolver_check(struct ev_loop *loop, const struct config *config,
			   struct buf *why);
/* Questions under way end without their callback. */
void resolver_free(struct resolver **r);
/* The same without a wait for its thread: during a reload. */
void resolver_retire(struct resolver **r);

/* Has the system's list of name servers changed?  Then it is read again, and
 * questions under way are asked anew.  To be called every few seconds; takes
 * milliseconds when it has. */
void resolver_refresh(struct resolver *r);

/*
 * Ask.  name is a domain name with or without its last dot; cb runs exactly
 * once, never before return, unless cancelled: within DNS_TIMEOUT_MS, or
 * DNS_STRANGERS_MS of a resolver for strangers, DNS_DOCTOR_MS for people.
 */
enum {
	DNS_TIMEOUT_MS = 20000,
	DNS_STRANGERS_MS = 10000,
	DNS_DOCTOR_MS = 8000,
};
struct dns_query *resolver_ask(struct resolver *r, struct span name,
			       enum dns_type type, dns_cb *cb, void *arg);
void resolver_cancel(struct dns_query **q); /* *q may be NULL */

#endif
