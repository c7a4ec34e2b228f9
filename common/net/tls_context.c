#include "common/net/tls_priv.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/net/engine.h"

/* Forward secrecy first; plain RSA stays for old peers, since what does not
 * find a common cipher falls back to clear text.  No finite-field groups: the
 * peer would choose how much a handshake costs us. */
#define TLS12_CIPHERS                                                          \
	"ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:HIGH:!kDHE:!aNULL:!eNULL:"      \
	"!MD5:!3DES:!PSK:!SRP:!DSS:!ARIA:!CAMELLIA"
/* As a server we choose: the key of 128 bits is as strong as X25519 and any
 * certificate, and its SHA-256, which processors can, makes a handshake 15 us
 * cheaper than SHA-384, which they cannot. */
#define TLS13_SERVER                                                           \
	"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"                       \
	"TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS "X25519:P-256:P-384"

/* What a peer may make us verify.  Honest chains are some KiB long; outward
 * we are a little more patient with what operators have chosen. */
static const struct cost {
	int key_bits, depth;
	long chain_bytes;
} of_clients = { 4096, 4, 16 << 10 }, of_servers = { 8192, 8, 64 << 10 };

/* Before anything is computed with them. */
static int judge_cheap_ones(X509_STORE_CTX *store, void *arg)
{
	const struct cost *most = arg;
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_untrusted(store);
	const int n = sk_X509_num(chain);
	bool ok = n <= most->depth + 1;

	for (int i = 0; ok && i < n; i++) {
		EVP_PKEY *key = X509_get0_pubkey(sk_X509_value(chain, i));

		ok = key != NULL && EVP_PKEY_get_bits(key) <= most->key_bits;
	}
	if (ok)
		return X509_verify_cert(store);
	X509_STORE_CTX_set_error(store, n > most->depth + 1
						? X509_V_ERR_CERT_CHAIN_TOO_LONG
						: X509_V_ERR_CERT_REJECTED);
	return 0;
}

static void bound_groups(SSL_CTX *ctx)
{
	MX_ASSERT(SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1);
	MX_ASSERT(SSL_CTX_set_cipher_list(ctx, TLS12_CIPHERS) == 1);
	MX_ASSERT(SSL_CTX_set1_groups_list(ctx, GROUPS) == 1);
}

static void bound_chain(SSL_CTX *ctx, const struct cost *most)
{
	SSL_CTX_set_cert_verify_callback(ctx, judge_cheap_ones,
					 (void *)(uintptr_t)most);
	SSL_CTX_set_verify_depth(ctx, most->depth);
	SSL_CTX_set_max_cert_list(ctx, most->chain_bytes);
}

/*
 * OpenSSL must not clean up at exit: a thread that nobody waits for may still
 * be giving back a large configuration, or a resolver.  Only the first call
 * into OpenSSL decides that; contexts are made before anything else uses it.
 */
static void outlive_main(void)
{
	MX_ASSERT(OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL) == 1);
}

/* What both sides refuse and allow. */
static SSL_CTX *context_new(const SSL_METHOD *method)
{
	SSL_CTX *ctx;

	outlive_main();
	ctx = SSL_CTX_new(method);
	MX_ASSERT(ctx != NULL);
	bound_groups(ctx);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_NO_COMPRESSION |
					 SSL_OP_CIPHER_SERVER_PREFERENCE |
					 SSL_OP_PRIORITIZE_CHACHA);
	/* an idle session gives back its 32 KiB of record buffers */
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	return ctx;
}

/* Roots for verification; MX_EINVAL with a sentence when ca_file is bad. */
static enum mx_err use_roots(SSL_CTX *ctx, const char *ca_file,
			     struct buf *why)
{
	ERR_clear_error();
	if (ca_file == NULL || *ca_file == '\0') {
		SSL_CTX_set_default_verify_paths(ctx);
		ERR_clear_error(); /* a host without roots can still encrypt */
		return MX_OK;
	}
	if (SSL_CTX_load_verify_locations(ctx, ca_file, NULL) == 1)
		return MX_OK;
	buf_addf(why, "%s: ", ca_file);
	tls_error_add(why);
	return MX_EINVAL;
}

/* ---- Server ---- */

/* Asked for, so that a primary can be recognised; judged afterwards. */
static int accept_any(int ok, X509_STORE_CTX *store)
{
	(void)ok;
	(void)store;
	return 1;
}

/* OpenSSL has several ways to say that the two do not belong together. */
static bool is_mismatch(void)
{
	int reason = ERR_GET_REASON(ERR_peek_error());

	switch (ERR_GET_LIB(ERR_peek_error())) {
	case ERR_LIB_SSL:
		return reason == SSL_R_NO_CERTIFICATE_ASSIGNED;
	case ERR_LIB_X509:
		return reason == X509_R_KEY_VALUES_MISMATCH ||
		       reason == X509_R_KEY_TYPE_MISMATCH;
	default:
		return false;
	}
}

/* A daemon has nobody to ask; OpenSSL by itself would ask the terminal. */
static int no_pass_phrase(char *buf, int size, int is_writing, void *arg)
{
	bool *was_asked = arg;

	(void)buf, (void)size, (void)is_writing;
	if (was_asked != NULL)
		*was_asked = true;
	return -1;
}

