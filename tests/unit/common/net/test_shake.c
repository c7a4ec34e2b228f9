/* Handshakes on threads, and what a hostile peer may make TLS do. */
#include <criterion/criterion.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/busy.h"
#include "common/base/clock.h"
#include "common/net/conn_priv.h"
#include "common/net/tls.h"
#include "tests/support/certs.h"
#include "tests/support/sides.h"

static struct ev_loop *loop;
static struct cert root, leaf, rsa;
static struct tls_server *server;
static struct tls_client_ctx *ctx;

static void setup(void)
{
	const char *certs[2], *keys[2];
	struct buf why = { 0 };

	loop = ev_loop_new(EVFLAG_AUTO);
	cert_make(&root, &(struct cert_spec){
				 .name = "root", .is_ca = true, .days = 30 });
	cert_make(&leaf, &(struct cert_spec){ .name = "leaf",
					      .issuer = &root,
					      .sans = "DNS:mx.example.org",
					      .days = 30 });
	cert_make(&rsa, &(struct cert_spec){ .name = "rsa",
					     .issuer = &root,
					     .sans = "DNS:mx.example.org",
					     .is_rsa = true,
					     .days = 30 });
	certs[0] = leaf.cert_path, keys[0] = leaf.key_path;
	certs[1] = rsa.cert_path, keys[1] = rsa.key_path;
	cr_assert_eq(
		tls_server_new(&server, certs, keys, 2, root.cert_path, &why),
		MX_OK, "%s", buf_cstr(&why));
	cr_assert_eq(tls_client_ctx_new(&ctx, root.cert_path, &why), MX_OK);
	buf_fini(&why);
}

static void teardown(void)
{
	tls_threads_stop();
	tls_server_unref(&server);
	tls_client_ctx_unref(&ctx);
	cert_free(&root);
	cert_free(&leaf);
	cert_free(&rsa);
	certs_clean();
	ev_loop_destroy(loop);
}

TestSuite(shake, .init = setup, .fini = teardown, .timeout = 60);

static void charge(struct side *s, unsigned who)
{
	struct net_addr peer = { .family = AF_INET,
				 .ip = { 192, 0, 2, (unsigned char)who } };

	conn_charge(s->c, &peer);
}

static void open_pair(struct side *a, struct side *b, unsigned who)
{
	static const struct tls_demand any = { .auth = TLS_AUTH_NONE };
	struct tls_client tc = { ctx, &any };

	*a = *b = (struct side){ 0 };
	sides_open(loop, a, b);
	charge(a, who);
	charge(b, who);
	conn_starttls_server(b->c, server);
	conn_starttls_client(a->c, &tc);
}

/* Nothing of the handshake is done before the loop turns, and all of them end
 * well whoever they belong to; bytes behind the handshake are not lost. */
Test(shake, many_at_once)
{
	enum { PAIRS = 40 };
	static struct side a[PAIRS], b[PAIRS];

	tls_threads_start(loop, 2);
	for (unsigned i = 0; i < PAIRS; i++)
		open_pair(&a[i], &b[i], i % 3);
	for (unsigned i = 0; i < PAIRS; i++) {
		run_until(loop, &a[i].readies, 1);
		cr_assert_eq(a[i].ends, 0, "%s", a[i].error);
		conn_write(a[i].c, SPAN_LIT("hello"));
		conn_flush(a[i].c);
	}
	for (unsigned i = 0; i < PAIRS; i++) {
		run_until_got(loop, &b[i], 5);
		cr_expect_not_null(conn_tls(b[i].c));
		side_close(&a[i]);
		side_close(&b[i]);
	}
}

/* While handshakes wait the loop turns in rounds of 2 ms; twice as many turns
 * are allowed here, and a few that others' events bring. */
