/*
 * The client's side of TLS 1.3 for load generators, as cheap as it can be: AES
 * in the order of OpenSSL's clients (256 bits, 128 bits), the server chooses;
 * one group (X25519); one key for all handshakes; and what the server shows is
 * not looked at.  It proves nothing and protects nothing, and costs a fifth of
 * a client that does, so that the server is what is measured.
 */
#ifndef TEST_TLS13_H
#define TEST_TLS13_H

#include "common/base/buf.h"

struct tls13;

struct tls13 *tls13_new(void);
void tls13_free(struct tls13 **t);

/* Begin anew: the ClientHello is added to out. */
void tls13_begin(struct tls13 *t, struct buf *out);

/*
 * The server has sent bytes.  What it says is added to plain, what it is to be
 * answered to out.  False: this is nothing that we speak.  An alert is not told
 * of; the end of the connection follows it.
 */
bool tls13_take(struct tls13 *t, struct span bytes, struct buf *plain,
		struct buf *out);

/* Is the handshake done? */
bool tls13_is_open(const struct tls13 *t);

/* Say it in records, added to out. */
void tls13_put(struct tls13 *t, struct span plain, struct buf *out);

#endif
