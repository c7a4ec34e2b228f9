/*
 * May it come in?  A chain of links is asked in order, at five moments of a
 * session.  The first link that refuses decides, and those behind it are not
 * asked.  A link answers at once or later; whoever no longer wants to know
 * cancels.
 *
 *              gate_ask                     "later"
 *   idle ───────────────────▶ asking ───────────────────▶ out
 *    ▲ ▲                      │ ▲  │                      │ │
 *    │ │  refused, or no more │ └──┘ go: the next link    │ │ gate_answer
 *    │ └──────────────────────┘ ◀─────────────────────────┘ │ (go: the next)
 *    │  at once: the return value                           │
 *    │  after "later": the callback                         │
 *    └──────────────────────────────────────────────────────┘ gate_cancel
 */
#ifndef MX_POLICY_GATE_H
#define MX_POLICY_GATE_H

#include "common/net/addr.h"
#include "common/net/tls.h"
#include "common/smtp/address.h"
#include "common/spool/spool.h"
#include "config/config.h"
#include "daemon/policy/verdict.h"

enum gate_moment {
	GATE_CONNECTION, /* before the greeting, but after implicit TLS */
	GATE_MAIL,
	GATE_RCPT,
	GATE_CONTENT, /* DATA or the first BDAT, before an octet is taken */
	GATE_END,     /* all of it is here, and not committed yet */
	GATE_MOMENTS,
};

/* What a forward-path stands for.  The links fill it in.  All zero is a valid
 * start; meant to be used again and again, so that a recipient costs no
 * allocation. */
struct gate_rcpt {
	struct buf path;   /* to store; <postmaster> expanded */
	struct buf domain; /* canonical */
	/* Its line in the allowlist; NULL: none, and unless is_postmaster the
	 * domain is not ours. */
	const struct config_domain *row;
	/* <postmaster> of this host (RFC 5321 section 4.5.1), wherever his mail
	 * goes: not to be doubted any more. */
	bool is_postmaster;
	/* The primary itself is asked next, and its word counts; so whoever is
	 * not vouched for by a list or by what is known is let pass. */
	bool is_carried;
	bool is_vouched;
};
void gate_rcpt_fini(struct gate_rcpt *r);

struct gate;
struct gate_question;

/* What links remember of a client, from its connection to its end.  All zero is
 * a valid start; the asker keeps it in place until gate_leave. */
enum { GATE_SLOTS = 4 };
struct gate_visit {
	void *slots[GATE_SLOTS];
};

/* The answer to one that had to wait, once and never from inside gate_ask.  The
 * question is idle and may be asked or freed. */
typedef void gate_cb(struct gate_question *q, const struct verdict *v);

/*
 * A question and all that it is about.  The asker owns it and keeps it, and
 * what it points to, in place until there is an answer or gate_cancel has
 * returned.  A field is there from the moment named on; before, it is NULL, 0
 * or empty.
 */
struct gate_question {
	gate_cb *cb;
	enum gate_moment moment;
	struct config *config;
	/* connection */
	uint64_t sid; /* for the log */
	const struct net_addr *client;
	const struct tls_facts *tls; /* NULL: in clear */
	struct gate_visit *visit;
	/* MAIL */
	struct span helo;
	const struct envelope *env; /* the sender and what MAIL asked for */
	uint64_t size;		    /* announced, or at the end what came */
	size_t added;		    /* to that by our Received field */
	/* RCPT */
	const struct smtp_path *to;
	struct gate_rcpt *rcpt;
	/* Will this recipient be carried to the primary at once?  NULL: none
	 * is. */
	bool (*carries)(struct gate_question *q);
	/* content */
	const struct spool_rcpt *rcpts;
	size_t rcpt_count;
	unsigned received; /* at its end: Received fields */

	/* It is only explained, and nobody comes: nothing is counted. */
	bool is_dry;
	/* What each link answered; NULL: nobody wants to know. */
	void (*heard)(struct gate_question *q, const char *link,
		      const struct verdict *v);

