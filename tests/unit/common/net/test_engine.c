/* What of a handshake the loop may do itself, and what is behind it. */
#include <criterion/criterion.h>
#include <malloc.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "common/net/engine.h"
#include "tests/support/certs.h"

static struct cert root, leaf;
static struct tls_server *server;
static SSL_CTX *client;
static BIO *to_client, *to_server;
static struct tls_engine *engine;
static SSL *ssl;

/* The file has the one and not who issued it. */
static void write_alone(const struct cert *c)
{
	FILE *f = fopen(c->cert_path, "w");

	cr_assert_not_null(f);
	PEM_write_X509(f, c->x509);
	fclose(f);
}

static void setup(void)
{
	const char *cert = leaf.cert_path, *key = leaf.key_path;
	struct buf why = { 0 };

	cert_make(&root, &(struct cert_spec){
				 .name = "root", .is_ca = true, .days = 30 });
	cert_make(&leaf, &(struct cert_spec){
				 .name = "leaf", .issuer = &root, .days = 30 });
	write_alone(&leaf);
	cr_assert_eq(
		tls_server_new(&server, &cert, &key, 1, root.cert_path, &why),
		MX_OK, "%s", buf_cstr(&why));
	buf_fini(&why);
	client = SSL_CTX_new(TLS_client_method());
}

static void teardown(void)
{
	SSL_free(ssl);
	tls_engine_free(&engine);
	SSL_CTX_free(client);
	tls_server_unref(&server);
	cert_free(&leaf);
	cert_free(&root);
	certs_clean();
}

TestSuite(engine, .init = setup, .fini = teardown);

/* The client's turn: n bytes of what it says. */
static struct span client_says(void)
{
	char *p;
	long n;

	SSL_do_handshake(ssl);
	n = BIO_get_mem_data(to_server, &p);
	return span_of(p, (size_t)n);
}

static enum engine_step server_hears(struct span s)
{
	struct buf out = { 0 };
	enum engine_step step = tls_engine_handshake(engine, &s, &out);

	BIO_reset(to_server);
	BIO_write(to_client, out.p, (int)out.n);
	buf_fini(&out);
	return step;
}

/* A client and its server, neither of which has said a word. */
static void meet(void)
{
	to_client = BIO_new(BIO_s_mem());
	to_server = BIO_new(BIO_s_mem());
	engine = tls_engine_server(server);
	ssl = SSL_new(client);
	SSL_set_bio(ssl, to_client, to_server);
	SSL_set_connect_state(ssl);
}

/* In order, so that the session may be resumed. */
static void part(void)
{
	SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(ssl);
	ssl = NULL;
	tls_engine_free(&engine);
}

/* The client's ClientHello. */
static struct span hello(void)
{
	meet();
	return client_says();
}

/* The handshake to where the client has answered the ServerHello. */
static struct span answer(void)
{
	struct span said = hello();

	cr_expect(!tls_engine_is_light(engine, 1));
	cr_assert_eq(server_hears(said), ENGINE_MORE);
	return client_says();
}

Test(engine, a_finished_is_light)
{
	struct span s = answer();

	cr_expect(tls_engine_is_light(engine, s.n));
	cr_expect_eq(server_hears(s), ENGINE_OK);
}

/* Without looking for more among the roots. */
Test(engine, what_the_file_has_is_sent)
{
	server_hears(answer());
	cr_expect_eq(sk_X509_num(SSL_get_peer_cert_chain(ssl)), 1);
}

/* ---- Before it ---- */

/* OpenSSL has it when it is whole. */
Test(engine, a_hello_is_gathered)
{
	const struct span s = hello();
	struct span in;

	for (size_t i = 0; i + 1 < s.n; i++) {
		in = span_of(s.p + i, 1);
		cr_assert(tls_engine_gathers(engine, &in), "%zu", i);
	}
	in = span_of(s.p + s.n - 1, 1);
	cr_assert_not(tls_engine_gathers(engine, &in));
	cr_assert(span_eq(in, s));
	cr_expect_eq(server_hears(in), ENGINE_MORE);
	in = client_says();
	cr_expect_not(tls_engine_gathers(engine, &in));
	cr_expect_eq(server_hears(in), ENGINE_OK);
}

