/*
 * The SMTP client: one connection to one target.  A probe is a delivery
 * connection that has not been given a job yet.
 *
 * A job is one transaction: an envelope, a source of content and a listener.
 *
 *  mail of the spool  all is there before it begins; on_done says what became
 *                     of it, and the listener settles that
 *  callout            no source: it ends with the replies to RCPT, and RSET.
 *                     DELIVERED says of a recipient that he would be taken
 *  relay              recipients and content come while it is under way (more),
 *                     and somebody waits for each reply (on_rcpt).  Nothing of
 *                     it is tried twice: whatever does not go as SMTP has it
 *                     leaves its recipients UNTRIED, "not now", and whoever
 *                     kept the content sends it by another way
 *
 * Commands are pipelined (RFC 2920); with CHUNKING whole transactions are.
 * The machine is a queue of expected replies: each reply is for its head.
 */
#ifndef MX_DELIVERY_DELIVERY_H
#define MX_DELIVERY_DELIVERY_H

#include <ev.h>

#include "common/smtp/ehlo.h"
#include "common/spool/spool.h"
#include "daemon/delivery/meaning.h"
#include "daemon/route/route.h"

struct delivery;

struct delivery_options {
	struct ev_loop *loop;
	struct span helo;                 /* our hostname */
	const struct route_host *host;    /* borrowed as long as route */
	struct route *route;              /* a reference is taken */
	const struct net_addr *target;
	struct tls_client_ctx *tls;
	struct span local_name;           /* for "loops back" detection */
	int64_t connect_timeout_ms, reply_timeout_ms; /* 0: RFC defaults */
	int64_t greeting_timeout_ms;      /* if that is less; 0: it is not */
	unsigned without;                 /* SMTP_EXT_ and DELIVERY_ bits to
					     leave alone */
	size_t rcpts_most;                /* with DELIVERY_CROWD */
	bool is_proven;                   /* delivery_is_proven was true of
					     this server not long ago */
};

/* What a server can be spoken to without, beside SMTP_EXT_ bits. */
enum {
	/* it hangs up on EHLO: say HELO */
	DELIVERY_EHLO = 1 << 24,
	/* its replies did not match what they answered: one recipient and one
	 * transaction at a time, and none of it in advance */
	DELIVERY_TRUST = 1 << 25,
	/* it left in the middle of many recipients: as many as it took */
	DELIVERY_CROWD = 1 << 26,
};

/* What a refusal was the answer to. */
enum refused_at {
	REFUSED_NOT,
	REFUSED_AT_MAIL,
	REFUSED_AT_RCPT,
	REFUSED_AT_DATA,
	REFUSED_AT_CONTENT
};

struct delivery_job;

/*
 * Where the content of a job comes from.  It may be read again from the start
 * until on_done: a transaction that an extension was refused to is tried again
 * without it.
 */
struct delivery_source {
	/* Append at least one and at most `most` bytes from offset on; so many
	 * are there (job->bytes).  An error ends the connection, since the
	 * server must not have the end.  MX_EBUSY: others may have the mail
	 * by now; nothing is wrong, and its recipients are UNTRIED. */
	enum mx_err (*read)(void *arg, const struct delivery_job *job,
			    uint64_t offset, size_t most, struct buf *out);
	void *arg;
};

/* Sealed content: that of job->unit in the spool. */
struct delivery_source delivery_from_spool(struct spool *sp);

/* Who waits for a job.  arg is that of the connection; job->arg is his own. */
struct delivery_listener {
	/* The job is done; the callee owns it.  When the connection dies, every
	 * job in flight comes back here before on_end, undecided recipients
	 * UNTRIED; when the final dot (or last BDAT) was out, in_doubt is set
	 * and job->set[].reply says so (a duplicate is possible).  Recipients
	 * over the limit of one transaction come back UNTRIED, too. */
	void (*on_done)(struct delivery *d, struct delivery_job *job,
			void *arg);
	/* The ith of job->unit->rcpts was answered: job->set[i].reply has the
	 * words.  Not before it is certain that they are the answer to his
	 * RCPT; so such a job begins when nothing else is under way, and there
	 * may be an EHLO before it.  MEANS_YES is of RCPT alone; MEANS_FULL,
	 * MEANS_LATER: he will come back UNTRIED or TRANSIENT.  If MAIL is
	 * refused or the connection lost there is no call, but on_done.
	 * NULL: nobody waits for it. */
	void (*on_rcpt)(struct delivery *d, struct delivery_job *job, size_t i,
			enum meaning m, void *arg);
	/* The end of its content is about to be sent: from then on the server
	 * may have it.  False: not yet; delivery_resume has it asked again.
	 * NULL: always. */
	bool (*may_finish)(struct delivery *d, struct delivery_job *job,
			   void *arg);
};

/* What of a job is still to come. */
enum delivery_more { MORE_NOTHING, MORE_CONTENT, MORE_RCPTS };

