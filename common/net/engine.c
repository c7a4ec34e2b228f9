#include "common/net/engine.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/net/addr.h"
#include "common/net/hello.h"
#include "common/net/tls_priv.h"

enum {
	/*
	 * What TLS may have to say after the handshake: tickets, key updates
	 * and what answers them, alerts.  Each costs us a key or a record to
	 * send; an SMTP session needs a handful.
	 */
	LATE_MAX = 64,
	/* Of a client's answer to the ServerHello: two records with an empty
	 * Certificate and a Finished are 110 bytes, and no certificate has
	 * less than this. */
	LIGHT_MAX = 192,
	/* Of a client's turn in the handshake we keep this much ourselves
	 * before OpenSSL has any of it, which takes 30 KiB and more then; most
	 * are a quarter of it or less. */
	GATHER_MAX = 4096,
};

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

/* ---- The BIO: OpenSSL's view of in and out ---- */

static int bio_read(BIO *b, char *to, int max)
{
	struct tls_engine *e = BIO_get_data(b);
	size_t n = (size_t)max;

	BIO_clear_retry_flags(b);
	if (e->late > LATE_MAX || e->is_large)
		return -1; /* for good: it reads no further record */
	if (e->in == NULL || e->in->n == 0) {
		BIO_set_retry_read(b);
		return -1;
	}
	if (n > e->in->n)
		n = e->in->n;
	if (e->awaits_hello)
		e->is_large = !hello_watch(&e->hello, span_of(e->in->p, n));
	if (e->is_large)
		return -1;
	memcpy(to, e->in->p, n);
	*e->in = span_skip(*e->in, n);
	return (int)n;
}

static int bio_write(BIO *b, const char *from, int n)
{
	struct tls_engine *e = BIO_get_data(b);

	BIO_clear_retry_flags(b);
	MX_ASSERT(e->out != NULL);
	buf_add(e->out, span_of(from, (size_t)n));
	return n;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
	(void)b;
	(void)num;
	(void)ptr;
	return cmd == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *made;

static void make_method(void)
{
	made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "mx20");
	MX_ASSERT(made != NULL);
	BIO_meth_set_read(made, bio_read);
	BIO_meth_set_write(made, bio_write);
	BIO_meth_set_ctrl(made, bio_ctrl);
}

/* For all threads. */
static const BIO_METHOD *bio_method(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_method);
	return made;
}

static void begin(struct tls_engine *e, struct span *in, struct buf *out)
{
	e->in = in;
	e->out = out;
	if (ERR_peek_error() != 0) /* SSL_get_error(3): it would be ours */
		ERR_clear_error();
}

/* What was gathered is needed as long as it is all there is, or in is part of
 * it. */
static void end(struct tls_engine *e)
{
	if (e->in != NULL && e->in->n == 0 && e->turn != TURN_ANSWER_TO_COME)
		buf_fini(&e->gathered);
	e->in = NULL;
	e->out = NULL;
}

/* The answer to a ClientHello, and not that it shall be sent once more: that
 * differs in the random value (RFC 8446 section 4.1.3). */
static bool is_server_hello(const unsigned char *p, size_t n)
{
	static const unsigned char again[] = {
		0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11,
		0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
		0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e,
		0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
	};
	const size_t at = 4 + 2; /* behind its head and a version */

	return n >= at + sizeof(again) && p[0] == SSL3_MT_SERVER_HELLO &&
	       memcmp(p + at, again, sizeof(again)) != 0;
}

/* OpenSSL's callback for each message, see LATE_MAX. */
static void on_message(int is_written, int version, int type, const void *p,
		       size_t n, SSL *ssl, void *arg)
{
	struct tls_engine *e = SSL_get_app_data(ssl);

	(void)version, (void)arg;
	if (is_written && type == SSL3_RT_HANDSHAKE && is_server_hello(p, n))
		e->awaits_hello = false;
	if (e->is_done && (type == SSL3_RT_HANDSHAKE || type == SSL3_RT_ALERT))
		e->late++;
}

