#include "tests/support/tls13.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"

enum {
	HASH = 48,   /* at most: SHA-384 */
	BLOCK = 128, /* of it */
	KEY = 32,    /* X25519's, and the cipher's at most */
	IV = 12,
	TAG = 16,
	HEAD = 5, /* of a record */
	RECORD = 16384,
};

/* RFC 8446 sections 5.1 and 4 */
enum { CHANGE = 20, ALERT = 21, HANDSHAKE = 22, DATA = 23 };
enum {
	CLIENT_HELLO = 1,
	SERVER_HELLO = 2,
	CERTIFICATE = 11,
	ASKED = 13,
	FINISHED = 20
};

enum state { AWAITS_HELLO, AWAITS_FINISHED, OPEN };

/* One direction's cipher. */
struct way {
	EVP_CIPHER_CTX *cipher;
	unsigned char iv[IV];
	uint64_t count; /* records */
};

/* What the server may choose from, in the order of OpenSSL's clients. */
static struct suite {
	unsigned char code; /* behind 0x13 */
	const char *hash_name, *cipher_name;
	size_t hash_n, block_n, key_n;
	EVP_MD *hash;
	EVP_CIPHER *cipher;
	unsigned char derived[HASH]; /* from an early secret of nothing */
} suites[] = {
	{ .code = 2,
	  .hash_name = "SHA384",
	  .cipher_name = "AES-256-GCM",
	  .hash_n = 48,
	  .block_n = 128,
	  .key_n = 32 },
	{ .code = 1,
	  .hash_name = "SHA256",
	  .cipher_name = "AES-128-GCM",
	  .hash_n = 32,
	  .block_n = 64,
	  .key_n = 16 },
};
enum { SUITES = sizeof(suites) / sizeof(suites[0]) };

struct tls13 {
	enum state state;
	bool is_asked; /* for a certificate */
	const struct suite *suite; /* from the ServerHello on */
	struct buf hello;	   /* ours, until then */
	EVP_MD_CTX *transcript;
	struct way from, to;
	unsigned char secret[HASH]; /* the handshake's, or the master's */
	unsigned char ours[HASH], theirs[HASH];
	struct buf in;	 /* records that are not whole */
	struct buf said; /* handshake messages that are not whole */
};

/* What is the same for all. */
static struct {
	EVP_MD_CTX *md, *copy;
	EVP_PKEY *key;
	unsigned char share[KEY];
} all;

/* ---- HMAC and HKDF (RFC 2104, RFC 5869) with nothing looked up ---- */

static void pad(const struct suite *u, const unsigned char *key,
		unsigned char with)
{
	unsigned char block[BLOCK];

	memset(block, with, u->block_n);
	for (size_t i = 0; i < u->hash_n; i++)
		block[i] ^= key[i];
	EVP_DigestInit_ex(all.md, u->hash, NULL);
	EVP_DigestUpdate(all.md, block, u->block_n);
}

/* Keys and what comes out are as long as a hash of u. */
static void hmac(const struct suite *u, const unsigned char *key,
		 const unsigned char *p, size_t n, unsigned char *out)
{
	unsigned char inner[HASH];

	pad(u, key, 0x36);
	EVP_DigestUpdate(all.md, p, n);
	EVP_DigestFinal_ex(all.md, inner, NULL);
	pad(u, key, 0x5c);
	EVP_DigestUpdate(all.md, inner, u->hash_n);
	EVP_DigestFinal_ex(all.md, out, NULL);
}

/* RFC 8446 section 7.1, HKDF-Expand-Label; one block is enough for all. */
static void expand(const struct suite *u, const unsigned char *secret,
		   const char *label, const unsigned char *context,
		   size_t context_n, unsigned char *out, size_t n)
{
	unsigned char info[128], block[HASH];
	const size_t label_n = strlen(label);
	size_t at = 0;

	info[at++] = 0;
	info[at++] = (unsigned char)n;
	info[at++] = (unsigned char)(6 + label_n);
	memcpy(info + at, "tls13 ", 6);
	memcpy(info + at + 6, label, label_n);
	at += 6 + label_n;
	info[at++] = (unsigned char)context_n;
	if (context_n > 0)
		memcpy(info + at, context, context_n);
	at += context_n;
	info[at++] = 1;
	hmac(u, secret, info, at, block);
	memcpy(out, block, n);
}

static void transcript_hash(const struct tls13 *t, unsigned char out[HASH])
{
	EVP_MD_CTX_copy_ex(all.copy, t->transcript);
	EVP_DigestFinal_ex(all.copy, out, NULL);
}

