/* The contexts are shared by counting; and why OpenSSL failed. */
#include <openssl/err.h>
#include <stdlib.h>

#include "common/net/tls_priv.h"

static void server_free(struct tls_server *t)
{
	for (size_t i = 0; i < t->pairs; i++)
		X509_free(t->certs[i]);
	SSL_CTX_free(t->ctx);
	tickets_free(&t->tickets);
	free(t->certs);
	free(t);
}

struct tls_server *tls_server_ref(struct tls_server *t)
{
	if (t != NULL)
		atomic_fetch_add(&t->refs, 1);
	return t;
}

void tls_server_unref(struct tls_server **tp)
{
	struct tls_server *t = *tp;

	*tp = NULL;
	if (t == NULL || atomic_fetch_sub(&t->refs, 1) > 1)
		return;
	server_free(t);
}

struct tls_client_ctx *tls_client_ctx_ref(struct tls_client_ctx *t)
{
	if (t != NULL)
		atomic_fetch_add(&t->refs, 1);
	return t;
}

void tls_client_ctx_unref(struct tls_client_ctx **tp)
{
	struct tls_client_ctx *t = *tp;

	*tp = NULL;
	if (t == NULL || atomic_fetch_sub(&t->refs, 1) > 1)
		return;
	tls_sessions_free(&t->sessions);
	SSL_CTX_free(t->ctx);
	free(t);
}

void tls_error_add(struct buf *out)
{
	unsigned long code = ERR_get_error();
	const char *text = ERR_reason_error_string(code);

	if (code == 0)
		buf_adds(out, "unknown TLS error");
	else if (text != NULL)
		buf_adds(out, text);
	else if (ERR_SYSTEM_ERROR(code))
		buf_adds(out, strerrordesc_np(ERR_GET_REASON(code)));
	else
		buf_addf(out, "TLS error %lx", code);
	ERR_clear_error();
}