Test(engine, a_whole_hello_is_not_copied)
{
	const struct span s = hello();
	struct span in = s;

	cr_assert_not(tls_engine_gathers(engine, &in));
	cr_expect_eq(in.p, s.p);
	cr_expect_eq(in.n, s.n);
}

/* What is no ClientHello, and what is too much, is OpenSSL's to judge. */
Test(engine, what_is_not_gathered)
{
	static const char *const odd[] = { "EHLO", "\x80\x2e", "\x15\x03",
					   "\x16\x03\x01\x01\xff\x02\x01\x01\x01" };
	static const char large[] = "\x16\x03\x01\x3f\xff\x01\x00\x3f\xf0";
	static const char rest[1000];
	struct span in;

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		engine = tls_engine_server(server);
		in = span_str(odd[i]);
		cr_expect_not(tls_engine_gathers(engine, &in), "%zu", i);
		tls_engine_free(&engine);
	}
	engine = tls_engine_server(server);
	in = span_of(large, sizeof(large) - 1);
	for (size_t n = in.n; n <= 4096; n += 1000) {
		cr_expect(tls_engine_gathers(engine, &in));
		in = span_of(rest, sizeof(rest));
	}
	cr_expect_not(tls_engine_gathers(engine, &in));
	cr_expect_gt(in.n, 4096);
}

/* ---- In the middle of it ---- */

static const char change[] = "\x14\x03\x03\x00\x01\x01";

/* Ciphers and keys are kept, but no buffers, which are 30 KiB and more. */
Test(engine, who_is_silent_behind_our_hello_holds_no_buffers)
{
	struct span s;
	size_t before;

	server_hears(answer()); /* the first makes what all others use */
	part();
	s = hello();
	before = mallinfo2().uordblks;
	cr_expect_eq(server_hears(s), ENGINE_MORE);
	cr_expect_leq(mallinfo2().uordblks, before + 16384);
}

/* OpenSSL has it when there is a record that means something. */
Test(engine, an_answer_is_gathered)
{
	const struct span s = answer();
	const size_t n = 6 + 5 + (unsigned char)s.p[6 + 4];
	struct span in;

	cr_assert_eq(memcmp(s.p, change, 6), 0);
	for (size_t i = 0; i + 1 < n; i++) {
		in = span_of(s.p + i, 1);
		cr_assert(tls_engine_gathers(engine, &in), "%zu", i);
	}
	in = span_of(s.p + n - 1, s.n - n + 1);
	cr_assert_not(tls_engine_gathers(engine, &in));
	cr_assert(span_eq(in, s));
	cr_expect_eq(server_hears(in), ENGINE_OK);
}

/* So is what came in one piece with the hello, and in part. */
static enum engine_step hears_with_hello(struct span s, bool in_pieces)
{
	struct buf said = { 0 };
	enum engine_step step;
	struct span in;

	buf_add(&said, hello());
	buf_add(&said, s);
	in = buf_span(&said);
	if (in_pieces) { /* it is in the engine's own memory then */
		in.n = 1;
		cr_expect(tls_engine_gathers(engine, &in));
		in = span_skip(buf_span(&said), 1);
	}
	cr_assert_not(tls_engine_gathers(engine, &in));
	step = server_hears(in);
	buf_fini(&said);
	return step;
}

Test(engine, what_came_behind_the_hello_is_not_lost)
{
	for (int i = 0; i < 4; i++) {
		const struct span early = span_of(change, i / 2 == 0 ? 6 : 4);
		struct span in;

		cr_expect_eq(hears_with_hello(early, i % 2 == 1), ENGINE_MORE);
		in = span_skip(client_says(), early.n == 6 ? 0 : 4);
		cr_assert_not(tls_engine_gathers(engine, &in));
		cr_expect_eq(server_hears(in), ENGINE_OK, "%d", i);
		part();
	}
}

