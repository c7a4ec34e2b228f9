/*
 * TLS of one connection as a filter of bytes.
 *
 * It touches no socket: conn reads and writes as it does in clear, and passes
 * what it read or is about to write through here.  So OpenSSL never blocks on
 * output, and "want read while writing" cannot happen.
 */
#ifndef MX_NET_ENGINE_H
#define MX_NET_ENGINE_H

#include <openssl/ssl.h>

#include "common/net/tls.h"

struct tls_engine;

enum engine_step {
	ENGINE_OK,   /* handshake done; or: all input was taken */
	ENGINE_MORE, /* the handshake needs more input */
	ENGINE_EOF,  /* the peer said close_notify */
	ENGINE_FAIL, /* see tls_engine_error; out may hold an alert to send */
};

struct tls_engine *tls_engine_server(struct tls_server *tls);
struct tls_engine *tls_engine_client(struct tls_client *tls);
void tls_engine_free(struct tls_engine **e);

/* One step of the handshake: takes records off *in, appends to out. */
enum engine_step tls_engine_handshake(struct tls_engine *e, struct span *in,
				      struct buf *out);

/*
 * As a server: do these bytes belong to a ClientHello that is not whole, or to
 * a client's answer of which there is no whole record yet?  Then they are kept,
 * and there is no step to be done.  Else *in becomes all of it that has come;
 * valid until the next call.
 */
bool tls_engine_gathers(struct tls_engine *e, struct span *in);

/*
 * n bytes more came for a handshake that is under way: is what is left of it
 * cheap, whatever they are?  A client's answer to our ServerHello (TLS 1.3) is,
 * if it is too short for a certificate: nothing asymmetric is left to do.
 */
bool tls_engine_is_light(struct tls_engine *e, size_t n);

/*
 * Decrypt all of *in to plain; *n says how much that came to.  room must be
 * in->n and one record more: a record may have been half read before.
 */
enum { ENGINE_RECORD = 17 * 1024 };
enum engine_step tls_engine_read(struct tls_engine *e, struct span *in,
				 char *plain, size_t room, size_t *n,
				 struct buf *out);

/* Encrypt s and append it to out.  False: the connection is broken. */
bool tls_engine_write(struct tls_engine *e, struct span s, struct buf *out);

/* As a server: as conn_tls_invite; lane is that of the client's network. */
void tls_engine_invite(struct tls_engine *e, unsigned lane);

/* Append close_notify. */
void tls_engine_close(struct tls_engine *e, struct buf *out);

/* Does the client offer to resume a session?  Forget it, then. */
bool tls_engine_resumes(const struct tls_engine *e);
void tls_engine_forget(struct tls_engine *e);

/* NULL until the handshake is done. */
const struct tls_facts *tls_engine_facts(const struct tls_engine *e);
/* As conn_tls_shown. */
bool tls_engine_shown(const struct tls_engine *e, struct span name,
		      struct tls_shown *out);
/* "certificate has expired", "name mismatch: wanted mx.example.org", ... */
const char *tls_engine_error(const struct tls_engine *e);

/* OpenSSL's callback for a session worth keeping. */
int tls_engine_new_session(SSL *ssl, SSL_SESSION *session);

#endif
