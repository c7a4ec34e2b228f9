/* Verdicts per stage: may it come in? */
#ifndef MX_POLICY_POLICY_H
#define MX_POLICY_POLICY_H

#include "common/smtp/command.h"
#include "config/allow/domains.h"
#include "config/config.h"

struct policy; /* counters per client; one per process */

struct shares;

struct policy *policy_new(void);
/* What transactions hold is counted here; all of it ends before the policy. */
struct shares *policy_shares(struct policy *p);
void policy_free(struct policy **p);

struct verdict {
	int code; /* 0: go on */
	const char *enhanced;
	const char *text;   /* static */
	const char *reason; /* for the log: "unknown_recipient", ... */
};

/*
 * A client connected.  On "go on" it is counted until policy_leave.  Too many
 * at once from it, too fast, or too many in all: 421 4.7.0 / 4.3.2.
 */
struct verdict policy_connect(struct policy *p, const struct config *c,
			      const struct net_addr *client,
			      int64_t now_mono_ms);
void policy_leave(struct policy *p, const struct net_addr *client);

/* So many of one client's stay when others have no place. */
enum { POLICY_FEW = 10 };
/* Is it one that would not be missed, since its client has more than a few? */
bool policy_has_many(const struct policy *p, const struct net_addr *client);

/* May the log have one more line that this client caused?  Says itself when
 * that was the last one for this minute, and later how many were left out. */
bool policy_may_log(struct policy *p, const struct net_addr *client,
		    int64_t now_mono_ms);

/* What RCPT resolved to when accepted.  All zero is a valid start; meant to
 * be used again and again, so that a recipient costs no allocation. */
struct policy_rcpt {
	struct buf path;   /* forward-path to store; <postmaster> expanded */
	struct buf domain; /* canonical */
	/* NULL when postmaster goes to a mailbox outside the allowlist. */
	const struct config_domain *row;
};
void policy_rcpt_fini(struct policy_rcpt *r);

/*
 * Is this forward-path ours?  550 5.7.1, 550 5.1.1, 501 ...  out is reset
 * first and meaningful only when the verdict is "go on".
 */
struct verdict policy_rcpt(struct policy *p, const struct config *c,
			   const struct smtp_path *to, struct policy_rcpt *out);

#endif
