/* The handshake, in steps. */
#include "common/net/engine_priv.h"

enum {
	/* Of a client's answer to the ServerHello: two records with an empty
	 * Certificate and a Finished are 110 bytes, and no certificate has
	 * less than this. */
	LIGHT_MAX = 192,
	/* Of a client's turn in the handshake we keep this much ourselves
	 * before OpenSSL has any of it, which takes 30 KiB and more then; most
	 * are a quarter of it or less. */
	GATHER_MAX = 4096,
};

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
	return engine_fail(e);
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

	engine_begin(e, in, out);
	if (e->server != NULL && e->turn < TURN_ANSWER_TO_COME)
		step = take_hello(e);
	if (step == ENGINE_OK) {
		e->turn = TURN_ANSWER;
		step = step_of(e, SSL_do_handshake(e->ssl));
	}
	if (step == ENGINE_OK) {
		engine_take_facts(e);
		/* one was for what we might have had to say */
		SSL_free_buffers(e->ssl);
	}
	engine_end(e);
	return step;
}
