#include "common/net/tickets.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"

struct tickets {
	pthread_mutex_t lock;
	struct ticket_key now, before;
	/* monotonic; 0: there is none */
	int64_t now_since_ms, before_since_ms;
	EVP_CIPHER *cipher; /* looked up once */
	/* since one came back; begins anew by itself */
	atomic_uchar in_vain[TICKET_LANES];
};

struct tickets *tickets_new(void)
{
	struct tickets *t = mx_alloc(sizeof(*t));

	MX_ASSERT(pthread_mutex_init(&t->lock, NULL) == 0);
	t->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	MX_ASSERT(t->cipher != NULL);
	return t;
}

void tickets_free(struct tickets **tp)
{
	struct tickets *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	EVP_CIPHER_free(t->cipher);
	pthread_mutex_destroy(&t->lock);
	OPENSSL_cleanse(t, sizeof(*t));
	free(t);
}

/* ---- The ring of two; lock held ---- */

static bool is_over(int64_t since_ms, int64_t now_ms, int64_t lives_ms)
{
	return since_ms == 0 || now_ms - since_ms >= lives_ms;
}

static void forget_old_ones(struct tickets *t, int64_t now_ms)
{
	if (t->now_since_ms != 0 &&
	    is_over(t->now_since_ms, now_ms, TICKETS_MS)) {
		t->before = t->now;
		t->before_since_ms = t->now_since_ms;
		t->now_since_ms = 0;
	}
	if (is_over(t->before_since_ms, now_ms, 2 * TICKETS_MS)) {
		OPENSSL_cleanse(&t->before, sizeof(t->before));
		t->before_since_ms = 0;
	}
}

static bool make(struct tickets *t, int64_t now_ms)
{
	if (RAND_bytes((unsigned char *)&t->now, sizeof(t->now)) != 1)
		return false;
	t->now_since_ms = now_ms;
	return true;
}

/* ---- For whoever asks ---- */

bool tickets_key(struct tickets *t, int64_t now_ms, struct ticket_key *out)
{
	bool ok;

	pthread_mutex_lock(&t->lock);
	forget_old_ones(t, now_ms);
	ok = t->now_since_ms != 0 || make(t, now_ms);
	*out = t->now;
	pthread_mutex_unlock(&t->lock);
	return ok;
}

static bool is_named(const struct ticket_key *k, int64_t since_ms,
		     const unsigned char name[TICKET_NAME])
{
	return since_ms != 0 && memcmp(k->name, name, TICKET_NAME) == 0;
}

enum ticket_age tickets_find(struct tickets *t, int64_t now_ms,
			     const unsigned char name[TICKET_NAME],
			     struct ticket_key *out)
{
	enum ticket_age age = TICKET_UNKNOWN;

	pthread_mutex_lock(&t->lock);
	forget_old_ones(t, now_ms);
	if (is_named(&t->now, t->now_since_ms, name)) {
		age = TICKET_CURRENT;
		*out = t->now;
	} else if (is_named(&t->before, t->before_since_ms, name)) {
		age = TICKET_OLD;
		*out = t->before;
	}
	pthread_mutex_unlock(&t->lock);
	return age;
}

bool tickets_are_worth(struct tickets *t, unsigned lane, bool resumed)
{
	atomic_uchar *in_vain = &t->in_vain[lane % TICKET_LANES];
	unsigned char n;

	if (resumed) {
		atomic_store(in_vain, 0);
		return true;
	}
	n = atomic_fetch_add(in_vain, 1);
	return n < TICKETS_TRIED || n % TICKETS_TRIED == 0;
}

/* ---- OpenSSL's side: SSL_CTX_set_tlsext_ticket_key_cb(3) ---- */

static bool set_keys(const struct tickets *t, const struct ticket_key *k,
		     const unsigned char *iv, EVP_CIPHER_CTX *cipher,
		     EVP_MAC_CTX *mac, int is_made)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY,
						  (void *)(uintptr_t)k->mac,
						  sizeof(k->mac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest,
						 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_CipherInit_ex2(cipher, t->cipher, k->cipher, iv, is_made,
				  NULL) == 1 &&
	       EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* 0: no ticket, or a whole handshake; 2: resumed, and a new ticket is due. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv,
		     EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int is_made)
{
	struct tickets *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	const int64_t now_ms = clock_mono_ms();
	enum ticket_age age = TICKET_CURRENT;
	struct ticket_key key;
	bool ok;

	if (!is_made) {
		age = tickets_find(t, now_ms, name, &key);
		if (age == TICKET_UNKNOWN)
			return 0;
	} else {
		if (!tickets_key(t, now_ms, &key) ||
		    RAND_bytes(iv, EVP_CIPHER_get_iv_length(t->cipher)) != 1)
			return 0;
		memcpy(name, key.name, TICKET_NAME);
	}
	ok = set_keys(t, &key, iv, cipher, mac, is_made);
	OPENSSL_cleanse(&key, sizeof(key));
	if (!ok)
		return -1;
	return age == TICKET_OLD ? 2 : 1;
}

void tickets_use(SSL_CTX *ctx, struct tickets *t)
{
	SSL_CTX_set_app_data(ctx, t);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
}