/* t: with the transcript so far; NULL: with nothing. */
static void derive(const struct suite *u, const unsigned char *secret,
		   const char *label, const struct tls13 *t, unsigned char *out)
{
	unsigned char hash[HASH];

	if (t != NULL)
		transcript_hash(t, hash);
	else
		EVP_Digest("", 0, hash, NULL, u->hash, NULL);
	expand(u, secret, label, hash, u->hash_n, out, u->hash_n);
}

static void way_key(const struct suite *u, struct way *w,
		    const unsigned char *secret, int seals)
{
	unsigned char key[KEY];

	expand(u, secret, "key", NULL, 0, key, u->key_n);
	expand(u, secret, "iv", NULL, 0, w->iv, sizeof(w->iv));
	EVP_CipherInit_ex2(w->cipher, u->cipher, key, NULL, seals, NULL);
	w->count = 0;
}

/* ---- Birth and death ---- */

static void prepare_suite(struct suite *u)
{
	const unsigned char nothing[HASH] = { 0 };
	unsigned char early[HASH];

	u->hash = EVP_MD_fetch(NULL, u->hash_name, NULL);
	u->cipher = EVP_CIPHER_fetch(NULL, u->cipher_name, NULL);
	hmac(u, nothing, nothing, u->hash_n, early);
	derive(u, early, "derived", NULL, u->derived);
}

static void prepare(void)
{
	size_t n = KEY;

	if (all.md != NULL)
		return;
	all.md = EVP_MD_CTX_new();
	all.copy = EVP_MD_CTX_new();
	all.key = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	MX_ASSERT(all.key != NULL);
	EVP_PKEY_get_raw_public_key(all.key, all.share, &n);
	for (size_t i = 0; i < SUITES; i++)
		prepare_suite(&suites[i]);
}

struct tls13 *tls13_new(void)
{
	struct tls13 *t = mx_alloc(sizeof(*t));

	prepare();
	t->transcript = EVP_MD_CTX_new();
	t->from.cipher = EVP_CIPHER_CTX_new();
	t->to.cipher = EVP_CIPHER_CTX_new();
	return t;
}

void tls13_free(struct tls13 **tp)
{
	struct tls13 *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	EVP_MD_CTX_free(t->transcript);
	EVP_CIPHER_CTX_free(t->from.cipher);
	EVP_CIPHER_CTX_free(t->to.cipher);
	buf_fini(&t->hello);
	buf_fini(&t->in);
	buf_fini(&t->said);
	free(t);
}

/* ---- Records ---- */

static void nonce(const struct way *w, unsigned char out[IV])
{
	memcpy(out, w->iv, IV);
	for (int i = 0; i < 8; i++)
		out[IV - 1 - i] ^= (unsigned char)(w->count >> (8 * i));
}

static void seal(struct way *w, int type, struct span s, struct buf *out)
{
	const size_t n = s.n + 1 + TAG;
	const unsigned char head[HEAD] = { DATA, 3, 3, (unsigned char)(n >> 8),
					   (unsigned char)n };
	const unsigned char inner = (unsigned char)type;
	unsigned char iv[IV], *to;
	int got;

	nonce(w, iv);
	buf_reserve(out, HEAD + n);
	to = (unsigned char *)out->p + out->n;
	memcpy(to, head, HEAD);
	EVP_CipherInit_ex2(w->cipher, NULL, NULL, iv, 1, NULL);
	EVP_CipherUpdate(w->cipher, NULL, &got, head, HEAD);
	EVP_CipherUpdate(w->cipher, to + HEAD, &got, (const unsigned char *)s.p,
			 (int)s.n);
	EVP_CipherUpdate(w->cipher, to + HEAD + s.n, &got, &inner, 1);
	EVP_CipherFinal_ex(w->cipher, to + HEAD + n, &got);
	EVP_CIPHER_CTX_ctrl(w->cipher, EVP_CTRL_AEAD_GET_TAG, TAG,
			    to + HEAD + s.n + 1);
	out->n += HEAD + n;
	w->count++;
}

/* Opens a record where it stands; its type, or 0. */
static int unseal(struct way *w, unsigned char *record, size_t *n)
{
	unsigned char iv[IV];
	size_t left = *n;
	int got;

	if (left <= TAG)
		return 0;
	left -= TAG;
	nonce(w, iv);
	w->count++;
	EVP_CipherInit_ex2(w->cipher, NULL, NULL, iv, 0, NULL);
	EVP_CIPHER_CTX_ctrl(w->cipher, EVP_CTRL_AEAD_SET_TAG, TAG,
			    record + HEAD + left);
	EVP_CipherUpdate(w->cipher, NULL, &got, record, HEAD);
	EVP_CipherUpdate(w->cipher, record + HEAD, &got, record + HEAD,
			 (int)left);
	if (EVP_CipherFinal_ex(w->cipher, record + HEAD + left, &got) != 1)
		return 0;
	while (left > 0 && record[HEAD + left - 1] == 0)
		left--;
	if (left == 0)
		return 0;
	*n = left - 1;
	return record[HEAD + left - 1];
}