Test(engine, what_cannot_be_an_answer_is_none)
{
	static const char alert[] = "\x15\x03\x03\x00\x02\x02\x28";
	static const char junk[] = "\x17\x03\x03\x00\x12"
				   "123456789012345678";

	for (int i = 0; i < 2; i++) {
		cr_expect_eq(hears_with_hello(span_of(junk, 23), i == 1),
			     ENGINE_FAIL);
		part();
		cr_expect_eq(hears_with_hello(span_of(alert, 7), i == 1),
			     ENGINE_FAIL);
		part();
	}
}

/* A flood of nothing is OpenSSL's to judge when it is too much. */
Test(engine, changes_without_end)
{
	enum engine_step step = ENGINE_MORE;
	struct span in;
	size_t n = 0;

	answer();
	do {
		in = span_of(change, 6);
		if (!tls_engine_gathers(engine, &in))
			step = server_hears(in);
		n += 6;
	} while (step == ENGINE_MORE && n < 65536);
	cr_expect_eq(step, ENGINE_FAIL);
	cr_expect_geq(n, 4096);
}

/* ---- Behind the handshake ---- */

static unsigned tickets;

static int count_ticket(SSL *of, SSL_SESSION *session)
{
	(void)of, (void)session;
	tickets++;
	return 0;
}

static void server_says(const char *line)
{
	struct buf out = { 0 };
	char got[64];

	cr_assert(tls_engine_write(engine, span_str(line), &out));
	BIO_write(to_client, out.p, (int)out.n);
	cr_expect_eq(SSL_read(ssl, got, sizeof(got)), (int)strlen(line));
	buf_fini(&out);
}

/* With our next words, in one piece, and once. */
Test(engine, who_is_invited_gets_a_ticket)
{
	SSL_CTX_set_session_cache_mode(client, SSL_SESS_CACHE_CLIENT);
	SSL_CTX_sess_set_new_cb(client, count_ticket);
	server_hears(answer());
	server_says("250 EHLO\r\n");
	cr_expect_eq(tickets, 0);
	for (int i = 0; i < 3; i++) {
		tls_engine_invite(engine, 0);
		server_says("250 RCPT\r\n");
		cr_expect_eq(tickets, 1);
	}
}

/* Whoever has a ticket may say it before the handshake is done, and anybody
 * may say it once more (RFC 8446 section 8): we hear none of it. */
Test(engine, early_data_is_not_taken)
{
	static const char line[] = "MAIL FROM:<a@example.net>\r\n";
	SSL_SESSION *session;
	size_t n;

	server_hears(answer());
	tls_engine_invite(engine, 0);
	server_says("250 RCPT\r\n");
	session = SSL_get1_session(ssl);
	cr_expect_eq(SSL_SESSION_get_max_early_data(session), 0);
	SSL_SESSION_set_max_early_data(session, 1000);
	part();
	meet();
	SSL_set_session(ssl, session);
	SSL_SESSION_free(session);
	cr_assert_eq(SSL_write_early_data(ssl, line, sizeof(line), &n), 1);
	cr_assert_eq(server_hears(client_says()), ENGINE_MORE);
	cr_assert_eq(server_hears(client_says()), ENGINE_OK);
	cr_expect(tls_engine_facts(engine)->reused);
	server_says("250 EHLO\r\n");
	cr_expect_eq(SSL_get_early_data_status(ssl), SSL_EARLY_DATA_REJECTED);
}

static size_t server_reads(const char *p, size_t n, char *plain, size_t room)
{
	struct span in = span_of(p, n);
	struct buf out = { 0 };
	size_t got = 0;

	cr_expect_eq(tls_engine_read(engine, &in, plain, room, &got, &out),
		     ENGINE_OK);
	cr_expect_eq(in.n, 0);
	buf_fini(&out);
	return got;
}

