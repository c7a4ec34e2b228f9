#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/metrics.h"
#include "tests/support/certs.h"
#include "tests/support/sides.h"

static struct ev_loop *loop;
static struct side a, b; /* a is the client */
static struct cert root, leaf, rsa, expired, lone, client;
static struct tls_server *server;
static struct tls_client_ctx *ctx;

static struct tls_server *serve(const struct cert *one, const struct cert *two)
{
	const char *certs[2] = { one->cert_path, two ? two->cert_path : NULL };
	const char *keys[2] = { one->key_path, two ? two->key_path : NULL };
	struct tls_server *t;
	struct buf why = { 0 };

	cr_assert_eq(tls_server_new(&t, certs, keys, two != NULL ? 2 : 1,
				    root.cert_path, &why),
		     MX_OK, "%s", buf_cstr(&why));
	buf_fini(&why);
	return t;
}

static void setup(void)
{
	struct buf why = { 0 };

	loop = ev_loop_new(EVFLAG_AUTO);
	a = b = (struct side){ 0 };
	cert_make(&root, &(struct cert_spec){
				 .name = "root", .is_ca = true, .days = 30 });
	cert_make(&leaf, &(struct cert_spec){ .name = "leaf",
					      .issuer = &root,
					      .sans = "DNS:mx.example.org,"
						      "DNS:*.wild.example",
					      .days = 30 });
	cert_make(&rsa, &(struct cert_spec){ .name = "rsa",
					     .issuer = &root,
					     .sans = "DNS:mx.example.org",
					     .is_rsa = true,
					     .days = 30 });
	cert_make(&expired, &(struct cert_spec){ .name = "expired",
						 .issuer = &root,
						 .sans = "DNS:mx.example.org",
						 .days = -1 });
	cert_make(&lone, &(struct cert_spec){ .name = "lone",
					      .sans = "DNS:other.example",
					      .days = 30 });
	cert_make(&client, &(struct cert_spec){ .name = "client",
						.issuer = &root,
						.sans = "DNS:mx1.example.org,"
							"DNS:mx.example.org",
						.days = 30 });
	cr_assert_eq(tls_client_ctx_new(&ctx, root.cert_path, &why), MX_OK,
		     "%s", buf_cstr(&why));
	buf_fini(&why);
	server = serve(&leaf, NULL);
}

static void teardown(void)
{
	side_close(&a);
	side_close(&b);
	sides_gather();
	tls_server_unref(&server);
	tls_client_ctx_unref(&ctx);
	cert_free(&root);
	cert_free(&leaf);
	cert_free(&rsa);
	cert_free(&expired);
	cert_free(&lone);
	cert_free(&client);
	certs_clean();
	run_for(loop, 1);
	ev_loop_destroy(loop);
}

TestSuite(tls, .init = setup, .fini = teardown, .timeout = 60);

/* The same when the server's socket and TLS are a thread's. */
static void setup_spread(void)
{
	setup();
	sides_spread(loop);
}

TestSuite(tls_spread, .init = setup_spread, .fini = teardown, .timeout = 60);

#define BOTH(name) SIDES_BOTH(tls, tls_spread, name)

/* Connect and shake hands; true when both are ready. */
static bool shake(const struct tls_demand *d)
{
	struct tls_client tc = { ctx, d };

	side_close(&a);
	side_close(&b);
	a = b = (struct side){ 0 };
	sides_open(loop, &a, &b);
	conn_starttls_server(b.c, server);
	conn_starttls_client(a.c, &tc);
	while (a.readies + a.ends == 0)
		ev_run(loop, EVRUN_ONCE);
	while (b.readies + b.ends == 0)
		ev_run(loop, EVRUN_ONCE);
	conn_tls_invite(b.c);
	conn_write(b.c, SPAN_LIT("250\r\n"));
	while (a.got.n == 0 && a.ends + b.ends == 0)
		ev_run(loop, EVRUN_ONCE);
	buf_reset(&a.got);
	return a.readies == 1 && a.ends == 0 && b.readies == 1;
}

static const struct tls_demand any = { .auth = TLS_AUTH_NONE };

static void echo(size_t n)
{
	char *p = malloc(n);

	memset(p, 'x', n);
	conn_write(a.c, span_of(p, n));
	run_until_got(loop, &b, n);
	cr_expect_eq(memcmp(b.got.p, p, n), 0);
	conn_write(b.c, SPAN_LIT("250 ok\r\n"));
	run_until_got(loop, &a, 8);
	free(p);
}