/* ---- Birth and death ---- */

static struct tls_engine *engine_new(SSL_CTX *ctx)
{
	struct tls_engine *e = mx_alloc(sizeof(*e));
	BIO *bio = BIO_new(bio_method());

	e->ssl = SSL_new(ctx);
	MX_ASSERT(e->ssl != NULL && bio != NULL);
	BIO_set_data(bio, e);
	BIO_set_init(bio, 1);
	SSL_set_bio(e->ssl, bio, bio);
	SSL_set_app_data(e->ssl, e);
	SSL_set_msg_callback(e->ssl, on_message);
	e->facts.peer_name = e->facts.peer_names = "";
	return e;
}

struct tls_engine *tls_engine_server(struct tls_server *tls)
{
	struct tls_engine *e = engine_new(tls->ctx);

	e->server = tls_server_ref(tls);
	e->awaits_hello = true;
	SSL_set_accept_state(e->ssl);
	return e;
}

/* OpenSSL wants C strings; a name with a NUL in it matches nothing. */
static const char *cstr(struct span s, char copy[256])
{
	if (s.n >= 256 || (s.n > 0 && memchr(s.p, '\0', s.n) != NULL))
		return "";
	memcpy(copy, s.p, s.n);
	copy[s.n] = '\0';
	return copy;
}

/* The names the certificate may bear; remembered for the error text. */
static void demand_names(struct tls_engine *e, const struct tls_demand *d)
{
	char name[256];

	SSL_set_hostflags(e->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	for (size_t i = 0; i < d->name_count; i++) {
		if (i > 0)
			buf_adds(&e->names, " or ");
		buf_add(&e->names, d->names[i]);
		SSL_add1_host(e->ssl, cstr(d->names[i], name));
	}
}

/* False: no record could be used. */
static bool demand_dane(struct tls_engine *e, const struct tls_demand *d)
{
	bool usable = false;
	char base[256];

	ERR_clear_error();
	if (SSL_dane_enable(e->ssl, cstr(d->sni, base)) <= 0)
		return false;
	for (size_t i = 0; i < d->tlsa_count; i++) {
		const struct tls_tlsa *t = &d->tlsa[i];

		/* 0: unusable, -1: failed; the record counts in neither */
		if (SSL_dane_tlsa_add(
			    e->ssl, t->usage, t->selector, t->matching,
			    (const unsigned char *)t->data.p, t->data.n) > 0)
			usable = true;
	}
	ERR_clear_error();
	return usable;
}

static void demand_sni(struct tls_engine *e, struct span sni)
{
	struct net_addr literal;
	char name[256];

	/* RFC 6066 section 3: no literal addresses */
	if (sni.n > 0 && net_addr_parse(sni, &literal) != MX_OK)
		SSL_set_tlsext_host_name(e->ssl, cstr(sni, name));
}

struct tls_engine *tls_engine_client(struct tls_client *tls)
{
	struct tls_engine *e = engine_new(tls->ctx->ctx);
	const struct tls_demand *d = tls->demand;
	SSL_SESSION *session;

	e->client = tls_client_ctx_ref(tls->ctx);
	SSL_set_connect_state(e->ssl);
	demand_sni(e, d->sni);
	if (d->auth == TLS_AUTH_PKIX)
		e->must_verify = true;
	else if (d->auth == TLS_AUTH_DANE)
		e->must_verify = demand_dane(e, d);
	if (e->must_verify) {
		SSL_set_verify(e->ssl, SSL_VERIFY_PEER, NULL);
		demand_names(e, d);
	} else {
		/* any encryption beats none (RFC 7435) */
		SSL_set_verify(e->ssl, SSL_VERIFY_NONE, NULL);
		SSL_set_security_level(e->ssl, 0);
	}
	tls_key_of(d, e->session_key);
	session = tls_sessions_find(e->client->sessions, e->session_key);
	if (session != NULL && !d->is_fresh) {
		SSL_set_session(e->ssl, session);
		e->resumes = true;
	}
	SSL_SESSION_free(session);
	return e;
}

bool tls_engine_resumes(const struct tls_engine *e)
{
	return e->resumes;
}

void tls_engine_forget(struct tls_engine *e)
{
	MX_ASSERT(e->client != NULL);
	tls_sessions_drop(e->client->sessions, e->session_key);
}

void tls_engine_free(struct tls_engine **ep)
{
	struct tls_engine *e = *ep;

	*ep = NULL;
	if (e == NULL)
		return;
	/* SMTP says QUIT, so a missing close_notify is no reason for OpenSSL
	 * to spoil the session we keep for resumption. */
	if (e->is_done)
		SSL_set_shutdown(e->ssl,
				 SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(e->ssl);
	tls_server_unref(&e->server);
	tls_client_ctx_unref(&e->client);
	buf_fini(&e->gathered);
	buf_fini(&e->names);
	buf_fini(&e->error);
	free(e);
}

int tls_engine_new_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls_engine *e = SSL_get_app_data(ssl);

	tls_sessions_put(e->client->sessions, e->session_key, session);
	return 1; /* the reference is ours now */
}

/* ---- Errors in English ---- */

static void explain_verify(struct tls_engine *e, long result)
{
	switch (result) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		buf_adds(&e->error, "name mismatch: wanted ");
		buf_add(&e->error, buf_span(&e->names));
		break;
	case X509_V_ERR_DANE_NO_MATCH:
		buf_adds(&e->error, "no TLSA record matches");
		break;
	default:
		buf_adds(&e->error, X509_verify_cert_error_string(result));
	}
}

