/*
 * One SMTP conversation as the world has it with a server: greeting, EHLO,
 * STARTTLS, EHLO; then MAIL FROM:<> and RCPT for each recipient asked about;
 * RSET, QUIT.  No message is ever sent.
 */
#ifndef MX_CHECK_TALK_H
#define MX_CHECK_TALK_H

#include <ev.h>

#include "common/net/conn.h"
#include "common/smtp/reply.h"
#include "config/value/value.h"

enum talk_stage {
	TALK_CONNECT, TALK_GREETING, TALK_EHLO, TALK_STARTTLS, TALK_HANDSHAKE,
	TALK_EHLO_AGAIN, TALK_READY, TALK_MAIL, TALK_RCPT, TALK_RSET, TALK_QUIT,
};
const char *talk_stage_name(enum talk_stage s); /* "greeting" */

/* What it came to. */
struct talk_facts {
	bool is_known;        /* it has got ready, or has failed to */
	bool is_ready;        /* EHLO, and TLS as demanded */
	enum talk_stage stage; /* where it failed */
	bool is_silent;       /* there: no answer in time */
	bool is_starved;      /* there: for want of our own descriptors */
	bool is_tls_fault;    /* reachable, but not as safe as demanded */
	int code;             /* of the reply it failed by; 0: none */
	struct buf error;     /* why: a reply or the system's words */
	bool offers_tls, has_tls, offers_xclient, offers_xforward;
	const char *tls_version;
	bool is_shown;
	struct tls_shown shown;
	char host[256];       /* as it calls itself in its reply to EHLO */
};
void talk_facts_fini(struct talk_facts *f);

/* Borrowed for as long as the talk lives, but addr. */
struct talk_options {
	struct ev_loop *loop;
	struct net_addr addr;
	struct span helo;
	struct tls_client_ctx *ctx;
	enum tls_level level;  /* never DEFAULT */
	const struct tls_demand *demand;
	struct span name;      /* that the certificate should bear */
	int64_t connect_ms, reply_ms;
};

struct talk;

struct talk_events {
	/* The facts are known: ready for talk_ask, or failed.  Again when it is
	 * ready for the next recipient. */
	void (*on_known)(struct talk *t, void *arg);
	/* The reply to MAIL, if that was refused, else to RCPT. */
	void (*on_reply)(struct talk *t, bool is_mail,
			 const struct smtp_reply *r, void *arg);
	/* It is over after it was ready: lost, or nothing more to ask. */
	void (*on_over)(struct talk *t, void *arg);
};

/* Events come from the loop; it is not freed from within them.  facts outlives
 * it. */
struct talk *talk_new(const struct talk_options *opt, struct talk_facts *facts,
		      const struct talk_events *ev, void *arg);
void talk_free(struct talk **t); /* with QUIT, if there is room for it */

/* Is it ready?  Then ask for the next recipient. */
bool talk_is_idle(const struct talk *t);
void talk_ask(struct talk *t, struct span recipient);

#endif
