/* What is told of a connection's TLS. */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/net/engine_priv.h"

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

enum engine_step engine_fail(struct tls_engine *e)
{
	long result = SSL_get_verify_result(e->ssl);
	unsigned long code = ERR_peek_error();

	buf_reset(&e->error);
	if (e->late > ENGINE_LATE_MAX)
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

void engine_take_facts(struct tls_engine *e)
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
	out->has_name = name.n > 0 &&
			X509_check_host(cert, name.p, name.n, 0, NULL) == 1;
	digest_key(cert, out->spki);
	X509_free(cert);
	ERR_clear_error();
	return true;
}