Test(shake, a_busy_loop_goes_in_rounds)
{
	enum { PAIRS = 80 };
	static struct side a[PAIRS], b[PAIRS];
	unsigned turns;
	int64_t start_ms;

	tls_threads_start(loop, 2);
	for (unsigned i = 0; i < PAIRS; i++)
		open_pair(&a[i], &b[i], i);
	while (!busy_is())
		ev_run(loop, EVRUN_ONCE);
	start_ms = clock_mono_ms();
	for (turns = 0; busy_is(); turns++)
		ev_run(loop, EVRUN_ONCE);
	cr_expect_leq(turns, clock_mono_ms() - start_ms + 4);
	for (unsigned i = 0; i < PAIRS; i++) {
		run_until(loop, &a[i].readies, 1);
		side_close(&a[i]);
		side_close(&b[i]);
	}
}

/* STARTTLS alone is no work for a thread: the client speaks first. */
Test(shake, nothing_to_do_yet)
{
	struct side b = { 0 };
	int fd = sides_open_raw(loop, &b);

	tls_threads_start(loop, 2);
	conn_starttls_server(b.c, server);
	for (int i = 0; i < 3; i++)
		ev_run(loop, EVRUN_NOWAIT);
	cr_expect_null(b.c->shake);
	cr_expect_eq(b.c->mask, EV_READ);
	close(fd);
	run_until(loop, &b.ends, 1);
	side_close(&b);
}

/* The connection goes while a thread has its engine. */
Test(shake, left_in_the_middle)
{
	enum { PAIRS = 40 };
	static struct side a[PAIRS], b[PAIRS];

	tls_threads_start(loop, 2);
	for (unsigned i = 0; i < PAIRS; i++)
		open_pair(&a[i], &b[i], i);
	for (unsigned i = 0; i < PAIRS; i++) {
		for (unsigned k = 0; k < i % 5; k++)
			ev_run(loop, EVRUN_NOWAIT);
		if (i % 2 == 0)
			conn_close_after_output(&b[i].c, 1);
		side_close(&b[i]);
	}
	for (unsigned i = 0; i < PAIRS; i++) {
		while (a[i].ends + a[i].readies == 0)
			ev_run(loop, EVRUN_ONCE);
		side_close(&a[i]);
	}
}

/* A client of OpenSSL's own, in a process of its own. */
typedef bool client_fn(SSL_CTX *c, int fd);

static int run_client(struct side *b, client_fn *fn)
{
	int status, fd;
	pid_t pid;

	*b = (struct side){ 0 };
	fd = sides_open_raw(loop, b);
	conn_starttls_server(b->c, server);
	pid = fork();
	if (pid == 0) {
		alarm(20);
		for (int i = STDERR_FILENO + 1; i < 256; i++)
			if (i != fd)
				close(i); /* our end of it, too */
		_exit(fn(SSL_CTX_new(TLS_client_method()), fd) ? 0 : 1);
	}
	close(fd);
	run_until(loop, &b->ends, 1);
	side_close(b); /* a client that writes on is told so by a reset */
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static SSL *ssl_on(SSL_CTX *c, int fd)
{
	SSL *s = SSL_new(c);

	SSL_set_fd(s, fd);
	return s;
}

static bool update_keys(SSL_CTX *c, int fd)
{
	SSL *s = ssl_on(c, fd);
	bool ok = SSL_connect(s) == 1;
	char byte;

	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; ok && i < 1000; i++)
		if (SSL_key_update(s, SSL_KEY_UPDATE_REQUESTED) != 1 ||
		    SSL_do_handshake(s) != 1)
			break; /* turned away */
	while (SSL_read(s, &byte, 1) > 0)
		;
	return ok;
}

Test(shake, key_updates_are_counted)
{
	struct side b;

	cr_expect_eq(run_client(&b, update_keys), 0);
	cr_expect_eq(b.why, CONN_TLS);
	cr_expect_str_eq(b.error, "too many messages of TLS itself");
}

static bool finite_field_13(SSL_CTX *c, int fd)
{
	SSL_CTX_set1_groups_list(c, "ffdhe8192:ffdhe2048");
	return SSL_connect(ssl_on(c, fd)) != 1;
}

static bool finite_field_12(SSL_CTX *c, int fd)
{
	SSL_CTX_set_max_proto_version(c, TLS1_2_VERSION);
	SSL_CTX_set_cipher_list(c, "kDHE");
	return SSL_connect(ssl_on(c, fd)) != 1;
}