/* ---- The handshake ---- */

/* Everything but the random value, the session's id and our share. */
static const unsigned char hello_tail[] = {
	0, 4,  0x13, 2,	   0x13, 1, 1, 0,  0, 81, /* ciphers, extensions */
	0, 43, 0,    3,	   2, 3,  4,	 /* TLS 1.3 */
	0, 10, 0,    4,	   0, 2,  0, 29, /* X25519 */
	0, 13, 0,    14,   0, 12, 8, 4,	 4, 3,	8, 5,
	8, 6,  5,    3,	   4, 1,  0, 45, 0, 2,	1, 1, /* tickets */
	0, 51, 0,    38,   0, 36, 0, 29, 0, 32,	      /* our share */
};

static void transcribe(struct tls13 *t, const void *p, size_t n)
{
	EVP_DigestUpdate(t->transcript, p, n);
}

void tls13_begin(struct tls13 *t, struct buf *out)
{
	const size_t n = 2 + 32 + 33 + sizeof(hello_tail) + KEY;
	const unsigned char head[] = {
		HANDSHAKE,
		3,
		1,
		0,
		(unsigned char)(n + 4),
		CLIENT_HELLO,
		0,
		0,
		(unsigned char)n,
		3,
		3,
	};
	unsigned char random[64];
	const size_t at = out->n;

	t->state = AWAITS_HELLO;
	t->is_asked = false;
	buf_reset(&t->in);
	buf_reset(&t->said);
	RAND_bytes(random, sizeof(random));
	buf_add(out, span_of((const char *)head, sizeof(head)));
	buf_add(out, span_of((const char *)random, 32));
	buf_addc(out, 32);
	buf_add(out, span_of((const char *)random + 32, 32));
	buf_add(out, span_of((const char *)hello_tail, sizeof(hello_tail)));
	buf_add(out, span_of((const char *)all.share, KEY));
	buf_reset(&t->hello);
	buf_add(&t->hello, span_of(out->p + at + HEAD, out->n - at - HEAD));
}

static bool agree(const unsigned char share[KEY], unsigned char out[KEY])
{
	EVP_PKEY *theirs = EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL,
							  share, KEY);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, all.key, NULL);
	size_t n = KEY;
	bool ok = EVP_PKEY_derive_init(ctx) == 1 &&
		  EVP_PKEY_derive_set_peer_ex(ctx, theirs, 0) == 1 &&
		  EVP_PKEY_derive(ctx, out, &n) == 1;

	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(theirs);
	return ok;
}

/* Where a ServerHello names its cipher; n: nowhere. */
static size_t find_cipher(const unsigned char *p, size_t n)
{
	const size_t at = 4 + 2 + 32;

	if (p[0] != SERVER_HELLO || n < at + 1 || n < at + 1 + p[at] + 2)
		return n;
	return at + 1 + p[at];
}

static const struct suite *find_suite(const unsigned char code[2])
{
	for (size_t i = 0; i < SUITES; i++)
		if (code[0] == 0x13 && code[1] == suites[i].code)
			return &suites[i];
	return NULL;
}

/* The server's share in the extensions behind its cipher; NULL: none. */
static const unsigned char *find_share(const unsigned char *p, size_t n,
				       size_t at)
{
	at += 2 + 1 + 2;
	while (at + 4 <= n) {
		const size_t len = (size_t)p[at + 2] << 8 | p[at + 3];

		if (p[at] == 0 && p[at + 1] == 51 && len == 4 + KEY &&
		    at + 4 + len <= n)
			return p + at + 8;
		at += 4 + len;
	}
	return NULL;
}

static bool take_hello(struct tls13 *t, const unsigned char *p, size_t n)
{
	const size_t at = find_cipher(p, n);
	const struct suite *u = at < n ? find_suite(p + at) : NULL;
	const unsigned char *share = at < n ? find_share(p, n, at) : NULL;
	unsigned char shared[KEY];

	if (u == NULL || share == NULL || !agree(share, shared))
		return false;
	t->suite = u;
	EVP_DigestInit_ex(t->transcript, u->hash, NULL);
	transcribe(t, t->hello.p, t->hello.n);
	transcribe(t, p, n);
	hmac(u, u->derived, shared, sizeof(shared), t->secret);
	derive(u, t->secret, "c hs traffic", t, t->ours);
	derive(u, t->secret, "s hs traffic", t, t->theirs);
	way_key(u, &t->to, t->ours, 1);
	way_key(u, &t->from, t->theirs, 0);
	t->state = AWAITS_FINISHED;
	return true;
}