	/* Dry: what a link that says go would have begun; static. */
	const char *would;

	/* For the link that is asked. */
	void *link_arg; /* as given to gate_add */
	void *link_job; /* its own, from "later" to its answer */

	/* The gate's own. */
	const struct gate *gate;
	struct verdict *now; /* while asking */
	uint8_t at;	     /* number of the link that is asked */
	uint8_t state;
};

enum gate_reply { GATE_GO, GATE_REFUSE, GATE_LATER };

/*
 * A link of the chain.  What it has nothing to say to is NULL and not called.
 *
 * ask: GATE_GO; or GATE_REFUSE with *v filled in; or GATE_LATER, and then
 * gate_answer follows, whatever happens: a link that waits has a deadline of
 * its own.  It must not wait for the client, whose input is not read.
 * cancel: forget about q, which may be gone afterwards.  NULL: never later.
 * spoke: the client has not waited for its turn.  True: it is refused, with *v
 * filled in, and q is over as by cancel.  NULL: it is none of its business.
 * leave: the client is gone, and what is remembered of it goes.
 * refused: the chain has said no, by whatever link; it may say so in other
 * words.
 */
struct gate_link {
	const char *name;
	/* May be switched off: is it on with these settings?  NULL: always. */
	bool (*is_on)(const struct config *c);
	enum gate_reply (*ask[GATE_MOMENTS])(struct gate_question *q,
					     struct verdict *v);
	void (*cancel)(struct gate_question *q);
	bool (*spoke)(struct gate_question *q, struct verdict *v);
	void (*leave)(void *memory, void *arg);
	void (*refused)(struct gate_question *q, struct verdict *v);
};

/* ---- The chain ---- */

struct gate *gate_new(void);
void gate_free(struct gate **g); /* when no question is out */

/* Append a link; a program has a few, known when it is built.  It is on from
 * the next gate_configure on. */
void gate_add(struct gate *g, const struct gate_link *link, void *arg);

/* Settings in force.  Questions that are out go on with the links that are on
 * now and stand behind theirs. */
void gate_configure(struct gate *g, const struct config *c);

/* ---- For who asks ---- */

/*
 * q has the cb, the moment and what belongs to it.  True: *v is the answer.
 * False: it comes by q->cb, from the loop or whatever the link waits for.
 * No link wants this moment: true, after one comparison.
 */
bool gate_ask(struct gate *g, struct gate_question *q, struct verdict *v);

/* cb will not run.  For a question that is out. */
void gate_cancel(struct gate_question *q);

/* The client speaks while the question is out.  True: *v is the answer, and cb
 * will not run. */
bool gate_spoke(struct gate_question *q, struct verdict *v);

/* It was refused by somebody else than a link, behind the gate: the links hear
 * of it, and may say so in other words. */
void gate_refused(struct gate *g, struct gate_question *q, struct verdict *v);

/* The client is gone, and no question of it is out. */
void gate_leave(struct gate *g, struct gate_visit *visit);

/* The name of the link whose answer a question that is out waits for. */
const char *gate_waits_for(const struct gate_question *q);

/* ---- For links ---- */

/* Where a link that has a leave keeps what it remembers of the client; NULL at
 * first.  While it is asked. */
void **gate_memory(struct gate_question *q);

/* return gate_refuse(v, V_NULL_MX); */
enum gate_reply gate_refuse(struct verdict *v, enum verdict_id id);
/* The same about q's recipient: verdict_set_for his domain's line. */
enum gate_reply gate_refuse_rcpt(const struct gate_question *q,
				 struct verdict *v, enum verdict_id id);

/* The answer after GATE_LATER; v NULL: go.  May already be given inside ask,
 * before that has returned.  q may be gone afterwards. */
void gate_answer(struct gate_question *q, const struct verdict *v);

#endif
