#include "common/net/engine.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/net/addr.h"
#include "common/net/engine_priv.h"

/* ---- Birth and death ---- */

static struct tls_engine *engine_new(SSL_CTX *ctx)
{
	struct tls_engine *e = mx_alloc(sizeof(*e));

	engine_attach(e, ctx);
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

	SSL_set_hostflags(e->ssl,
			  X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
				  (d->has_sans_only
					   ? X509_CHECK_FLAG_NEVER_CHECK_SUBJECT
					   : 0U));
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

/* ---- Bytes ---- */

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
		return engine_fail(e);
	}
}

enum engine_step tls_engine_read(struct tls_engine *e, struct span *in,
				 char *plain, size_t room, size_t *n,
				 struct buf *out)
{
	enum engine_step step = ENGINE_OK;
	size_t got;

	*n = 0;
	engine_begin(e, in, out);
	while (*n < room && has_more(e) && step == ENGINE_OK) {
		if (SSL_read_ex(e->ssl, plain + *n, room - *n, &got) == 1)
			*n += got;
		else
			step = why_not_read(e);
	}
	engine_end(e);
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
	engine_begin(e, NULL, out);
	bool ok = SSL_write_ex(e->ssl, s.p, s.n, &done) == 1;

	if (ok)
		MX_ASSERT(done == s.n);
	else
		engine_fail(e);
	engine_end(e);
	return ok;
}

void tls_engine_close(struct tls_engine *e, struct buf *out)
{
	if (!e->is_done)
		return;
	engine_begin(e, NULL, out);
	SSL_shutdown(e->ssl);
	ERR_clear_error();
	engine_end(e);
}
