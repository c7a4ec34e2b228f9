/* The inside of delivery.h: a connection. */
#ifndef MX_DELIVERY_PRIV_H
#define MX_DELIVERY_PRIV_H

#include <sys/queue.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/net/conn.h"
#include "common/smtp/content.h"
#include "daemon/delivery/delivery.h"
#include "daemon/delivery/meaning.h"

enum { DELIVERY_MAGIC = 0x44656c76 };

/* EHLO counts against a session: Exim permits ten that are not mail. */
enum { SYNCS_MAX = 8 };

/* What a reply will be an answer to, and the waits that are not for a reply:
 * connect, TLS and content. */
enum stage {
	ST_CONNECT,
	ST_GREETING,
	ST_EHLO,
	ST_HELO,
	ST_STARTTLS,
	ST_TLS,
	ST_RSET,
	ST_MAIL,
	ST_RCPT,
	ST_DATA,
	ST_CONTENT,
	ST_DOT,
	ST_BDAT,
	ST_SYNC,
	ST_QUIT,
	ST_COUNT
};

/* ON: go on; CONNECT: anew, over another connection; END: it is over. */
enum step { STEP_ON, STEP_CONNECT, STEP_END };

/*
 * A transaction on its way out.  The arrows are what pump() does; the two
 * waits end with a reply.
 *
 *  START -> RCPT -> DATA -> WAIT --354, or RCPT replies all in--> CONTENT
 *             |       |       \--354, but no recipient taken----> DOT
 *             |       \--small, CHUNKING------------------------> CONTENT
 *             \--callout----> WAIT --RCPT replies all in--------> SENT
 *  CONTENT, DOT, or any refusal -> SENT; with the last reply it is answered,
 *  and done as soon as it is certain that these replies were its own: at once,
 *  or, held, when the server has answered something that only it can answer
 *  (trust.c).
 */
enum tx_at { TX_START, TX_RCPT, TX_DATA, TX_WAIT, TX_CONTENT, TX_DOT, TX_SENT };

struct tx {
	struct delivery_job job;
	TAILQ_ENTRY(tx) link;
	enum tx_at at;
	bool has_mail;      /* MAIL is out */
	bool is_refused;    /* MAIL was refused: what follows says nothing */
	bool is_unclear;    /* MAIL or RCPT had an odd reply: perhaps a yes */
	bool is_complete;   /* all content is out, its reply is not in */
	bool may_finish;    /* the caller agreed to the end of its content */
	bool is_proof;      /* whether this server can be believed is seen by
			       it: nothing runs ahead of it, or behind */
	bool is_held;       /* answered, but not believed yet */
	bool is_firm;       /* no reply before its own could be one too many */
	bool is_synced;     /* it had 354, which nothing else is answered by */
	bool is_final;      /* its content was answered */
	bool is_cancelled;  /* nobody waits for it */
	bool is_decided;    /* its outcomes stand whatever happens */
	unsigned fit;       /* FIT_ bits: its replies are like those of the
			       proof */
	bool is_asking;     /* content must wait for the replies to RCPT */
	bool is_bdat;       /* its content goes with BDAT */
	unsigned refused;   /* SMTP_EXT_ bits that may be why something was
			       refused: to be tried again without */
	unsigned without;   /* those of the tries before */
	uint32_t *ask;      /* indices into rcpts that go into RCPT */
	bool *is_taken;     /* per index in ask: RCPT was accepted */
	size_t chosen;      /* so many of job.count were looked at */
	size_t cap;         /* of the arrays of recipients, once they grew */
	size_t ask_count, ask_next, answered, taken;
	size_t pending;     /* replies still expected */
	uint64_t offset;    /* content bytes written */
	uint64_t end;       /* of d->written, when all content was in it */
	struct smtp_encoder encoder;
};
TAILQ_HEAD(tx_list, tx);

/* One reply that is due. */
struct expect {
	enum stage stage;
	uint32_t index;     /* ST_RCPT: which of tx->ask */
	struct tx *tx;      /* NULL outside transactions */
};

