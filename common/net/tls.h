/*
 * TLS by OpenSSL: server and client contexts.  All verification policy is
 * decided by the caller (daemon/route) and only carried out here.
 */
#ifndef MX_NET_TLS_H
#define MX_NET_TLS_H

#include <ev.h>

#include "common/base/buf.h"
#include "common/base/err.h"

/*
 * From now on the handshakes of this loop's connections are done by threads,
 * one for each processor, 16 at most; without, or if no thread can be had, by
 * the loop itself.  Once per process, after the last fork.  Stop when the
 * connections are gone.
 */
void tls_threads_start(struct ev_loop *loop, unsigned count);
void tls_threads_stop(void);

/* Reference-counted: sessions keep the one they began with. */
struct tls_server;

/*
 * Certificate chains and keys as PEM files; several pairs for RSA beside
 * ECDSA.  On failure *out is NULL and why says which file and what.  TLS 1.2
 * and 1.3; a client certificate is asked for and never required.  ca_file
 * holds the roots that client certificates are checked with; NULL or "": the
 * system's.  A chain of more than 16 KiB, 4 links or with a key of more than
 * 4096 bits ends the handshake.
 */
enum mx_err tls_server_new(struct tls_server **out, const char *const *certs,
			   const char *const *keys, size_t pairs,
			   const char *ca_file, struct buf *why);
/* No client certificate is of use.  Before the first handshake. */
void tls_server_ask_nobody(struct tls_server *t);
/* When the certificate of a pair ends (wall ms). */
int64_t tls_server_end_ms(const struct tls_server *t, size_t pair);
/* Is it never served, since a later pair has the same kind of key? */
bool tls_server_hides(const struct tls_server *t, size_t pair);
/* Does it stand for this host (NUL behind the name; RFC 6125)? */
bool tls_server_covers(const struct tls_server *t, size_t pair,
		       struct span host);
struct tls_server *tls_server_ref(struct tls_server *t);
void tls_server_unref(struct tls_server **t);

/* One TLSA record, usable kinds only: usage 2 or 3 (RFC 7672 section 3.1). */
struct tls_tlsa {
	unsigned char usage, selector, matching;
	struct span data;
};

enum tls_auth {
	TLS_AUTH_NONE, /* encrypt, accept whatever certificate */
	TLS_AUTH_PKIX, /* chain to a trusted root and name must match */
	TLS_AUTH_DANE, /* a TLSA record must match; if none of them is usable
			  the connection is encrypted and not verified (RFC
			  7672 section 2.2) */
};

/* What to demand of one handshake.  Borrowed during conn_starttls_client
 * only. */
struct tls_demand {
	enum tls_auth auth;
	struct span sni;             /* host name sent and TLSA base domain */
	const struct span *names;    /* names the certificate may bear */
	size_t name_count;
	const struct tls_tlsa *tlsa;
	size_t tlsa_count;
	bool has_sans_only;          /* PKIX: the name in the subject does not
					count (RFC 8461 section 4.1) */
	struct span session_key;     /* reuse within it; destination.  What is
					demanded above counts as well */
	bool is_fresh;               /* do not resume one: a new handshake */
};

/* The process's client side: roots, session cache.  One per configuration;
 * reference-counted.  ca_file NULL or "": the system's roots. */
struct tls_client_ctx;
enum mx_err tls_client_ctx_new(struct tls_client_ctx **out,
			       const char *ca_file, struct buf *why);
struct tls_client_ctx *tls_client_ctx_ref(struct tls_client_ctx *t);
void tls_client_ctx_unref(struct tls_client_ctx **t);
/*
 * For a library that makes its connections itself: the SSL_CTX of one of them
 * gets these roots, and what a server may make us compute on it is bounded as
 * for our own, since it is the loop that does it.
 */
void tls_client_ctx_lend(struct tls_client_ctx *t, void *ssl_ctx);

/* A context and a demand, for conn_starttls_client. */
struct tls_client {
	struct tls_client_ctx *ctx;
	const struct tls_demand *demand;
};

/* What a finished handshake came to. */
struct tls_facts {
	const char *version;      /* "TLSv1.3" */
	const char *cipher;       /* "TLS_AES_256_GCM_SHA384" */
	unsigned bits;
	bool verified;            /* the demand's auth held (client side), or
				     the client's certificate chains to a
				     trusted root (server side) */
	bool reused;              /* session resumption */
	/* Server side, of a verified client certificate; else "". */
	const char *peer_name;    /* for the log: first of the names */
	const char *peer_names;   /* its DNS names, one blank between them */
};

/* The certificate that a server showed, whatever was demanded of it. */
enum { TLS_SPKI_BYTES = 32 };
struct tls_shown {
	int64_t end_ms; /* when it ends; wall */
	bool chains;    /* to a root of the context, every date in order */
	const char *why; /* it does not; else "" */
	bool has_name;  /* it stands for the name asked about (RFC 6125) */
	unsigned char spki[TLS_SPKI_BYTES]; /* SHA-256 of its key: the data of
					       TLSA 3 1 1 (RFC 6698) */
};

#endif