static uint64_t handshakes(enum metric_handshake which)
{
	struct metrics m;

	metrics_read(&m);
	return m.numbers[METRIC_HANDSHAKES][which];
}

BOTH(bytes_go_both_ways)
{
	cr_assert(shake(&any), "%s / %s", a.error, b.error);
	const struct tls_facts *f = conn_tls(b.c);

	cr_assert_not_null(f);
	cr_expect_str_eq(f->version, "TLSv1.3");
	cr_expect_geq(f->bits, 128);
	cr_expect_not(f->verified);
	cr_expect_str_eq(f->peer_name, "");
	cr_expect_not(conn_tls(a.c)->verified);
	echo(1);
	a.got.n = b.got.n = 0;
	echo(3 * 1024 * 1024);
	cr_expect_eq(handshakes(HANDSHAKE_OUT_OK), 1);
	cr_expect_eq(handshakes(HANDSHAKE_IN_OK), 1);
	cr_expect_eq(handshakes(HANDSHAKE_IN_FAILED), 0);
}

BOTH(clear_output_goes_first)
{
	struct tls_client tc = { ctx, &any };

	sides_open(loop, &a, &b);
	conn_write(b.c, SPAN_LIT("220 go ahead\r\n"));
	conn_starttls_server(b.c, server);
	conn_write(b.c, SPAN_LIT("never in clear"));
	run_until_got(loop, &a, 14);
	conn_starttls_client(a.c, &tc);
	run_until(loop, &a.readies, 1);
	run_until(loop, &b.readies, 1);
	cr_expect_str_eq(buf_cstr(&a.got), "220 go ahead\r\n");
	a.got.n = 0;
	echo(100);
}

BOTH(close_is_an_orderly_end)
{
	cr_assert(shake(&any));
	conn_write(b.c, SPAN_LIT("221 bye\r\n"));
	conn_close_after_output(&b.c, 1000);
	run_until(loop, &a.ends, 1);
	cr_expect_eq(a.why, CONN_EOF);
	cr_expect_str_eq(buf_cstr(&a.got), "221 bye\r\n");
	/* and so is a peer that forgets close_notify */
	cr_assert(shake(&any));
	conn_free(&b.c);
	run_until(loop, &a.ends, 1);
	cr_expect_eq(a.why, CONN_EOF);
}

BOTH(slow_reader_gets_all)
{
	enum { SENT = 4 * 1024 * 1024 };
	char *p = calloc(1, SENT);

	cr_assert(shake(&any));
	conn_pause(b.c);
	conn_write(a.c, span_of(p, SENT));
	run_for(loop, 20);
	cr_expect_gt(conn_output_pending(a.c), 0);
	conn_resume(b.c);
	run_until_got(loop, &b, SENT);
	run_until(loop, &a.draineds, 1);
	free(p);
}

BOTH(resumption_is_for_the_same_demand)
{
	const struct span names[] = { SPAN_LIT("mx.example.org") };
	struct tls_demand d = { .session_key = SPAN_LIT("example.org") };
	struct tls_demand strict = { .auth = TLS_AUTH_PKIX,
				     .names = names,
				     .name_count = 1,
				     .session_key = SPAN_LIT("example.org") };

	cr_assert(shake(&d));
	cr_expect_not(conn_tls(a.c)->reused);
	cr_assert(shake(&d));
	cr_expect(conn_tls(a.c)->reused);
	cr_expect(conn_tls(b.c)->reused);
	cr_assert(shake(&strict), "%s", a.error);
	cr_expect_not(conn_tls(a.c)->reused);
	cr_expect(conn_tls(a.c)->verified);
	cr_assert(shake(&strict));
	cr_expect(conn_tls(a.c)->reused);
	cr_expect(conn_tls(a.c)->verified);
	/* a reloaded server knows nothing of it */
	tls_server_unref(&server);
	server = serve(&leaf, NULL);
	cr_assert(shake(&strict));
	cr_expect_not(conn_tls(a.c)->reused);
}

