/* A connection becomes a message: listeners, sessions, commands, data. */
#ifndef MX_INTAKE_INTAKE_H
#define MX_INTAKE_INTAKE_H

#include <ev.h>

#include "config/config.h"
#include "daemon/history/traces.h"
#include "daemon/intake/store.h"
#include "daemon/policy/policy.h"
#include "daemon/relay/door.h"

struct intake;

/* What intake asks of the drain, which is not known here: daemon/hooks.c. */
struct intake_hooks {
	/* A client connected from this address. May be NULL. */
	void (*heard_from)(const struct net_addr *peer, void *arg);
	/* ETRN (RFC 1985): the reply code (250 251 252 253 458 459) and the
	 * count for 253.  May be NULL: ETRN is not offered. */
	int (*etrn)(struct span domain, bool subdomains,
		    const struct net_addr *peer, const struct tls_facts *tls,
		    uint64_t *count, void *arg);
	/* Does what comes for this domain leave at once?  May be NULL: no. */
	bool (*flows)(struct span domain, void *arg);
	void *arg;
};

struct intake_options {
	struct ev_loop *loop;
	const struct store *store;     /* NULL: store_spool */
	struct spool *spool;           /* what its functions are given */
	struct policy *policy;
	struct config *config;         /* a reference is taken */
	const struct intake_hooks *hooks;
	const struct relay_door *door; /* NULL: nothing is relayed */
	struct traces *traces;	       /* of what is; NULL: they are not kept */
	size_t most_sessions; /* what descriptors allow; 0: any number */
};

struct intake *intake_new(const struct intake_options *opt);

/* Serve this listening socket (owned from here on). */
void intake_listen(struct intake *in, int fd, const struct config_listen *l);

/* Close the listening sockets of this row; sessions go on. */
void intake_unlisten(struct intake *in, struct span address, in_port_t port);

/* New sessions use it; running transactions keep theirs. */
void intake_reload(struct intake *in, struct config *config);

/* Stop listening; sessions get 421 4.3.2 at their next command, at once when
 * idle.  Messages whose commit is under way are still answered. */
void intake_stop(struct intake *in);
size_t intake_sessions(const struct intake *in);
void intake_free(struct intake **in);

#endif