/* A ring: replies come in the order of the commands. */
struct expect_ring {
	struct expect *slots;
	size_t cap, head, count;
};

/* What distinguishes the replies to one kind of command from others: enhanced
 * code and first word, "2.1.5 Ok". */
struct shape {
	char text[48];
};

/* Replies fit their commands, as far as those of RCPT or those of content can
 * be told from all others. */
enum { FIT_RCPT = 1, FIT_CONTENT = 2 };

struct delivery {
	unsigned magic;
	struct delivery_options opt;
	struct net_addr target;
	const struct delivery_events *events;
	void *arg;

	struct conn *conn;
	ev_timer again;          /* more to write, but not in this turn */
	struct smtp_reply_parser parser;
	struct smtp_reply reply;
	struct buf preface;      /* lines without a code before a reply */
	struct expect_ring expects;
	struct buf out;          /* what pump() has composed */
	struct buf raw;          /* content before dot-stuffing */

	enum { LIFE_OPENING, LIFE_READY, LIFE_QUIT, LIFE_OVER } life;
	enum stage waiting;      /* in the opening: for what */
	bool is_clear;           /* TLS failed once: go on without (may) */
	bool is_fresh;           /* so did an old TLS session */
	bool is_helo;            /* opened with HELO */
	bool needs_reset;        /* RSET before the next MAIL */
	bool wants_quit;         /* no new jobs; QUIT when idle */
	bool is_freed;           /* delivery_free inside a callback */
	bool has_moved;          /* since the deadline was set: a whole reply
				    came, or something was sent */
	unsigned busy;           /* inside a callback of ours */
	struct delivery_end end;

	struct smtp_ehlo ehlo;   /* less what is in without */
	size_t rcpts_most;       /* of a transaction, with DELIVERY_CROWD */
	unsigned without;        /* SMTP_EXT_ and DELIVERY_ bits offered, but
				    refused */
	bool has_chunked;        /* it took a BDAT */
	bool has_accepted;       /* a RCPT */
	bool is_spent;           /* it takes no more in this session */
	struct tx_list txs;      /* oldest first; sent and not yet sent */
	struct tx *sending;      /* the one pump() is at, or NULL */
	struct tx *queued;       /* the first that has not begun, or NULL */
	size_t jobs;
	uint64_t bytes;          /* content of all jobs in flight */
	size_t open, given;      /* transactions begun and unanswered; in all */
	uint64_t open_bytes;

	uint64_t written;        /* handed to conn, in all */
	bool is_proving;         /* the transaction under way is a proof */
	bool is_proven;          /* one was, and held */
	bool is_proven_many;     /* with several recipients */
	bool is_askew;           /* replies and commands do not match */
	bool is_matched;         /* EHLO, said again, had its own answer */
	bool has_cancelled;      /* a job, perhaps with nothing to wait for */
	int64_t dry_ms;          /* since when a job that grows has nothing to
				    send, though the server waits; 0: no */
	int64_t dried_ms;        /* what such waits of it came to before */
	bool is_word_shared;     /* word: something else was answered so */
	bool is_loose;           /* content was answered since they surely
				    did: there may be a reply too many */
	/* of the proof */
	struct shape shape_rset, shape_mail, shape_rcpt, shape_content;
	unsigned distinct;       /* FIT_ bits that tell something */
	unsigned unfit;          /* FIT_ bits that a reply to RSET took away */
	/* of MAIL for a live job, behind what was certain: */
	struct shape word;
	unsigned word_count;     /* so often, on end */
	size_t held;             /* transactions answered, not believed */
	unsigned syncs;
	int64_t replied_ms;      /* the last reply came */

	unsigned errors;         /* refusals since a message was taken */
	size_t trust;            /* messages taken since a refusal */
	struct tx *blamed;       /* under way when the connection ended */

	int64_t asked_us;        /* EHLO left */
	int64_t rtt_us;          /* its round trip */
	int64_t served_us;       /* last time a transaction was answered */
	int64_t service_us;      /* smoothed time between two answers */
	int64_t started_ms;
};

