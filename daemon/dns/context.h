/* libunbound's context as we want it, and its descriptor on the loop. */
#ifndef MX_DNS_CONTEXT_H
#define MX_DNS_CONTEXT_H

#include <ev.h>
#include <unbound.h>

#include "config/config.h"

enum {
	/* Questions libunbound may have at a time.  The pipe to its thread is
	 * written blocking: this many names never fill it.  Half of its
	 * outgoing-range, so that none waits for a socket in there, where
	 * time-outs run already. */
	CONTEXT_ACTIVE_MAX = 256,
};

struct context {
	struct ub_ctx *ub;
	bool can_ask;      /* libunbound's thread was to be had */
	ev_io io;          /* calls ub_process: callbacks run on the loop */
};

#define CONTEXT_RESOLV_CONF "/etc/resolv.conf"

/* anchor: a file, or NULL for no validation.  No TTL is longer than
 * ttl_most_s.  The thread starts with the first question.  *out is NULL on
 * failure; why says which server or file is at fault. */
enum mx_err context_open(struct context **out, struct ev_loop *loop,
			 const struct config *config, int ttl_most_s,
			 const char *anchor, struct buf *why);
/* What libunbound makes up by itself for the addresses of private and
 * documentation networks is asked of the servers instead.  Before the first
 * question. */
void context_ask_reverse(struct context *ctx);
/* Before each question: false while the system gives no thread for it. */
bool context_can_ask(struct context *ctx);
/* Ends the thread: what it holds is never called back.  Joining it takes
 * milliseconds; context_retire leaves that to a thread of its own.  *ctx may
 * be NULL, and is then. */
void context_close(struct context **ctx, struct ev_loop *loop);
void context_retire(struct context **ctx, struct ev_loop *loop);

#endif