static void say(struct tls13 *t, const unsigned char *p, size_t n,
		struct buf *out)
{
	transcribe(t, p, n);
	seal(&t->to, HANDSHAKE, span_of((const char *)p, n), out);
}

/* Our Finished, with no certificate before it if one was asked for. */
static void answer(struct tls13 *t, struct buf *out)
{
	static const unsigned char change[] = { CHANGE, 3, 3, 0, 1, 1 };
	static const unsigned char none[] = {
		CERTIFICATE, 0, 0, 4, 0, 0, 0, 0
	};
	const struct suite *u = t->suite;
	unsigned char end[4 + HASH] = { FINISHED, 0, 0,
					(unsigned char)u->hash_n };
	unsigned char key[HASH], hash[HASH];

	buf_add(out, span_of((const char *)change, sizeof(change)));
	if (t->is_asked)
		say(t, none, sizeof(none), out);
	expand(u, t->ours, "finished", NULL, 0, key, u->hash_n);
	transcript_hash(t, hash);
	hmac(u, key, hash, u->hash_n, end + 4);
	say(t, end, 4 + u->hash_n, out);
}

static void finish(struct tls13 *t, struct buf *out)
{
	static const unsigned char nothing[HASH];
	const struct suite *u = t->suite;
	unsigned char ours[HASH], theirs[HASH], derived[HASH];

	derive(u, t->secret, "derived", NULL, derived);
	hmac(u, derived, nothing, u->hash_n, t->secret);
	derive(u, t->secret, "c ap traffic", t, ours);
	derive(u, t->secret, "s ap traffic", t, theirs);
	answer(t, out);
	way_key(u, &t->to, ours, 1);
	way_key(u, &t->from, theirs, 0);
	t->state = OPEN;
}

static bool take_message(struct tls13 *t, const unsigned char *p, size_t n,
			 struct buf *out)
{
	if (t->state == OPEN)
		return true; /* a ticket */
	if (t->state == AWAITS_HELLO)
		return take_hello(t, p, n);
	transcribe(t, p, n);
	t->is_asked = t->is_asked || p[0] == ASKED;
	if (p[0] == FINISHED)
		finish(t, out);
	return true;
}

static bool take_messages(struct tls13 *t, struct span s, struct buf *out)
{
	bool ok = true;
	size_t at = 0;

	buf_add(&t->said, s);
	while (ok && t->said.n - at >= 4) {
		const unsigned char *p = (unsigned char *)t->said.p + at;
		const size_t n =
			4 + ((size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3]);

		if (n > t->said.n - at)
			break;
		ok = take_message(t, p, n, out);
		at += n;
	}
	buf_consume(&t->said, at);
	return ok;
}

static bool take_record(struct tls13 *t, unsigned char *p, size_t n,
			struct buf *plain, struct buf *out)
{
	int type = p[0];

	if (type == CHANGE)
		return true;
	if (t->state != AWAITS_HELLO)
		type = unseal(&t->from, p, &n);
	if (type == HANDSHAKE)
		return take_messages(t, span_of((char *)p + HEAD, n), out);
	if (type == DATA && t->state == OPEN) {
		buf_add(plain, span_of((char *)p + HEAD, n));
		return true;
	}
	return type == ALERT && t->state == OPEN; /* its end follows */
}

bool tls13_take(struct tls13 *t, struct span bytes, struct buf *plain,
		struct buf *out)
{
	bool ok = true;
	size_t at = 0;

	buf_add(&t->in, bytes);
	while (ok && t->in.n - at >= HEAD) {
		unsigned char *p = (unsigned char *)t->in.p + at;
		const size_t n = (size_t)p[3] << 8 | p[4];

		if (HEAD + n > t->in.n - at)
			break;
		ok = take_record(t, p, n, plain, out);
		at += HEAD + n;
	}
	buf_consume(&t->in, at);
	return ok;
}

bool tls13_is_open(const struct tls13 *t)
{
	return t->state == OPEN;
}

void tls13_put(struct tls13 *t, struct span plain, struct buf *out)
{
	while (plain.n > 0) {
		const size_t n = plain.n < RECORD ? plain.n : RECORD;

		seal(&t->to, DATA, span_of(plain.p, n), out);
		plain = span_skip(plain, n);
	}
}
