/*
 * The spool is spoken to on the loop: a thread of the mirror has a call made
 * there, and waits until whoever was called has answered.
 *
 *   struct note { struct call call; uint64_t id; };
 *   struct note *n = call_new(run_note, NULL, sizeof(*n));  the thread
 *   n->id = 5;
 *   if (calls_wait(calls, &n->call) == MX_OK) ... n->call.err
 *   call_release(&n->call);
 */
#ifndef MX_MIRROR_CALLS_H
#define MX_MIRROR_CALLS_H

#include <ev.h>
#include <sys/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

struct calls;

/* What the call is about stands behind it, in a struct that begins with it. */
struct call {
	/* On the loop.  It, or what it sets going, says call_done, once. */
	void (*run)(struct call *c);
	void (*fini)(struct call *c); /* what it owns; may be NULL */
	void *arg;		      /* the mirror */
	enum mx_err err;	      /* the answer */
	uint64_t count;
	/* calls.c alone */
	struct calls *calls;
	STAILQ_ENTRY(call) link;
	unsigned holders;
	bool is_done;
};

struct calls *calls_new(struct ev_loop *loop, void *arg);
/* On the loop: nothing is called from now on, and nobody waits. */
void calls_close(struct calls *cs);
void calls_free(struct calls **cs);

/* Zeroed. */
void *call_new(void (*run)(struct call *c), void (*fini)(struct call *c),
	       size_t size);
/* MX_ESTOP: closed before it was answered; what it owns may still be in use,
 * and err is MX_ESTOP.  Otherwise the answer's err. */
enum mx_err calls_wait(struct calls *cs, struct call *c);
/* The same without waiting: over when it is answered, or closed; then its
 * result is what calls_wait would have returned. */
void calls_start(struct calls *cs, struct call *c);
bool call_is_over(struct call *c);
enum mx_err call_result(struct call *c);
/* By the thread, in either case. */
void call_release(struct call *c);

/* On the loop. */
void call_done(struct call *c, enum mx_err err, uint64_t count);
/* The same, shaped as callbacks of the spool; arg is the call. */
void call_counted(enum mx_err err, uint64_t count, void *arg);

#endif