Test(tls, chain_and_name_are_verified)
{
	static const struct {
		const struct cert *cert;
		const char *name, *second;
		const char *error; /* NULL: fine */
	} cases[] = {
		{ &leaf, "mx.example.org", NULL, NULL },
		{ &rsa, "mx.example.org", NULL, NULL },
		{ &leaf, "other.example", "mx.example.org", NULL },
		{ &leaf, "a.wild.example", NULL, NULL },
		{ &leaf, "mx2.example.org", NULL,
		  "name mismatch: wanted mx2.example.org" },
		{ &leaf, "x.example", "y.example",
		  "name mismatch: wanted x.example or y.example" },
		{ &leaf, "a.b.wild.example", NULL,
		  "name mismatch: wanted a.b.wild.example" },
		{ &expired, "mx.example.org", NULL, "certificate has expired" },
		{ &lone, "other.example", NULL, "self-signed certificate" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct span names[2] = { span_str(cases[i].name) };
		struct tls_demand d = { .auth = TLS_AUTH_PKIX,
					.sni = names[0],
					.names = names,
					.name_count = 1 };

		if (cases[i].second != NULL)
			names[d.name_count++] = span_str(cases[i].second);
		tls_server_unref(&server);
		server = serve(cases[i].cert, NULL);
		bool ok = shake(&d);

		cr_expect_eq(ok, cases[i].error == NULL, "case %zu: %s", i,
			     a.error);
		if (ok) {
			cr_expect(conn_tls(a.c)->verified);
			continue;
		}
		cr_expect_eq(a.why, CONN_TLS);
		cr_expect_str_eq(a.error, cases[i].error, "%s", a.error);
	}
}

/* The name in the subject is from before there were others: it does where an
 * operator wants his primary verified, not for MTA-STS (RFC 8461 section 4.1).
 * And a session of the one is none for the other. */
Test(tls, a_name_in_the_subject)
{
	struct span name = SPAN_LIT("subject.example");
	struct tls_demand d = { .auth = TLS_AUTH_PKIX,
				.sni = name,
				.names = &name,
				.name_count = 1 };
	struct cert subject;

	cert_make(&subject, &(struct cert_spec){ .name = "subject.example",
						 .issuer = &root,
						 .days = 30 });
	tls_server_unref(&server);
	server = serve(&subject, NULL);
	cr_expect(shake(&d), "%s", a.error);
	d.has_sans_only = true;
	cr_expect_not(shake(&d));
	cr_expect_str_eq(a.error, "name mismatch: wanted subject.example");
	cert_free(&subject);
}

/* SHA-256 of the whole certificate or of its public key. */
static struct tls_tlsa tlsa(unsigned char usage, unsigned char selector,
			    const struct cert *c, unsigned char hash[32])
{
	unsigned char *der = NULL;
	int n = selector == 0
			? i2d_X509(c->x509, &der)
			: i2d_X509_PUBKEY(X509_get_X509_PUBKEY(c->x509), &der);

	cr_assert_gt(n, 0);
	EVP_Digest(der, (size_t)n, hash, NULL, EVP_sha256(), NULL);
	OPENSSL_free(der);
	return (struct tls_tlsa){ usage, selector, 1, span_of(hash, 32) };
}

/* RFC 7672 section 3.1. */
Test(tls, dane_matches_a_record)
{
	static const struct {
		const char *what;
		unsigned char usage, selector;
		const struct cert *of, *served;
		const char *name;
		const char *error;
	} cases[] = {
		{ "3 1 1", 3, 1, &leaf, &leaf, "mx.example.org", NULL },
		{ "3 0 1", 3, 0, &leaf, &leaf, "mx.example.org", NULL },
		/* 3: neither name nor date nor issuer matter */
		{ "name", 3, 1, &leaf, &leaf, "x.example", NULL },
		{ "date", 3, 1, &expired, &expired, "mx.example.org", NULL },
		{ "self", 3, 1, &lone, &lone, "mx.example.org", NULL },
		{ "other", 3, 1, &rsa, &leaf, "mx.example.org",
		  "no TLSA record matches" },
		/* 2: they do */
		{ "2 0 1", 2, 0, &root, &leaf, "mx.example.org", NULL },
		{ "2 name", 2, 0, &root, &leaf, "x.example",
		  "name mismatch: wanted x.example" },
		{ "2 date", 2, 1, &root, &expired, "mx.example.org",
		  "certificate has expired" },
		{ "2 other", 2, 0, &root, &lone, "other.example",
		  "no TLSA record matches" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		unsigned char hash[32];
		struct tls_tlsa t = tlsa(cases[i].usage, cases[i].selector,
					 cases[i].of, hash);
		struct span name = span_str(cases[i].name);
		struct tls_demand d = { .auth = TLS_AUTH_DANE,
					.sni = name,
					.names = &name,
					.name_count = 1,
					.tlsa = &t,
					.tlsa_count = 1 };

		tls_server_unref(&server);
		server = serve(cases[i].served, NULL);
		bool ok = shake(&d);

		cr_expect_eq(ok, cases[i].error == NULL, "%s: %s",
			     cases[i].what, a.error);
		if (ok)
			cr_expect(conn_tls(a.c)->verified, "%s", cases[i].what);
		else
			cr_expect_str_eq(a.error, cases[i].error, "%s: %s",
					 cases[i].what, a.error);
	}
}

/* RFC 7672 section 2.2: none usable is encryption without verification. */
Test(tls, dane_without_a_usable_record)
{
	struct tls_tlsa t = { 3, 1, 1, SPAN_LIT("short") };
	struct tls_demand d = { .auth = TLS_AUTH_DANE,
				.sni = SPAN_LIT("mx.example.org"),
				.tlsa = &t,
				.tlsa_count = 1 };

	cr_assert(shake(&d), "%s", a.error);
	cr_expect_not(conn_tls(a.c)->verified);
}

BOTH(no_tls_there)
{
	struct tls_client tc = { ctx, &any };

	sides_open(loop, &a, &b);
	conn_starttls_client(a.c, &tc);
	conn_write(b.c, SPAN_LIT("500 what?\r\n"));
	run_until(loop, &a.ends, 1);
	cr_expect_eq(a.why, CONN_TLS);
	cr_expect_str_eq(a.error, "the peer does not speak TLS");
	cr_expect_eq(a.readies, 0);
}

BOTH(peer_leaves_in_the_handshake)
{
	struct tls_client tc = { ctx, &any };

	sides_open(loop, &a, &b);
	conn_starttls_client(a.c, &tc);
	run_until(loop, &b.inputs, 1);
	conn_free(&b.c);
	run_until(loop, &a.ends, 1);
	cr_expect_eq(a.why, CONN_TLS);
	cr_expect_str_eq(a.error, "connection closed during the TLS handshake");
	cr_expect_eq(handshakes(HANDSHAKE_OUT_FAILED), 1);
	cr_expect_eq(handshakes(HANDSHAKE_OUT_OK), 0);
}

static bool leave(struct side *s, enum side_event e)
{
	(void)s;
	return e == SIDE_INPUT;
}

/* Behind a PROXY header the ClientHello is there already. */
Test(tls, unread_input_is_the_first_record)
{
	struct tls_client tc = { ctx, &any };

	sides_open(loop, &a, &b);
	b.hook = leave;
	conn_write(a.c, SPAN_LIT("PROXY UNKNOWN\r\n"));
	conn_flush(a.c);
	conn_starttls_client(a.c, &tc);
	while (conn_input(b.c).n < 100)
		ev_run(loop, EVRUN_ONCE);
	conn_consume(b.c, 15);
	b.hook = NULL;
	conn_starttls_server(b.c, server);
	run_until(loop, &b.readies, 1);
	run_until(loop, &a.readies, 1);
	echo(10);
}

/* RFC 3207 section 4.2: what a man in the middle put in front is not obeyed,
 * and not even when the owner forgets to discard it. */
BOTH(injected_plaintext_never_becomes_input)
{
	struct tls_client tc = { ctx, &any };

	sides_open(loop, &a, &b);
	b.hook = leave;
	conn_write(a.c, SPAN_LIT("RSET\r\n"));
	run_until(loop, &b.inputs, 1);
	b.hook = NULL;
	conn_starttls_server(b.c, server);
	conn_starttls_client(a.c, &tc);
	run_until(loop, &b.ends, 1);
	cr_expect_eq(b.why, CONN_TLS);
	cr_expect_eq(b.got.n, 0);
}

static bool free_it(struct side *s, enum side_event e)
{
	if (e == SIDE_READY)
		conn_free(&s->c);
	return false;
}

BOTH(free_when_ready)
{
	struct tls_client tc = { ctx, &any };

	sides_open(loop, &a, &b);
	conn_starttls_server(b.c, server);
	conn_starttls_client(a.c, &tc);
	b.hook = free_it;
	run_until(loop, &b.readies, 1);
	cr_expect_null(b.c);
	run_until(loop, &a.ends, 1);
	side_close(&a);

	a = b = (struct side){ 0 };
	sides_open(loop, &a, &b);
	conn_starttls_server(b.c, server);
	conn_starttls_client(a.c, &tc);
	a.hook = free_it; /* before its Finished was sent */
	run_until(loop, &a.readies, 1);
	cr_expect_null(a.c);
	run_until(loop, &b.ends, 1);
	cr_expect_eq(b.why, CONN_TLS);
}

BOTH(handshake_has_a_deadline)
{
	sides_open(loop, &a, &b);
	conn_starttls_server(b.c, server);
	conn_deadline(b.c, 20);
	run_until(loop, &b.ends, 1);
	cr_expect_eq(b.why, CONN_DEADLINE);
	conn_write(b.c, SPAN_LIT("421 never in clear\r\n"));
	conn_close_after_output(&b.c, 100);
	run_until(loop, &a.ends, 1);
	cr_expect_eq(a.got.n, 0);
}

/* OpenSSL's own client: what no conn_starttls_client does. */
static SSL *ssl_client(int fd, const struct cert *cert, const char *sigalgs)
{
	SSL_CTX *c = SSL_CTX_new(TLS_client_method());

	SSL_CTX_set_max_proto_version(c, TLS1_2_VERSION);
	if (cert != NULL) {
		SSL_CTX_use_certificate_file(c, cert->cert_path,
					     SSL_FILETYPE_PEM);
		SSL_CTX_use_PrivateKey_file(c, cert->key_path,
					    SSL_FILETYPE_PEM);
	}
	if (sigalgs != NULL)
		SSL_CTX_set1_sigalgs_list(c, sigalgs);
	SSL *s = SSL_new(c);

	SSL_CTX_free(c);
	SSL_set_fd(s, fd);
	return s;
}

/* Blocking client in a child: the loop is ours. */
static pid_t fork_client(int fd, const struct cert *cert, const char *sigalgs)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	alarm(10);
	SSL *s = ssl_client(fd, cert, sigalgs);
	bool ok = SSL_connect(s) == 1 && SSL_write(s, "x", 1) == 1;
	char c;

	if (ok)
		SSL_read(s, &c, 1);
	_exit(ok ? 0 : 1);
}

Test(tls, client_certificate_is_asked_for_never_required)
{
	static const struct {
		const struct cert *cert;
		const char *name, *names;
	} cases[] = {
		{ NULL, "", "" },
		{ &client, "mx1.example.org",
		  "mx1.example.org mx.example.org" },
		{ &lone, "", "" },    /* no chain to the root */
		{ &expired, "", "" }, /* no longer valid */
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		b = (struct side){ 0 };
		int fd = sides_open_raw(loop, &b);

		conn_starttls_server(b.c, server);
		fork_client(fd, cases[i].cert, NULL);
		close(fd);
		run_until_got(loop, &b, 1);
		const struct tls_facts *f = conn_tls(b.c);

		cr_expect_str_eq(f->version, "TLSv1.2");
		cr_expect_eq(f->verified, cases[i].name[0] != '\0', "%zu", i);
		cr_expect_str_eq(f->peer_name, cases[i].name);
		cr_expect_str_eq(f->peer_names, cases[i].names);
		side_close(&b);
	}
}

Test(tls, two_pairs_serve_both_kinds_of_client)
{
	static const char *const sigalgs[] = { "RSA+SHA256", "ECDSA+SHA256" };

	tls_server_unref(&server);
	server = serve(&leaf, &rsa);
	for (size_t i = 0; i < COUNT(sigalgs); i++) {
		b = (struct side){ 0 };
		int fd = sides_open_raw(loop, &b);

		conn_starttls_server(b.c, server);
		fork_client(fd, NULL, sigalgs[i]);
		close(fd);
		run_until_got(loop, &b, 1);
		cr_expect_not_null(
			strstr(conn_tls(b.c)->cipher, i == 0 ? "RSA" : "ECDSA"),
			"%s", conn_tls(b.c)->cipher);
		side_close(&b);
	}
}

Test(tls, bad_files_are_named)
{
	struct buf why = { 0 };
	struct tls_server *t;
	struct tls_client_ctx *c;
	const char *cert = leaf.cert_path, *key = rsa.key_path;
	const char *missing = "/nonexistent/cert.pem";

	cr_expect_neq(tls_server_new(&t, &missing, &key, 1, NULL, &why), MX_OK);
	cr_expect_null(t);
	cr_expect_eq(strncmp(buf_cstr(&why), missing, strlen(missing)), 0, "%s",
		     buf_cstr(&why));
	buf_reset(&why);
	cr_expect_neq(tls_server_new(&t, &cert, &key, 1, NULL, &why), MX_OK);
	cr_expect_not_null(strstr(buf_cstr(&why), "not the key of"), "%s",
			   buf_cstr(&why));
	buf_reset(&why);
	cr_expect_neq(tls_client_ctx_new(&c, missing, &why), MX_OK);
	cr_expect_null(c);
	cr_expect_eq(strncmp(buf_cstr(&why), missing, strlen(missing)), 0);
	buf_fini(&why);
}
