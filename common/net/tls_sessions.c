#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/hash.h"
#include "common/net/tls_priv.h"

/* One session is some KiB with the peer's chain. */
enum { SESSIONS_MAX = 1000 };

struct entry {
	unsigned char key[TLS_KEY_BYTES];
	SSL_SESSION *session;
	UT_hash_handle hh;
};

/* Handshakes on several threads put and drop. */
struct tls_sessions {
	pthread_mutex_t lock;
	struct entry *by_key; /* in order of insertion: the oldest first */
};

static void digest_span(EVP_MD_CTX *md, struct span s)
{
	EVP_DigestUpdate(md, &s.n, sizeof(s.n));
	EVP_DigestUpdate(md, s.p, s.n);
}

/*
 * A resumed session was verified when it began, by the demand of that time:
 * with all of the demand in the key it is never taken for another one.
 */
void tls_key_of(const struct tls_demand *d, unsigned char key[TLS_KEY_BYTES])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();

	MX_ASSERT(md != NULL && EVP_DigestInit(md, EVP_sha256()) == 1);
	digest_span(md, d->session_key);
	digest_span(md, d->sni);
	EVP_DigestUpdate(md, &d->auth, sizeof(d->auth));
	EVP_DigestUpdate(md, &d->has_sans_only, sizeof(d->has_sans_only));
	for (size_t i = 0; i < d->name_count; i++)
		digest_span(md, d->names[i]);
	for (size_t i = 0; i < d->tlsa_count; i++) {
		const struct tls_tlsa *t = &d->tlsa[i];
		const unsigned char head[] = { t->usage, t->selector,
					       t->matching };

		EVP_DigestUpdate(md, head, sizeof(head));
		digest_span(md, t->data);
	}
	EVP_DigestFinal(md, key, NULL);
	EVP_MD_CTX_free(md);
}

struct tls_sessions *tls_sessions_new(void)
{
	struct tls_sessions *t = mx_alloc(sizeof(*t));

	MX_ASSERT(pthread_mutex_init(&t->lock, NULL) == 0);
	return t;
}

static void entry_free(struct tls_sessions *t, struct entry *e)
{
	HASH_DEL(t->by_key, e);
	SSL_SESSION_free(e->session);
	free(e);
}

void tls_sessions_free(struct tls_sessions **t)
{
	if (*t == NULL)
		return;
	while ((*t)->by_key != NULL)
		entry_free(*t, (*t)->by_key);
	pthread_mutex_destroy(&(*t)->lock);
	free(*t);
	*t = NULL;
}

static struct entry *find(struct tls_sessions *t, const unsigned char *key)
{
	struct entry *e;

	HASH_FIND(hh, t->by_key, key, TLS_KEY_BYTES, e);
	return e;
}

static bool is_usable(SSL_SESSION *s)
{
	time_t ends = SSL_SESSION_get_time(s) + SSL_SESSION_get_timeout(s);

	return SSL_SESSION_is_resumable(s) && time(NULL) < ends;
}

SSL_SESSION *tls_sessions_find(struct tls_sessions *t,
			       const unsigned char key[TLS_KEY_BYTES])
{
	SSL_SESSION *session = NULL;
	struct entry *e;

	pthread_mutex_lock(&t->lock);
	e = find(t, key);
	if (e != NULL && is_usable(e->session)) {
		session = e->session;
		SSL_SESSION_up_ref(session);
	} else if (e != NULL) {
		entry_free(t, e);
	}
	pthread_mutex_unlock(&t->lock);
	return session;
}

void tls_sessions_put(struct tls_sessions *t,
		      const unsigned char key[TLS_KEY_BYTES], SSL_SESSION *s)
{
	struct entry *e;

	pthread_mutex_lock(&t->lock);
	e = find(t, key);
	if (e != NULL)
		entry_free(t, e);
	else if (HASH_COUNT(t->by_key) >= SESSIONS_MAX)
		entry_free(t, t->by_key);
	e = mx_alloc(sizeof(*e));
	memcpy(e->key, key, TLS_KEY_BYTES);
	e->session = s;
	HASH_ADD(hh, t->by_key, key, TLS_KEY_BYTES, e);
	pthread_mutex_unlock(&t->lock);
}

void tls_sessions_drop(struct tls_sessions *t,
		       const unsigned char key[TLS_KEY_BYTES])
{
	struct entry *e;

	pthread_mutex_lock(&t->lock);
	e = find(t, key);
	if (e != NULL)
		entry_free(t, e);
	pthread_mutex_unlock(&t->lock);
}