Test(shake, no_finite_field_groups)
{
	struct side b;

	cr_expect_eq(run_client(&b, finite_field_13), 0);
	cr_expect_eq(b.why, CONN_TLS);
	cr_expect_eq(run_client(&b, finite_field_12), 0);
	cr_expect_eq(b.why, CONN_TLS);
}

static bool has_cipher(SSL_CTX *c, int fd, const char *name)
{
	SSL *s = ssl_on(c, fd);

	return SSL_connect(s) == 1 && strcmp(SSL_get_cipher_name(s), name) == 0;
}

static bool any_cipher(SSL_CTX *c, int fd)
{
	return has_cipher(c, fd, "TLS_AES_128_GCM_SHA256");
}

static bool large_cipher(SSL_CTX *c, int fd)
{
	SSL_CTX_set_ciphersuites(c, "TLS_AES_256_GCM_SHA384");
	return has_cipher(c, fd, "TLS_AES_256_GCM_SHA384");
}

static bool no_aes(SSL_CTX *c, int fd)
{
	SSL_CTX_set_ciphersuites(c, "TLS_CHACHA20_POLY1305_SHA256:"
				    "TLS_AES_128_GCM_SHA256");
	return has_cipher(c, fd, "TLS_CHACHA20_POLY1305_SHA256");
}

/* The cheaper one of equals, unless the client cannot, or has no AES in
 * hardware, which it says by what stands first. */
Test(shake, which_cipher)
{
	struct side b;

	cr_expect_eq(run_client(&b, any_cipher), 0);
	cr_expect_eq(run_client(&b, large_cipher), 0);
	cr_expect_eq(run_client(&b, no_aes), 0);
}

/* Of four primes, which are found in a moment. */
static EVP_PKEY *make_large_key(void)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	EVP_PKEY *key = NULL;

	EVP_PKEY_keygen_init(c);
	EVP_PKEY_CTX_set_rsa_keygen_bits(c, 4608);
	EVP_PKEY_CTX_set_rsa_keygen_primes(c, 4);
	EVP_PKEY_generate(c, &key);
	return key;
}

static bool large_key(SSL_CTX *c, int fd)
{
	EVP_PKEY *key = make_large_key();
	X509 *x = X509_new();
	SSL *s;
	char byte;

	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_sign(x, key, EVP_sha256());
	SSL_CTX_use_certificate(c, x);
	SSL_CTX_use_PrivateKey(c, key);
	s = ssl_on(c, fd);
	return SSL_connect(s) != 1 || SSL_read(s, &byte, 1) <= 0;
}

Test(shake, a_clients_key_is_bounded)
{
	struct side b;

	cr_expect_eq(run_client(&b, large_key), 0);
	cr_expect_eq(b.why, CONN_TLS);
	cr_expect_eq(b.readies, 0);
}

/* A ClientHello that announces 128 KiB; also byte by byte. */
Test(shake, a_large_hello_is_not_waited_for)
{
	static const char head[] = { 22, 3, 1, 0x40, 0, 1, 2, 0, 0, 3, 3 };

	for (int trickle = 0; trickle < 2; trickle++) {
		struct side b = { 0 };
		int fd = sides_open_raw(loop, &b);

		conn_starttls_server(b.c, server);
		for (size_t i = 0; trickle && i < sizeof(head); i++) {
			cr_assert_eq(write(fd, head + i, 1), 1);
			run_for(loop, 1);
		}
		if (!trickle)
			cr_assert_eq(write(fd, head, sizeof(head)),
				     (ssize_t)sizeof(head));
		run_until(loop, &b.ends, 1);
		cr_expect_eq(b.why, CONN_TLS);
		cr_expect_str_eq(b.error, "ClientHello too large");
		side_close(&b);
		close(fd);
	}
}

/* The first ClientHello of a client.  With a group that we do not have and one
 * that we have it is asked for another by HelloRetryRequest. */
