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

#include <ev.h>
#include <sys/queue.h>

#include "common/net/addr.h"
#include "common/net/engine.h"

enum { SHAKE_LANES = 256 };

/* It is done: on the thread that submitted it.  The job is freed behind it. */
struct shake;
typedef void shake_cb(struct shake *job, void *arg);

struct shake {
	STAILQ_ENTRY(shake) link;
	struct tls_engine *engine;
	struct buf in;
	struct span rest; /* of in, not used up */
	struct buf out;   /* to send */
	enum engine_step step;
	struct shake_port *port;
	shake_cb *done; /* submitter's: NULL when nobody waits any more */
	void *arg;
};

/* Where a thread with a loop gets its jobs back.  Closed behind the last of its
 * connections; what nobody waits for any more goes with it. */
struct shake_port {
	struct ev_loop *loop; /* NULL: closed */
	ev_async done_async;
	/* under the pool's lock */
	unsigned waiting; /* jobs from here that nobody has taken */
	STAILQ_HEAD(shake_list, shake) done;
};
void shake_port_open(struct shake_port *port, struct ev_loop *loop);
void shake_port_close(struct shake_port *port);

/* Is there anybody to do it?  Else the caller does it itself. */
bool shake_is_offered(void);

/* Do one step with a copy of in.  The engine is lent; done follows, never
 * before return. */
struct shake *shake_submit(struct tls_engine *engine, struct span in,
			   unsigned lane, shake_cb *done, void *arg);

/* The lane of an address's network. */
unsigned shake_lane(const struct net_addr *peer);

/* Nobody waits for it any more: the engine goes with the job. */
void shake_abandon(struct shake **job);

#endif