static enum engine_step explain_failure(struct tls_engine *e)
{
	long result = SSL_get_verify_result(e->ssl);
	unsigned long code = ERR_peek_error();

	buf_reset(&e->error);
	if (e->late > LATE_MAX)
		buf_adds(&e->error, "too many messages of TLS itself");
	else if (e->is_large)
		buf_adds(&e->error, "ClientHello too large");
	else if (e->must_verify && result != X509_V_OK)
		explain_verify(e, result);
	else if (ERR_GET_LIB(code) == ERR_LIB_SSL &&
		 ERR_GET_REASON(code) == SSL_R_WRONG_VERSION_NUMBER)
		buf_adds(&e->error, "the peer does not speak TLS");
	else
		tls_error_add(&e->error);
	buf_cstr(&e->error);
	ERR_clear_error();
	if (e->client != NULL)
		tls_sessions_drop(e->client->sessions, e->session_key);
	return ENGINE_FAIL;
}

const char *tls_engine_error(const struct tls_engine *e)
{
	return e->error.p != NULL ? e->error.p : "";
}

/* ---- Facts ---- */

static bool is_host_text(const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] <= ' ' || p[i] > '~')
			return false;
	return n > 0 && n < 256;
}

/* A client's certificate that chains to a root: the DNS names it bears. */
static void find_peer_names(struct tls_engine *e)
{
	X509 *cert = SSL_get1_peer_certificate(e->ssl);
	GENERAL_NAMES *all;

	if (cert == NULL || SSL_get_verify_result(e->ssl) != X509_V_OK)
		goto done;
	e->facts.verified = true;
	all = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(all, i);
		const unsigned char *p;

		if (g->type != GEN_DNS)
			continue;
		size_t n = (size_t)ASN1_STRING_length(g->d.dNSName);
		p = ASN1_STRING_get0_data(g->d.dNSName);
		if (!is_host_text(p, n))
			continue;
		if (e->names.n > 0)
			buf_addc(&e->names, ' ');
		else
			memcpy(e->first_name, p, n);
		buf_add(&e->names, span_of(p, n));
	}
	GENERAL_NAMES_free(all);
	e->facts.peer_name = e->first_name;
	e->facts.peer_names = buf_cstr(&e->names);