static enum mx_err load_certificate(SSL_CTX *ctx, const char *cert,
				    struct buf *why)
{
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(ctx, cert) == 1)
		return MX_OK;
	buf_addf(why, "%s: not usable as a PEM certificate chain: ", cert);
	tls_error_add(why);
	return MX_EINVAL;
}

static enum mx_err load_key(SSL_CTX *ctx, const char *cert, const char *key,
			    struct buf *why)
{
	bool is_encrypted = false;
	int ok;

	ERR_clear_error();
	SSL_CTX_set_default_passwd_cb_userdata(ctx, &is_encrypted);
	ok = SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) == 1 &&
	     SSL_CTX_check_private_key(ctx) == 1;
	SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
	if (ok)
		return MX_OK;
	if (is_encrypted) {
		buf_addf(why,
			 "%s: the key needs a pass phrase: store it "
			 "without one (openssl pkey -in %s)",
			 key, key);
	} else if (is_mismatch()) {
		buf_addf(why, "%s: not the key of %s", key, cert);
	} else {
		buf_addf(why, "%s: not usable as a PEM private key: ", key);
		tls_error_add(why);
	}
	ERR_clear_error();
	return MX_EINVAL;
}

static enum mx_err load_pair(struct tls_server *t, const char *cert,
			     const char *key, struct buf *why)
{
	enum mx_err err = load_certificate(t->ctx, cert, why);

	if (err != MX_OK)
		return err;
	t->certs[t->pairs] = SSL_CTX_get0_certificate(t->ctx);
	X509_up_ref(t->certs[t->pairs++]);
	return load_key(t->ctx, cert, key, why);
}

enum mx_err tls_server_new(struct tls_server **out, const char *const *certs,
			   const char *const *keys, size_t pairs,
			   const char *ca_file, struct buf *why)
{
	SSL_CTX *ctx = context_new(TLS_server_method());
	enum mx_err err = use_roots(ctx, ca_file, why);
	struct tls_server *t = mx_alloc(sizeof(*t));

	*out = NULL;
	atomic_init(&t->refs, 1);
	t->ctx = ctx;
	t->tickets = tickets_new();
	t->certs = mx_alloc_array(pairs, sizeof(*t->certs));
	SSL_CTX_set_default_passwd_cb(ctx, no_pass_phrase);
	for (size_t i = 0; err == MX_OK && i < pairs; i++)
		err = load_pair(t, certs[i], keys[i], why);
	if (err != MX_OK) {
		tls_server_unref(&t);
		return err;
	}
	MX_ASSERT(SSL_CTX_set_ciphersuites(ctx, TLS13_SERVER) == 1);
	bound_chain(ctx, &of_clients);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, accept_any);
	/* what the file has is sent; else OpenSSL looks through the folder of
	 * roots for a chain, in each handshake */
	SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
	/* tickets only: sessions cost us no memory */
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"mx20", 4);
	SSL_CTX_set_num_tickets(ctx, 0); /* who brings mail has one */
	tickets_use(ctx, t->tickets);

	*out = t;
	return MX_OK;
}

void tls_server_ask_nobody(struct tls_server *t)
{
	SSL_CTX_set_verify(t->ctx, SSL_VERIFY_NONE, NULL);
}

int64_t tls_server_end_ms(const struct tls_server *t, size_t pair)
{
	struct tm tm;

	MX_ASSERT(pair < t->pairs);
	if (ASN1_TIME_to_tm(X509_get0_notAfter(t->certs[pair]), &tm) != 1)
		return INT64_MAX;
	return SECONDS(timegm(&tm));
}

static int kind_of_key(const X509 *cert)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);

	return key != NULL ? EVP_PKEY_get_base_id(key) : EVP_PKEY_NONE;
}

bool tls_server_hides(const struct tls_server *t, size_t pair)
{
	for (size_t i = pair + 1; i < t->pairs; i++) {
		if (kind_of_key(t->certs[i]) == kind_of_key(t->certs[pair]))
			return true;
	}
	return false;
}

bool tls_server_covers(const struct tls_server *t, size_t pair,
		       struct span host)
{
	MX_ASSERT(pair < t->pairs);
	return X509_check_host(t->certs[pair], host.p, host.n, 0, NULL) == 1;
}

/* ---- Client ---- */

enum mx_err tls_client_ctx_new(struct tls_client_ctx **out, const char *ca_file,
			       struct buf *why)
{
	SSL_CTX *ctx = context_new(TLS_client_method());
	enum mx_err err = use_roots(ctx, ca_file, why);

	*out = NULL;
	if (err != MX_OK) {
		SSL_CTX_free(ctx);
		return err;
	}
	bound_chain(ctx, &of_servers);
	MX_ASSERT(SSL_CTX_dane_enable(ctx) == 1);
	SSL_CTX_dane_set_flags(ctx, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	/* kept in our own table, by destination and demand */
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT |
						    SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, tls_engine_new_session);
	SSL_CTX_set_timeout(ctx, 3600);

	*out = mx_alloc(sizeof(**out));
	(*out)->ctx = ctx;
	(*out)->sessions = tls_sessions_new();
	atomic_init(&(*out)->refs, 1);
	return MX_OK;
}

void tls_client_ctx_lend(struct tls_client_ctx *t, void *ssl_ctx)
{
	bound_groups(ssl_ctx);
	bound_chain(ssl_ctx, &of_servers);
	SSL_CTX_set1_cert_store(ssl_ctx, SSL_CTX_get_cert_store(t->ctx));
}
