/*
 * Who is let in: connections are counted here, all else is asked of the gate.
 */
#ifndef MX_POLICY_POLICY_H
#define MX_POLICY_POLICY_H

#include <ev.h>

#include "daemon/delivery/command.h"
#include "daemon/known/known.h"
#include "daemon/policy/gate.h"

struct policy; /* counters per client, and the gate; one per process */

struct router;
struct shares;
struct rejections;

/* Does the primary of a listed domain answer now?  answers NULL: none does. */
struct policy_primary {
	/* SAID_YES or SAID_DOWN at once; SAID_NOTHING: hail finds out. */
	enum known_said (*answers)(struct span domain, void *arg);
	/* cb runs once, after return, within policy.verify_timeout.  NULL: nobody
	 * can be asked, it does not answer. */
	void *(*hail)(struct span domain, known_said_cb *cb, void *cb_arg,
		      void *arg);
	void (*cancel)(void *hail, void *arg);
	void *arg;
};

/* Whom the links ask.  NULL: what needs it is not asked. */
struct policy_options {
	struct ev_loop *loop;
	/* Does mail wait here for a line that left the allowlist? */
	bool (*is_left)(struct span domain, void *arg);
	/* Does mail go to this address?  May be NULL: to none. */
	bool (*is_target)(const struct net_addr *client, void *arg);
	/* Does anything wait for it, or is it looked after already?  all: of
	 * how many domains that is so.  May be NULL. */
	bool (*is_there)(struct span domain, size_t *all, void *arg);
	/* How many bytes wait for it?  May be NULL. */
	uint64_t (*waiting)(struct span domain, void *arg);
	/* What do all hosts lack that its mail would go to?  May be NULL. */
	enum command_lack (*lacks)(struct span domain,
				   const struct envelope *env,
				   const struct recipient *rcpt, void *arg);
	void *arg;
	struct router *router;
	struct known *known;
	struct policy_primary primary;
};

/* c: the settings in force, until policy_reload brings others. */
struct policy *policy_new(const struct policy_options *opt,
			  const struct config *c);
void policy_reload(struct policy *p, const struct config *c);
/* What transactions hold is counted here; all of it ends before the policy. */
struct shares *policy_shares(struct policy *p);
/* The chain of all links; whoever is built later may add one of its own. */
struct gate *policy_gate(struct policy *p);
void policy_free(struct policy **p);

/* A recipient of this line (NULL: of none) was refused, and not by the gate;
 * reason is static. */
void policy_count(struct policy *p, const struct config_domain *row,
		  const char *reason);
/* How many recipients were, since the start: rejections.h. */
const struct rejections *policy_rejections(const struct policy *p);

/*
 * A client connected.  On V_GO it is counted until policy_leave.  Too many at
 * once from it, too fast, or too many in all: V_CLIENT_BUSY, V_CLIENT_FAST,
 * V_BUSY.  No link of the chain: it is asked where there is no session yet, and
 * what it counts has to be given back.
 */
enum verdict_id policy_connect(struct policy *p, const struct config *c,
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

#endif
