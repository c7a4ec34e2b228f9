/*
 * One TCP connection on the event loop: buffers, one deadline, TLS.
 *
 * Idle connections hold no buffers: input is read into one shared buffer of
 * the loop and only what the owner did not consume is kept; output is kept
 * only while the kernel does not take it.  Output written during a callback
 * goes to the kernel in one call when the callback returns.
 */
#ifndef MX_NET_CONN_H
#define MX_NET_CONN_H

#include <ev.h>

#include "common/base/span.h"
#include "common/net/addr.h"
#include "common/net/tls.h"

struct conn;

/*
 * Why a connection ended.  on_end runs at most once; the owner then calls
 * conn_free (in the callback or later).  After on_end no callback runs.  The
 * peer of a CONN_EOF may still be listening (half-close): what is written
 * after it is sent, by conn_flush or conn_close_after_output.
 */
enum conn_end {
	CONN_EOF,      /* the peer closed its side, all input was offered */
	CONN_ERROR,    /* reset, refused, unreachable: see conn_error */
	CONN_DEADLINE, /* the deadline passed */
	CONN_TLS,      /* the handshake or a record failed: see conn_error */
};

struct conn_events {
	/* Unread input: look with conn_input, take with conn_consume.  What is
	 * left is offered again together with the next bytes.  Also called
	 * after conn_resume when input waits. */
	void (*on_input)(struct conn *c, void *arg);
	/* connect(2) or the TLS handshake that was asked for is done. */
	void (*on_ready)(struct conn *c, void *arg);
	/* Output fell to zero after it had been kept; may be NULL. */
	void (*on_drained)(struct conn *c, void *arg);
	void (*on_end)(struct conn *c, enum conn_end why, void *arg);
};

/* Take an accepted, connected socket; fd is owned from here on.  No on_ready
 * for it: it is ready. */
struct conn *conn_new(struct ev_loop *loop, int fd,
		      const struct conn_events *ev, void *arg);

/*
 * The same; socket and TLS are served by one of the threads for that, if there
 * are any (wire.h).  Then what is flushed is on its way when the loop's round
 * ends, output is pending until the thread says that it is not, up to 16 KiB
 * are not said, and TLS begins behind what was taken: input that is left ends
 * the connection.
 */
struct conn *conn_new_spread(struct ev_loop *loop, int fd,
			     const struct conn_events *ev, void *arg);

/* Start connecting; on_ready or on_end follows, never before return. */
struct conn *conn_connect(struct ev_loop *loop, const struct net_addr *to,
			  const struct conn_events *ev, void *arg);

/* Close and release at any time, also inside its own callbacks: memory goes
 * after the callback has returned.  *c becomes NULL.  Output that the kernel
 * has not taken is dropped; see conn_close_after_output. */
void conn_free(struct conn **c);

/* Take no more input, send what waits (at most grace_ms), close, release:
 * the owner forgets the connection; no callback runs any more.  *c becomes
 * NULL.  A peer in the middle of sending is read and ignored for a while, so
 * that a reset does not overtake our last reply. */
void conn_close_after_output(struct conn **c, int64_t grace_ms);

/* How many connections without an owner are not closed yet.  At most 256 have
 * something to do still: the oldest goes for a newer one. */
size_t conn_lingering(void);

/* All input not consumed yet; valid, also what is consumed of it, until the
 * next return to the loop. */
struct span conn_input(struct conn *c);
void conn_consume(struct conn *c, size_t n);

/* Drop whatever was read and not consumed (RFC 3207 section 4.2);
 * returns how many bytes that were. */
size_t conn_discard_input(struct conn *c);

/* So many bytes are read at a time, at most; at first as many as there is room
 * for.  What its owner does not take stays in memory. */
void conn_read_most(struct conn *c, size_t n);
/* So long can be what its owner takes as a whole only, as a line: a thread need
 * not hear of less than half of n that was taken (wire_took), and when the rest
 * of n is left it reads no further. */
#define CONN_WHOLE_MAX(n) ((n) / 2 + 1)

/* Stop and start reading the socket: backpressure. */
void conn_pause(struct conn *c);
void conn_resume(struct conn *c);

/* Queue output; the bytes are copied or sent before return.  Thrown away
 * during a TLS handshake: nothing may go out in clear then. */
void conn_write(struct conn *c, struct span s);
/* Bytes the kernel has not taken yet: the writer's backpressure. */
size_t conn_output_pending(const struct conn *c);
/* Hand to the kernel now instead of at the end of the callback, or, when
 * written outside a conn callback, in the next round of the loop. */
void conn_flush(struct conn *c);

/*
 * Acknowledge what came at once, instead of with the next output or 40 ms
 * later: a peer that sends what it has to say in pieces and leaves Nagle's
 * algorithm on (RFC 9293 section 3.7.4) holds the next one back until then.
 * For who waits for more and has nothing to say meanwhile.
 */
void conn_ack(struct conn *c);

/* End with CONN_DEADLINE ms from now unless set again; 0: none.  Cheap: meant
 * to be called for every line. */
void conn_deadline(struct conn *c, int64_t ms);

/* The same for who has sent a lot: the time begins anew when it is over and the
 * peer has taken some of that since it began. */
void conn_deadline_idle(struct conn *c, int64_t ms);

/*
 * Begin TLS as server or client; on_ready or on_end(CONN_TLS) follows.
 * Output queued before goes out in clear first.  Input not consumed is taken
 * for the first TLS records (behind a PROXY header it is that): who speaks
 * STARTTLS discards it first.
 */
void conn_starttls_server(struct conn *c, struct tls_server *tls);
void conn_starttls_client(struct conn *c, struct tls_client *tls);

/* On whose account a handshake is done: those of one network wait for each
 * other when there are many.  Before conn_starttls_*. */
void conn_charge(struct conn *c, const struct net_addr *peer);

/* Facts of the finished handshake; NULL without TLS. */
const struct tls_facts *conn_tls(const struct conn *c);

/* As a client, behind the handshake: the server's certificate.  False: there
 * is none.  `chains` means nothing under TLS_AUTH_DANE. */
bool conn_tls_shown(const struct conn *c, struct span name,
		    struct tls_shown *out);

/*
 * As a server: the client is one who may come again.  What it needs to resume
 * this session goes with the next output, once, if those of its network use
 * it.  In TLS 1.2 every client has that in the handshake; without TLS nothing
 * happens.
 */
void conn_tls_invite(struct conn *c);

/* As a client: was the server offered to resume a session?  And forget that
 * session, if it is suspected of being why the connection failed. */
bool conn_tls_resumes(const struct conn *c);
void conn_tls_forget(struct conn *c);

/* Behind CONN_ERROR: this host had no descriptor or memory left to begin with,
 * which says nothing about the peer. */
bool conn_is_starved(const struct conn *c);

/* English for log and status: "Connection refused", "certificate has
 * expired".  Valid as long as c. */
const char *conn_error(const struct conn *c);

#endif
