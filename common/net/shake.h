/*
 * TLS handshakes on threads of their own.
 *
 * A handshake costs up to milliseconds of asymmetric cryptography, which is
 * too long for the loop.  One step of one is a job: the engine and what came
 * for it go to a thread, and come back with what is to be sent.  Meanwhile
 * the engine is the thread's alone.
 *
 * Jobs wait in lanes, by whose they are, and lanes take turns: a flood of
 * handshakes makes those of its own lane wait.  One lane may be shared by
 * several clients; which ones cannot be foreseen.
 */
#ifndef MX_NET_SHAKE_H
#define MX_NET_SHAKE_H

#include <sys/queue.h>

#include "common/net/addr.h"
#include "common/net/engine.h"

enum { SHAKE_LANES = 256 };

struct shake {
	STAILQ_ENTRY(shake) link;
	struct tls_engine *engine;
	struct buf in;
	struct span rest; /* of in, not used up */
	struct buf out;   /* to send */
	enum engine_step step;
	unsigned lane;
	struct conn *conn; /* loop: NULL when nobody waits any more */
};

/* Is there anybody to do it?  Else the caller does it itself. */
bool shake_is_offered(void);

/* Do one step with a copy of in.  The engine is lent; conn_shaken(job) follows
 * on the loop, never before return. */
struct shake *shake_submit(struct conn *conn, struct tls_engine *engine,
			   struct span in, unsigned lane);

/* The lane of an address's network. */
unsigned shake_lane(const struct net_addr *peer);

/* Nobody waits for it any more: the engine goes with the job. */
void shake_abandon(struct shake **job);

/* conn_io.c: it is done.  The job is freed behind it. */
void conn_shaken(struct shake *job);

#endif