static inline bool delivery_offers(const struct delivery *d, unsigned ext)
{
	return (d->ehlo.offered & ext) != 0;
}

static inline bool is_pipelining(const struct delivery *d)
{
	return delivery_offers(d, SMTP_EXT_PIPELINING);
}

static inline bool is_chunking(const struct delivery *d)
{
	return delivery_offers(d, SMTP_EXT_CHUNKING);
}

static inline bool tx_is_callout(const struct tx *tx)
{
	return tx->job.source.read == NULL;
}

/* Does somebody wait for each reply? */
static inline bool tx_is_live(const struct tx *tx)
{
	return tx->job.listener->on_rcpt != NULL;
}

/*
 * The files of this folder, from the bottom up: each calls what stands above
 * it here, beside the pure meaning.c and command.c.
 */

/* ---- expect.c ---- */
const char *stage_name(enum stage s);
void expect_push(struct delivery *d, enum stage s, struct tx *tx,
		 size_t index);
/* One must be due. */
struct expect expect_pop(struct delivery *d);
/* The transaction that the server is at; behind it nothing is to blame for
 * what happens. */
struct tx *expect_tx(const struct delivery *d);
/* Set the deadline anew if something has moved: a reply that trickles in byte
 * by byte is not progress. */
void expect_arm(struct delivery *d);

/* ---- end.c ---- */
enum step end_with(struct delivery *d, int why, enum stage at,
		   const struct smtp_reply *reply);
/* By what is not the server's reply. */
enum step end_made(struct delivery *d, int why, enum stage at, int code,
		   const char *enhanced, struct span text);

/* ---- fallback.c: what is offered, and refused when used ---- */
/* Bits of without that this host's TLS policy does not permit. */
unsigned fallback_forbidden(const struct delivery *d);
/* Speak without these from now on; why is for the log.  tx may be NULL. */
void fallback_to(struct delivery *d, const struct tx *tx, const char *at,
		 unsigned bits, struct span why);
/* The reply refuses MAIL, or RCPT of ask[i].  True: nothing is decided by it,
 * there will be another try. */
bool fallback_mail(struct delivery *d, struct tx *tx);
bool fallback_rcpt(struct delivery *d, struct tx *tx, size_t i);
/* The same of BDAT; the connection must end then. */
bool fallback_bdat(struct delivery *d, struct tx *tx);
/* The reply says that the command came out of order, and it was sent ahead:
 * nothing is decided by it, the next connection goes in lock-step. */
bool fallback_order(struct delivery *d, const struct tx *tx, const char *at);
/* The connection ended, and the way of speaking may be why. */
bool fallback_lost(struct delivery *d, enum stage at, struct span why,
		   bool is_timeout);
/* The same behind some of the recipients of this transaction. */
void fallback_crowd(struct delivery *d, const struct tx *tx);
/* The transaction was taken. */
void fallback_learn(struct delivery *d, const struct tx *tx);

/* ---- session.c: greeting to ready ---- */
enum step got_greeting(struct delivery *d, struct expect *e);
enum step got_ehlo(struct delivery *d, struct expect *e);
enum step got_helo(struct delivery *d, struct expect *e);
enum step got_starttls(struct delivery *d, struct expect *e);
enum step session_secured(struct delivery *d);
/* Was that the end of the handshake, and would clear text do?  In TLS 1.3 the
 * client is through with it before the server has judged the client's part:
 * what it thinks of that, or of TLS at all, comes instead of the reply to the
 * first command. */
bool session_was_refused(const struct delivery *d, enum stage at,
			 bool is_timeout);
/* The handshake failed: fall back or give up. */
enum step session_insecure(struct delivery *d, struct span why,
			   bool is_timeout);
/* The connection ended in the opening.  True: another one is worth it, the
 * next simpler way. */
bool session_again(struct delivery *d, enum stage at, struct span why,
		   bool is_timeout);
/* Say what the session was opened with. */
void session_hello(struct delivery *d, enum stage s);