/* A mail handed to a connection, and what came of it. */
struct delivery_job {
	struct unit *unit;                /* owned by the job: envelope and
					     recipients */
	struct delivery_source source;    /* read NULL: a callout */
	const struct delivery_listener *listener;
	uint64_t bytes;                   /* of content that can be read; if
					     more is to come, envelope.bytes is
					     what was announced, 0: nothing */
	enum delivery_more more;
	struct settlement *set;           /* one per unit->rcpts, in order;
					     spans live in unit->arena */
	bool *is_rcpt_refused;            /* one per unit->rcpts: the outcome
					     is the reply to his RCPT, in a
					     transaction of which nothing else
					     was found to be wrong */
	size_t count;                     /* only the first so many of rcpts
					     are to be tried; at first all */
	int64_t started_ms, ended_ms;     /* monotonic; 0: MAIL never sent */
	unsigned offered;                 /* SMTP_EXT_ bits its transaction
					     could make use of */
	bool is_mail_refused;             /* MAIL was: about no recipient */
	bool is_obstructed;               /* it cannot go to this server, for
					     what that offers or lacks: set
					     says why, PERMANENT; another may
					     take it */
	enum refused_at refused_at;       /* where the server last said 4yz
					     that settled anybody */
	enum refused_at failed_at;        /* the same for 5yz */
	bool was_head;                    /* its transaction was the one under
					     way when the connection ended */
	bool in_doubt;                    /* its content was all out, and no
					     reply came: it may be there */
	void *arg;                        /* the caller's */
};

/* How a connection ended. */
struct delivery_end {
	enum { DELIVERY_CLOSED,  /* orderly: idle, or we said QUIT */
	       DELIVERY_BUSY,    /* it answered, but with 421 or 4yz */
	       DELIVERY_REFUSED, /* 5yz to greeting or EHLO, or no SMTP */
	       DELIVERY_LOST,    /* dropped, timed out, unreachable */
	       DELIVERY_TLS,     /* required TLS could not be had */
	       DELIVERY_SELF,    /* it greets with our own name: a loop */
	       DELIVERY_STARVED  /* we had no descriptor to connect with */
	} why;
	const char *stage;       /* "connect", "greeting", "ehlo", "mail".. */
	struct smtp_reply reply; /* the peer's, or made up */
};

struct delivery_events {
	/* Greeting, EHLO and TLS are done: units may be given. Once. */
	void (*on_ready)(struct delivery *d, const struct smtp_ehlo *ehlo,
			 int64_t latency_ms, void *arg);
	/* More jobs can be given again. */
	void (*on_room)(struct delivery *d, void *arg);
	/* Over; d is freed after return. */
	void (*on_end)(struct delivery *d, const struct delivery_end *end,
		       void *arg);
};

/* Connect.  Events follow, never before return. */
struct delivery *delivery_new(const struct delivery_options *opt,
			      const struct delivery_events *ev, void *arg);

/* What it runs over; NULL while in clear text. */
const struct tls_facts *delivery_tls(const struct delivery *d);

/* SMTP_EXT_ and DELIVERY_ bits that the server offers and refuses when they
 * are used: those of the options, and what was seen since.  Known before
 * on_done. */
unsigned delivery_without(const struct delivery *d);
/* With DELIVERY_CROWD among them: of one transaction. */
size_t delivery_rcpts_most(const struct delivery *d);

/* Has a whole transaction gone as SMTP has it over this connection, each reply
 * to what it answers, as far ahead as the server's offers allow? */
bool delivery_is_proven(const struct delivery *d);

/* How it ends; NULL: it does not.  In on_done: the job is lost with it. */
const struct delivery_end *delivery_ending(const struct delivery *d);

/* How many more jobs it would take now; 0 before on_ready. */
size_t delivery_room(const struct delivery *d);
size_t delivery_jobs(const struct delivery *d);

void delivery_give(struct delivery *d, struct delivery_job *job);

/* Takes the unit.  listener is borrowed as long as the job. */
struct delivery_job *delivery_job_new(struct unit **unit,
				      struct delivery_source source,
				      const struct delivery_listener *listener,
				      void *arg);
void delivery_job_free(struct delivery_job **job);
/* How many of those it is for have this outcome; and has anybody one? */
size_t delivery_job_count(const struct delivery_job *job, enum outcome o);
bool delivery_job_is_decided(const struct delivery_job *job);
/* As new, for another connection; set keeps its replies. */
void delivery_job_renew(struct delivery_job *job);

/*
 * A job that is under way grows.  It is given with more = MORE_RCPTS, bytes = 0
 * and one recipient at least; more come until the first call of
 * delivery_more_content, which says how many bytes of content can be read now,
 * and whether these are all.  Nothing may be said of it after on_done.
 * Events may follow before return, but not on_end.
 */
void delivery_more_rcpt(struct delivery *d, struct delivery_job *job,
			const struct recipient *r);
void delivery_more_content(struct delivery *d, struct delivery_job *job,
			   uint64_t bytes, bool is_all);

/* How long, all in all, the server has had to wait for more of the job that
 * grows, with nothing to answer and nothing left to read: its sender's time. */
int64_t delivery_dry_ms(const struct delivery *d);

/*
 * Nobody waits for it any longer: no call of its listener follows.  Takes it.
 * What the server was told is taken back, with RSET, or by closing the
 * connection where it is in the middle of content (RFC 5321 section 4.1.1.4:
 * it may not act on that then); once the end is out nothing can be.
 */
void delivery_job_cancel(struct delivery *d, struct delivery_job **job);

/* may_finish may have another answer.  Events may follow before return, but
 * not on_end. */
void delivery_resume(struct delivery *d);

/* Nothing more to do: finish the transactions under way, hand back what has
 * not begun (on_done, all UNTRIED), QUIT and close.  on_end follows; nothing
 * before return. */
void delivery_quit(struct delivery *d);
/* Close at once without events, also inside one; jobs in flight are freed. */
void delivery_free(struct delivery **d);

#endif
