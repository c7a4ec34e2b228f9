/* The inside of tls.h: what the contexts are made of. */
#ifndef MX_NET_TLS_PRIV_H
#define MX_NET_TLS_PRIV_H

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "common/net/tickets.h"
#include "common/net/tls.h"

struct tls_server {
	SSL_CTX *ctx;
	struct tickets *tickets; /* a session does not outlive a reload: what
				    it was judged by might be another */
	atomic_uint refs; /* the last may go on another thread */
	X509 **certs;     /* one a pair, each with a reference */
	size_t pairs;
};

struct tls_sessions; /* by key, bounded */

struct tls_client_ctx {
	SSL_CTX *ctx;
	struct tls_sessions *sessions;
	atomic_uint refs;
};

/* Append why OpenSSL failed, the oldest error in its queue; empties it. */
void tls_error_add(struct buf *out);

/* The session table, by the digest of destination and demand.  Any thread. */
enum { TLS_KEY_BYTES = 32 };
void tls_key_of(const struct tls_demand *demand,
		unsigned char key[TLS_KEY_BYTES]);
struct tls_sessions *tls_sessions_new(void);
void tls_sessions_free(struct tls_sessions **t);
/* NULL: none that can still be used.  A reference is given. */
SSL_SESSION *tls_sessions_find(struct tls_sessions *t,
			       const unsigned char key[TLS_KEY_BYTES]);
/* Takes the session's reference. */
void tls_sessions_put(struct tls_sessions *t,
		      const unsigned char key[TLS_KEY_BYTES], SSL_SESSION *s);
void tls_sessions_drop(struct tls_sessions *t,
		       const unsigned char key[TLS_KEY_BYTES]);

#endif
