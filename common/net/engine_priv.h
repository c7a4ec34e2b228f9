/*
 * The inside of engine.h.
 *
 *   engine.c        birth and death; bytes behind the handshake
 *   engine_bio.c    where OpenSSL reads and writes
 *   engine_shake.c  the handshake, and what is gathered for it
 *   engine_facts.c  what is told of it: errors, facts, certificates
 */
#ifndef MX_NET_ENGINE_PRIV_H
#define MX_NET_ENGINE_PRIV_H

#include "common/net/engine.h"
#include "common/net/hello.h"
#include "common/net/tls_priv.h"

/*
 * What TLS may have to say after the handshake: tickets, key updates and what
 * answers them, alerts.  Each costs us a key or a record to send; an SMTP
 * session needs a handful.
 */
enum { ENGINE_LATE_MAX = 64 };

/*
 * Whose turn it is in a server's handshake.
 *
 *  HELLO_TO_COME -> HELLO -> ANSWER_TO_COME -> ANSWER
 *                     |                          ^
 *                     +------ TLS 1.2: done -----+
 */
enum turn {
	TURN_HELLO_TO_COME,  /* OpenSSL has nothing of the ClientHello */
	TURN_HELLO,	     /* it has some of it, or all */
	TURN_ANSWER_TO_COME, /* it has said all that it can: it holds no
				buffers, and has nothing of the answer */
	TURN_ANSWER,
};

struct tls_engine {
	SSL *ssl;
	/* one of the two */
	struct tls_server *server;
	struct tls_client_ctx *client;

	/* where the BIO reads and writes during a call */
	struct span *in;
	struct buf *out;

	unsigned char session_key[TLS_KEY_BYTES];
	bool must_verify;
	bool resumes;
	bool is_done;
	unsigned late;	   /* messages after the handshake */
	bool awaits_hello; /* a server: the first, or another (RFC 8446
			      section 4.1.4) */
	bool is_large;	   /* a ClientHello was */
	bool is_invited;   /* a client of ours has its ticket */
	size_t answer;	   /* bytes behind our ServerHello */
	struct hello_watch hello;
	enum turn turn;
	struct hello_watch coming; /* what is gathered */
	struct buf gathered;
	struct buf names; /* demanded (client) or found (server) */
	struct buf error;
	struct tls_facts facts;
	char first_name[256];
};

/* ---- engine_bio.c ---- */

/* A new SSL with a BIO of ours. */
void engine_attach(struct tls_engine *e, SSL_CTX *ctx);

/* Around each call of OpenSSL's: from where it reads, to where it writes. */
void engine_begin(struct tls_engine *e, struct span *in, struct buf *out);
void engine_end(struct tls_engine *e);

/* ---- engine_facts.c ---- */

/* OpenSSL failed: put down why.  ENGINE_FAIL always. */
enum engine_step engine_fail(struct tls_engine *e);

/* The handshake is done. */
void engine_take_facts(struct tls_engine *e);

#endif