/* ---- room.c ---- */
/* For the next queued transaction, beside those that are open? */
bool room_is_open(const struct delivery *d);
/* What has not begun is for another connection. */
bool room_is_spent(const struct delivery *d);
/* No more jobs over this connection: by its limits or by ours. */
bool room_is_used_up(const struct delivery *d);

/* ---- jobs.c ---- */
struct tx *job_tx(struct delivery_job *job);
/* All that will ever be known of it is known. */
void jobs_done(struct delivery *d, struct tx *tx);
/* All replies are in, but some of it can be tried without what was refused:
 * it is the next to go. */
void jobs_again(struct delivery *d, struct tx *tx);
/* What has not begun need not wait for this connection. */
enum step jobs_give_back(struct delivery *d);
/* To its listener, as it is. */
void jobs_hand_back(struct delivery *d, struct tx *tx);

/* ---- trust.c: whose are these replies? ---- */
/* Must EHLO be answered before it may begin? */
bool trust_is_needed(const struct delivery *d, const struct tx *tx);
/* MAIL was taken.  False: in other words than ever, and nothing else shows that
 * this was the answer to it. */
bool trust_finds_mail(struct delivery *d, const struct tx *tx);
/* The next transaction begins: is it a proof? */
bool trust_wants_proof(const struct delivery *d, const struct tx *tx);
/* Replies to its commands, 2yz: like those of the proof? */
void trust_note(struct delivery *d, struct tx *tx, enum stage s);
/* All replies are in: done, or held. */
void trust_answered(struct delivery *d, struct tx *tx);
/* Nothing is under way any more: ask what only this server answers so. */
void trust_ask(struct delivery *d);
enum step got_sync(struct delivery *d, struct expect *e);
/* The reply contradicts the others, or comes too early, or nothing asked for
 * it: of what is under way nothing is decided, and the next connection is
 * spoken to with more care.  tx: with which it was seen, or NULL. */
enum step trust_askew(struct delivery *d, enum stage at, struct tx *tx);
/* The content cannot be answered yet: the server does not have it. */
bool trust_is_early(const struct delivery *d, const struct tx *tx);
/* The connection ended: which of its outcomes stand? */
void trust_lose(struct delivery *d, struct tx *tx);

/* ---- transaction.c: replies ---- */
enum step got_rset(struct delivery *d, struct expect *e);
enum step got_mail(struct delivery *d, struct expect *e);
enum step got_rcpt(struct delivery *d, struct expect *e);
enum step got_data(struct delivery *d, struct expect *e);
enum step got_content(struct delivery *d, struct expect *e);
enum step got_quit(struct delivery *d, struct expect *e);
/* Nothing more of it is sent. */
void transaction_stop(struct delivery *d, struct tx *tx);
/* Is the server kept waiting, by the one whose mail is on its way?  That it
 * tires of it is not its fault. */
bool transaction_is_slow(const struct delivery *d);
/* A reply that no command asked for. */
enum step got_unasked(struct delivery *d);

/* ---- replies.c ---- */
/* Take all that have arrived. */
enum step replies_read(struct delivery *d);

/* ---- begin.c ---- */
/* The next one; there is nothing to say, or MAIL is said. */
void begin(struct delivery *d, struct tx *tx);
/* List the recipients that came meanwhile. */
void begin_choose(struct delivery *d, struct tx *tx);
bool begin_must_reset(const struct delivery *d);
void begin_reset(struct delivery *d);

/* ---- pump.c: commands and content ---- */
enum step pump(struct delivery *d);
/* Behind it, and what is written is on its way. */
void pump_note_dry(struct delivery *d);

/* ---- lose.c ---- */
/* The connection is over: all jobs go back, the oldest first. */
enum step lose_all(struct delivery *d);

/* ---- drive.c ---- */
void drive_connect(struct delivery *d);
/* The caller changed something: go on if nobody is at it. */
void drive(struct delivery *d);
/* The same in the next turn: the caller may be in the middle of something. */
void drive_soon(struct delivery *d);
void drive_again(struct ev_loop *loop, ev_timer *w, int revents);
void drive_release(struct delivery *d);

#endif