done:
	X509_free(cert);
}

static void take_facts(struct tls_engine *e)
{
	e->is_done = true;
	e->facts.version = SSL_get_version(e->ssl);
	e->facts.cipher = SSL_get_cipher_name(e->ssl);
	e->facts.bits = (unsigned)SSL_get_cipher_bits(e->ssl, NULL);
	e->facts.reused = SSL_session_reused(e->ssl) == 1;
	if (e->server != NULL)
		find_peer_names(e);
	else
		e->facts.verified = e->must_verify &&
				    SSL_get_verify_result(e->ssl) == X509_V_OK;
	ERR_clear_error();
}

const struct tls_facts *tls_engine_facts(const struct tls_engine *e)
{
	return e->is_done ? &e->facts : NULL;
}

/* ---- What the server showed ---- */

static int64_t end_of(const X509 *cert)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) != 1)
		return INT64_MAX;
	return SECONDS(timegm(&tm));
}

static void digest_key(const X509 *cert, unsigned char out[TLS_SPKI_BYTES])
{
	unsigned char *der = NULL;
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);

	if (n > 0)
		(void)EVP_Digest(der, (size_t)n, out, NULL, EVP_sha256(), NULL);
	OPENSSL_free(der);
}

bool tls_engine_shown(const struct tls_engine *e, struct span name,
		      struct tls_shown *out)
{
	X509 *cert = SSL_get1_peer_certificate(e->ssl);
	const long result = SSL_get_verify_result(e->ssl);

	*out = (struct tls_shown){ .why = "" };
	if (cert == NULL)
		return false;
	out->end_ms = end_of(cert);
	out->chains = result == X509_V_OK;
	if (!out->chains)
		out->why = X509_verify_cert_error_string(result);
	out->has_name = name.n > 0 && X509_check_host(cert, name.p, name.n,
						       0, NULL) == 1;
	digest_key(cert, out->spki);
	X509_free(cert);
	ERR_clear_error();
	return true;
}

/* ---- Bytes ---- */

/* The last bytes of a turn are new: has nothing come yet that counts?  What
 * answers a HelloRetryRequest is another ClientHello. */
static bool awaits_more(struct tls_engine *e, struct span all, size_t new)
{
	if (all.n > GATHER_MAX)
		return false;
	if (e->awaits_hello &&
	    !hello_watch(&e->coming, span_skip(all, all.n - new)))
		return false;
	if (e->turn == TURN_HELLO_TO_COME)
		return hello_is_partial(&e->coming);
	return !hello_is_answered(all);
}

bool tls_engine_gathers(struct tls_engine *e, struct span *in)
{
	const struct span new = *in;

	if (e->server == NULL || e->turn == TURN_HELLO ||
	    e->turn == TURN_ANSWER) {
		buf_fini(&e->gathered);
		return false;
	}
	if (e->gathered.n > 0) {
		buf_add(&e->gathered, new);
		*in = buf_span(&e->gathered);
	}
	if (!awaits_more(e, *in, new.n)) {
		e->turn++;
		return false;
	}
	if (e->gathered.n == 0)
		buf_add(&e->gathered, new);
	return true;
}

bool tls_engine_is_light(struct tls_engine *e, size_t n)
{
	if (e->server == NULL || e->awaits_hello ||
	    SSL_version(e->ssl) != TLS1_3_VERSION)
		return false;
	e->answer = n > LIGHT_MAX - e->answer ? LIGHT_MAX : e->answer + n;
	return e->answer < LIGHT_MAX;
}

static enum engine_step step_of(struct tls_engine *e, int rc)
{
	if (rc == 1)
		return ENGINE_OK;
	if (SSL_get_error(e->ssl, rc) == SSL_ERROR_WANT_READ)
		return ENGINE_MORE;
	return explain_failure(e);
}

/* What came behind the ClientHello, and may be part of what was gathered: is
 * more to be awaited? */
