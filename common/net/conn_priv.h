/* The inside of conn.h: a connection. */
#ifndef MX_NET_CONN_PRIV_H
#define MX_NET_CONN_PRIV_H

#include "common/net/conn.h"
#include "common/net/engine.h"
#include "common/net/shake.h"

enum { CONN_MAGIC = 0x434f4e4e };

enum {
	/* bytes a read may bring */
	CONN_READ_MAX = 64 * 1024,
	/* with so much unread the socket is left alone */
	CONN_UNREAD_MAX = 64 * 1024,
	/* more than this is sent from the caller's memory */
	CONN_DIRECT_MIN = 8 * 1024,
};

/*
 *  conn_connect        conn_starttls_*
 *      v                  v       ^
 *  CONNECTING -------> OPEN --> HANDSHAKE
 *      |                | |        |
 *      +----- on_end ---+-)--------+--> ENDED
 *                         +- conn_close_after_output -> LINGER
 */
enum conn_state {
	CONN_ST_CONNECTING,
	CONN_ST_HANDSHAKE,
	CONN_ST_OPEN,
	CONN_ST_ENDED,	/* on_end ran: only output is left to do */
	CONN_ST_LINGER, /* without an owner */
};

/*
 * What the connections of one thread share.  Bytes are read to `shared` behind
 * the first CONN_UNREAD_MAX; what the owner left the last time is put before
 * them, so that it sees one piece.  With TLS the records are read to another
 * buffer and decrypted to the same place.
 */
struct conn_desk {
	char shared[CONN_UNREAD_MAX + CONN_READ_MAX + ENGINE_RECORD];
	char records[CONN_READ_MAX];
	char waste[16 * 1024]; /* what nobody reads */
	/* Most output is collected and sent within one callback, so one buffer
	 * serves all connections in turn. */
	struct buf spare;
	TAILQ_HEAD(, conn) ownerless; /* those that linger, oldest first */
};

struct wire;
struct wire_up;

struct conn {
	unsigned magic;
	enum conn_state state;
	unsigned busy; /* depth of our callbacks on the stack */
	bool is_freed; /* memory goes when busy falls to zero */
	bool is_paused;
	bool is_eof;	   /* the peer sends no more */
	bool is_broken;	   /* a write failed: nothing more goes out */
	bool is_starved;   /* no descriptor or memory for it */
	bool is_kept;	   /* the kernel did not take all output */
	bool is_drained;   /* on_drained is due */
	bool is_offer_due; /* resumed: offer what is unread */
	bool is_borrowed;  /* unread is to be copied if it stays */
	bool is_talking;   /* lingering: the peer was still sending */
	bool is_shut;	   /* lingering: our side is closed */
	bool is_server;	   /* of TLS */
	bool is_inner;	   /* a wire's: its owner counts handshakes */
	int mask;	   /* what io waits for; 0: stopped */

	struct ev_loop *loop;
	struct conn_desk *desk;
	struct wire *wire; /* who has the socket; NULL: we, see wire_priv.h */
	ev_io io;
	ev_timer timer;
	ev_prepare kick;     /* never started, only fed: "call me soon" */
	int64_t deadline_ms; /* 0: none */
	int64_t idle_ms;     /* conn_deadline_idle; 0: it is not of that kind */
	size_t untaken;	     /* then: at the last look */
	int64_t armed_ms;    /* when the timer fires; 0: stopped */

	const struct conn_events *ev;
	void *arg;

	char *in; /* owns unread between callbacks */
	struct span unread;
	struct buf out;
	size_t sent; /* of out */
	struct tls_engine *tls;
	struct shake *shake; /* who has tls just now; NULL: we */
	unsigned lane;
	unsigned read_most; /* at a time; 0: CONN_READ_MAX */
	size_t lingered; /* bytes thrown away */
	TAILQ_ENTRY(conn) ownerless; /* while in LINGER */
	const char *error;
};

/* ---- conn.c ---- */

struct conn *conn_make(struct ev_loop *loop, int fd,
		       const struct conn_events *ev, void *arg);

/* ---- conn_watch.c ---- */

/* This thread's; made by the first call. */
struct conn_desk *conn_desk(void);

/* At the end of a thread: with it goes what lingers. */
void conn_desk_clear(void);

/* Bring the watched events in line with the state. */
void conn_watch(struct conn *c);

/* Have the loop call back soon, for what must not happen before return. */
void conn_kick(struct conn *c);

/* Arm the timer for deadline_ms unless it fires early enough anyway. */
void conn_arm(struct conn *c, int64_t now_ms);

/* Close the socket; release the memory now, or when it is called again at the
 * end of the callback. */
void conn_drop(struct conn *c);

/* Unread input that outlives the shared buffer gets memory of its own. */
void conn_settle_input(struct conn *c);

/* What came in memory of its own is unread, too; the memory is taken. */
void conn_keep_input(struct conn *c, struct buf *in);

/* The memory, behind conn_drop. */
void conn_release(struct conn *c);

/* From now on it has no owner. */
void conn_linger_begin(struct conn *c);

/* ---- conn_out.c ---- */

static inline size_t conn_unsent(const struct conn *c)
{
	return c->out.n - c->sent;
}

/* Offer all output to the kernel.  A failure is told later. */
void conn_push(struct conn *c);

/* What the peer has not taken yet, here and in the kernel; 0 if it is little,
 * which is taken at once or not at all. */
size_t conn_untaken(const struct conn *c);

/* The deadline is over.  Has the peer taken anything since?  Then there is
 * another. */
bool conn_is_taking(struct conn *c, int64_t now_ms);

/* ---- conn_linger.c ---- */

/* Go on with closing; may release c. */
void conn_linger(struct conn *c);

/* ---- conn_io.c ---- */

void conn_init_watchers(struct conn *c, int fd);

/* Its wire has news. */
void conn_arrive(struct conn *c, struct wire_up *up);

#endif
