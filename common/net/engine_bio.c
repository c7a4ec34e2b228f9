/* OpenSSL's view of what comes and goes. */
#include <openssl/err.h>
#include <pthread.h>

#include "common/base/assert.h"
#include "common/net/engine_priv.h"

static int bio_read(BIO *b, char *to, int max)
{
	struct tls_engine *e = BIO_get_data(b);
	size_t n = (size_t)max;

	BIO_clear_retry_flags(b);
	if (e->late > ENGINE_LATE_MAX || e->is_large)
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

void engine_begin(struct tls_engine *e, struct span *in, struct buf *out)
{
	e->in = in;
	e->out = out;
	if (ERR_peek_error() != 0) /* SSL_get_error(3): it would be ours */
		ERR_clear_error();
}

/* What was gathered is needed as long as it is all there is, or in is part of
 * it. */
void engine_end(struct tls_engine *e)
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

/* OpenSSL's callback for each message, see ENGINE_LATE_MAX. */
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

void engine_attach(struct tls_engine *e, SSL_CTX *ctx)
{
	BIO *bio = BIO_new(bio_method());

	e->ssl = SSL_new(ctx);
	MX_ASSERT(e->ssl != NULL && bio != NULL);
	BIO_set_data(bio, e);
	BIO_set_init(bio, 1);
	SSL_set_bio(e->ssl, bio, bio);
	SSL_set_app_data(e->ssl, e);
	SSL_set_msg_callback(e->ssl, on_message);
}
