/*
 * The inside of wire.h: a connection in two halves.
 *
 *        the loop                                    a thread
 *
 *  owner                                         struct conn: socket, TLS,
 *    | conn.h                                    what the kernel did not take
 *  struct conn: unread   ---- wire_down ---->        | conn.h
 *  input, deadline       <---- wire_up -----     struct wire: its owner
 *
 * The thread's half is a connection as any other, and the wire is who owns it.
 * What goes down or comes up is gathered for a round of the loop it is written
 * by; then it is the other side's.  Of one connection it arrives in order.
 *
 *        conn_new_spread                    conn_free, conn_close_after_output
 *               v                                       v
 *   loop       OPEN ----------------------------------> LEFT -----------> freed
 *               |  first down: fd                        | down: end    ^
 *               v                                        v              | up:
 *   thread     HAS the socket --------------------------> closes it ----+ gone
 *
 * Of struct wire each side reads and writes its own fields alone; the memory of
 * both halves is the loop's to free, when the thread's last word has come.  What
 * the thread lends upwards (facts of TLS, the text of an error) does not change
 * any more and stays until the end was told.
 *
 * Nothing in it grows: input that the owner has not taken is CONN_UNREAD_MAX at
 * most (or conn_read_most) and one read more, wherever it is, and then the
 * thread reads no further; output that is on its way down is conn_output_pending
 * as well as what the kernel did not take.
 *
 * What came in clear and was not taken by the owner when it asked for TLS ends
 * the connection (RFC 3207 section 4.2): the thread knows how much it sent up,
 * and is told how much of that was taken.
 */
#ifndef MX_NET_WIRE_PRIV_H
#define MX_NET_WIRE_PRIV_H

#include <sys/queue.h>

#include "common/base/buf.h"
#include "common/net/conn_priv.h"
#include "common/net/wire.h"

struct wire_thread;

/* That so much output is sent is told at once; of less with the next input. */
enum { WIRE_TELL_MIN = 16 * 1024 };

enum wire_end { WIRE_GOES_ON, WIRE_CLOSES, WIRE_DROPS };

/* From the owner, done in this order. */
struct wire_down {
	STAILQ_ENTRY(wire_down) link;
	struct wire *wire;
	size_t taken;       /* input, since the last */
	unsigned read_most; /* as in struct conn */
	bool acks, invites;
	struct buf out;
	struct tls_server *tls; /* begin it; NULL: no */
	uint64_t seen;          /* all input that was taken before tls */
	unsigned lane;
	enum wire_end end;
	bool is_paused; /* the owner is, at the end */
	int64_t grace_ms;
};

/* To the owner, told in this order. */
struct wire_up {
	STAILQ_ENTRY(wire_up) link;
	struct wire *wire;
	const struct tls_facts *facts; /* the handshake is done; else NULL */
	struct buf in;
	uint64_t got;   /* all output that had come down */
	size_t pending; /* of it the kernel did not take so much */
	const char *error; /* it has ended; else NULL */
	enum conn_end why;
	bool is_gone; /* its last */
};

struct wire {
	struct wire_thread *at;
	int fd; /* until the thread has it */

	/* the loop's */
	struct conn *owner;
	struct wire_down *down; /* being written; NULL: nothing to say */
	size_t taken;	     /* input, not told yet */
	uint64_t seen;	     /* input, ever */
	uint64_t posted, got;   /* output: ever, and as up says */
	size_t pending;
	bool is_kept; /* on_drained is owed */
	bool is_secured; /* TLS was asked for */
	bool is_left;
	const struct tls_facts *facts;

	/* the thread's */
	struct conn *c;
	struct wire_up *up; /* being written; NULL: nothing to say */
	size_t window;	    /* so much may be untaken */
	size_t untaken;
	uint64_t sent_up;
	uint64_t come_down, told_down; /* output: ever, and as last told */
	size_t told_pending;
};

STAILQ_HEAD(wire_downs, wire_down);
STAILQ_HEAD(wire_ups, wire_up);

/* ---- wire_queue.c: the threads; how words go down and up ---- */

/* Who is called with what has arrived, and takes it. */
struct wire_hands {
	void (*hear)(struct wire_ups *ups);      /* on the loop */
	void (*obey)(struct wire_downs *downs);  /* on a thread */
	void (*clear)(void);                     /* at the end of one */
};

void wire_queues_start(struct ev_loop *loop, unsigned count,
		       const struct wire_hands *hands);
void wire_queues_stop(void);

/* On the loop: what goes down at the end of this round. */
struct wire_down *wire_tell(struct wire *w);

/* On a thread: what comes up at the end of this round. */
struct wire_up *wire_report(struct wire *w);

/* On a thread: its loop. */
struct ev_loop *wire_loop(const struct wire *w);

/* Whose turn it is to have another one; NULL: there are no threads. */
struct wire_thread *wire_next(void);

/* ---- wire.c: what conn calls, on the loop ---- */

/* The owner's half gets one. */
void wire_open(struct conn *c, struct wire_thread *at, int fd);

void wire_took(struct conn *c, size_t n);
void wire_write(struct conn *c, struct span s);
size_t wire_pending(const struct wire *w);
void wire_secure(struct conn *c, struct tls_server *tls);

/* The end is to be as conn_close_after_output says. */
void wire_close(struct conn *c, int64_t grace_ms);

/* The owner's half is not to be used any more; its memory goes with the
 * thread's last word. */
void wire_leave(struct conn *c);

/* What was left, and is not gone yet. */
size_t wire_leaving(void);

/* The thread's last word was heard. */
void wire_free(struct wire *w);

/* ---- wire_thread.c: what is done on a thread ---- */

void wire_obey(struct wire_downs *downs);

#endif