static void send_first_hello(int fd, const char *groups)
{
	SSL_CTX *c = SSL_CTX_new(TLS_client_method());
	SSL *s = SSL_new(c);
	BIO *out = BIO_new(BIO_s_mem());
	char *p;
	long n;

	if (groups != NULL)
		SSL_set1_groups_list(s, groups);
	SSL_set_bio(s, BIO_new(BIO_s_mem()), out);
	cr_assert_eq(SSL_connect(s), -1);
	n = BIO_get_mem_data(out, &p);
	cr_assert_eq(write(fd, p, (size_t)n), n);
	SSL_free(s);
	SSL_CTX_free(c);
}

static void wait_for_answer(int fd)
{
	char answer[4096];
	int rounds = 0;

	while (recv(fd, answer, sizeof(answer), MSG_DONTWAIT) <= 0) {
		cr_assert_lt(rounds++, 5000);
		run_for(loop, 1);
	}
	cr_assert_eq(answer[0], 22); /* no alert */
}

/* Threads with connections have all the handshakes there are: the loop has one
 * that is done before them, and hears of none behind it. */
Test(shake, a_loop_is_not_busy_with_others_handshakes)
{
	enum { FLOOD = 80 };
	static struct side b[FLOOD];
	struct side one, its;
	int fds[FLOOD];

	sides_spread(loop);
	for (unsigned i = 0; i < FLOOD; i++) {
		fds[i] = sides_open_raw(loop, &b[i]);
		charge(&b[i], 1);
		conn_starttls_server(b[i].c, server);
	}
	for (unsigned i = 0; i < FLOOD; i++)
		send_first_hello(fds[i], NULL);
	open_pair(&one, &its, 2);
	run_until(loop, &one.readies, 1);
	for (unsigned i = 0; i < FLOOD; i++) {
		wait_for_answer(fds[i]);
		side_close(&b[i]);
		close(fds[i]);
	}
	side_close(&one);
	side_close(&its);
	run_for(loop, 5);
	cr_expect_not(busy_is());
	sides_gather();
}

/* Nor is the second one, behind a HelloRetryRequest; however it comes. */
Test(shake, a_large_second_hello_is_not_waited_for)
{
/* clang-format off */
#define BYTES(s) { (s), sizeof(s) - 1 }
	/* clang-format on */
	static const struct span seconds[] = {
		BYTES("\x16\x03\x03\x40\x00\x01\x02\x00\x00\x03\x03"),
		/* behind what old middle boxes want to see */
		BYTES("\x14\x03\x03\x00\x01\x01"
		      "\x16\x03\x03\x40\x00\x01\x02\x00\x00\x03\x03"),
		/* its length in two records */
		BYTES("\x16\x03\x03\x00\x02\x01\x00"
		      "\x16\x03\x03\x40\x00\xf0\x00\x03\x03"),
	};

	for (size_t i = 0; i < 2 * COUNT(seconds); i++) {
		const struct span *second = &seconds[i / 2];
		struct side b = { 0 };
		int fd = sides_open_raw(loop, &b);

		conn_starttls_server(b.c, server);
		send_first_hello(fd, "P-521:P-256");
		if (i % 2 == 0) /* else both are there at once */
			wait_for_answer(fd);
		cr_assert_eq(write(fd, second->p, second->n),
			     (ssize_t)second->n);
		run_until(loop, &b.ends, 1);
		cr_expect_eq(b.why, CONN_TLS);
		cr_expect_str_eq(b.error, "ClientHello too large", "%zu", i);
		side_close(&b);
		close(fd);
	}
}

static bool retry_13(SSL_CTX *c, int fd)
{
	SSL_CTX_set1_groups_list(c, "P-521:P-256");
	return SSL_connect(ssl_on(c, fd)) == 1;
}

static bool plain_12(SSL_CTX *c, int fd)
{
	SSL_CTX_set_max_proto_version(c, TLS1_2_VERSION);
	return SSL_connect(ssl_on(c, fd)) == 1;
}

Test(shake, hellos_of_an_ordinary_size_are_fine)
{
	struct side b;

	cr_expect_eq(run_client(&b, retry_13), 0);
	cr_expect_eq(run_client(&b, plain_12), 0);
}