static bool gathers_rest(struct tls_engine *e)
{
	struct buf was = e->gathered;

	e->gathered = (struct buf){ 0 };
	if (!tls_engine_gathers(e, e->in)) {
		e->gathered = was;
		return false;
	}
	buf_fini(&was);
	*e->in = span_of(NULL, 0);
	return true;
}

/*
 * As a server, to where we have said all that we can before the client has
 * answered.  OpenSSL gives its buffers back there, and not with the handshake's
 * end alone, if it is asked for early data.  It takes none: that is what
 * SSL_CTX_set_max_early_data(3) is without a call.
 */
static enum engine_step take_hello(struct tls_engine *e)
{
	size_t n;
	char none;

	if (SSL_read_early_data(e->ssl, &none, 1, &n) !=
	    SSL_READ_EARLY_DATA_FINISH)
		return step_of(e, 0);
	e->turn = TURN_ANSWER_TO_COME;
	e->coming = (struct hello_watch){ 0 };
	if (SSL_is_init_finished(e->ssl) || !gathers_rest(e))
		return ENGINE_OK;
	return ENGINE_MORE;
}

enum engine_step tls_engine_handshake(struct tls_engine *e, struct span *in,
				      struct buf *out)
{
	enum engine_step step = ENGINE_OK;

	begin(e, in, out);
	if (e->server != NULL && e->turn < TURN_ANSWER_TO_COME)
		step = take_hello(e);
	if (step == ENGINE_OK) {
		e->turn = TURN_ANSWER;
		step = step_of(e, SSL_do_handshake(e->ssl));
	}
	if (step == ENGINE_OK) {
		take_facts(e);
		/* one was for what we might have had to say */
		SSL_free_buffers(e->ssl);
	}
	end(e);
	return step;
}

/* A read of nothing would cost OpenSSL a buffer of 16 KiB. */
static bool has_more(const struct tls_engine *e)
{
	return e->in->n > 0 || SSL_has_pending(e->ssl) == 1;
}

static enum engine_step why_not_read(struct tls_engine *e)
{
	switch (SSL_get_error(e->ssl, 0)) {
	case SSL_ERROR_ZERO_RETURN:
		return ENGINE_EOF;
	case SSL_ERROR_WANT_READ:
		return ENGINE_MORE;
	default:
		return explain_failure(e);
	}
}

enum engine_step tls_engine_read(struct tls_engine *e, struct span *in,
				 char *plain, size_t room, size_t *n,
				 struct buf *out)
{
	enum engine_step step = ENGINE_OK;
	size_t got;

	*n = 0;
	begin(e, in, out);
	while (*n < room && has_more(e) && step == ENGINE_OK) {
		if (SSL_read_ex(e->ssl, plain + *n, room - *n, &got) == 1)
			*n += got;
		else
			step = why_not_read(e);
	}
	end(e);
	if (step == ENGINE_MORE)
		step = ENGINE_OK;
	return step;
}

void tls_engine_invite(struct tls_engine *e, unsigned lane)
{
	if (e->is_invited || !e->is_done)
		return;
	e->is_invited = true;
	if (!tickets_are_worth(e->server->tickets, lane, e->facts.reused))
		return;
	(void)SSL_new_session_ticket(e->ssl); /* not before TLS 1.3 */
}

bool tls_engine_write(struct tls_engine *e, struct span s, struct buf *out)
{
	size_t done;

	if (s.n == 0)
		return true;
	begin(e, NULL, out);
	bool ok = SSL_write_ex(e->ssl, s.p, s.n, &done) == 1;

	if (ok)
		MX_ASSERT(done == s.n);
	else
		explain_failure(e);
	end(e);
	return ok;
}

void tls_engine_close(struct tls_engine *e, struct buf *out)
{
	if (!e->is_done)
		return;
	begin(e, NULL, out);
	SSL_shutdown(e->ssl);
	ERR_clear_error();
	end(e);
}