/* Nothing is held back until there is more, and nothing is no end. */
Test(engine, records_in_pieces)
{
	static const char line[] = "MAIL FROM:<a@example.net>\r\n";
	char plain[ENGINE_RECORD];
	size_t got = 0, n;
	char *p;

	server_hears(answer());
	SSL_write(ssl, line, 10);
	SSL_write(ssl, line + 10, sizeof(line) - 1 - 10);
	n = (size_t)BIO_get_mem_data(to_server, &p);
	for (size_t i = 0; i < n; i++) {
		got += server_reads(p + i, 0, plain + got, sizeof(plain) - got);
		got += server_reads(p + i, 1, plain + got, sizeof(plain) - got);
	}
	cr_assert_eq(got, sizeof(line) - 1);
	cr_expect_eq(memcmp(plain, line, got), 0);
}

/* What came in one piece with the last of it is nowhere any more once it is
 * read, however long the session lasts. */
Test(engine, what_was_gathered_is_not_kept)
{
	static char line[12 * 1024], plain[sizeof(line) + ENGINE_RECORD];
	struct buf all = { 0 }, out = { 0 };
	struct span in;
	size_t before, n = 0;

	answer();
	cr_assert_eq(SSL_write(ssl, line, sizeof(line)), sizeof(line));
	buf_add(&all, client_says());
	BIO_reset(to_server);
	before = mallinfo2().uordblks;
	in = span_of(all.p, 1);
	cr_assert(tls_engine_gathers(engine, &in));
	in = span_of(all.p + 1, all.n - 1);
	cr_assert_not(tls_engine_gathers(engine, &in));
	cr_assert_eq(tls_engine_handshake(engine, &in, &out), ENGINE_OK);
	cr_expect(tls_engine_write(engine, SPAN_LIT("220 mx\r\n"), &out));
	tls_engine_read(engine, &in, plain, sizeof(plain), &n, &out);
	cr_expect_eq(n, sizeof(line));
	buf_fini(&out);
	cr_expect_lt(mallinfo2().uordblks, before + sizeof(line) / 2);
	buf_fini(&all);
}

static void bring_certificate(void)
{
	SSL_CTX_use_certificate(client, leaf.x509);
	SSL_CTX_use_PrivateKey(client, leaf.key);
}

/* A certificate has to be verified. */
Test(engine, a_certificate_is_not)
{
	bring_certificate();
	cr_expect(!tls_engine_is_light(engine, answer().n));
}

/* Long before all of it is there, if it comes byte by byte. */
Test(engine, nor_is_one_that_trickles)
{
	struct span s;
	size_t light = 0;

	bring_certificate();
	s = answer();
	while (light < s.n && tls_engine_is_light(engine, 1))
		light++;
	cr_expect_lt(light, 192);
	for (size_t i = light; i < s.n; i++)
		cr_expect(!tls_engine_is_light(engine, 1));
	cr_expect(!tls_engine_is_light(engine, SIZE_MAX));
}

/* There the client's half of the key exchange is still to come. */
Test(engine, tls_1_2_is_not)
{
	struct span s;

	SSL_CTX_set_max_proto_version(client, TLS1_2_VERSION);
	s = answer();
	cr_expect(!tls_engine_is_light(engine, s.n));
	cr_expect_eq(server_hears(s), ENGINE_OK);
}

/* Another ClientHello is awaited; then it goes on as ever. */
Test(engine, nor_is_a_second_hello)
{
	struct span s;

	SSL_CTX_set1_groups_list(client, "P-521:P-256");
	s = answer();
	cr_assert_not(tls_engine_gathers(engine, &s));
	cr_expect(!tls_engine_is_light(engine, s.n));
	cr_expect_eq(server_hears(s), ENGINE_MORE);
	s = client_says();
	cr_expect(tls_engine_is_light(engine, s.n));
	cr_expect_eq(server_hears(s), ENGINE_OK);
}
