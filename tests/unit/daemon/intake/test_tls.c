/* STARTTLS (RFC 3207), TLS from the first byte, and what it changes. */
#include "tests/unit/daemon/intake/world.h"

#include "tests/support/certs.h"
#include "tests/support/sides.h"

#define MAIL FROM TO

static struct cert cert;
static struct tls_client_ctx *ctx;
static struct side side;

static void open_tls(void)
{
	struct buf why = { 0 };
	char conf[400];

	cert_make(&cert, &(struct cert_spec){ .name = "mx2",
					      .sans = "DNS:mx2.example.net",
					      .days = 30 });
	cr_assert_eq(tls_client_ctx_new(&ctx, NULL, &why), MX_OK);
	snprintf(conf, sizeof(conf),
		 "tls = { certificate = \"%s\"; key = \"%s\"; };",
		 cert.cert_path, cert.key_path);
	world_open(conf);
}

static void close_tls(void)
{
	side_close(&side);
	world_close();
	tls_client_ctx_unref(&ctx);
	cert_free(&cert);
	certs_clean();
}

TestSuite(tls, .init = open_tls, .fini = close_tls);

/* Let fd speak TLS; false when the handshake failed. */
static bool shake(int fd)
{
	static const struct tls_demand any = { .auth = TLS_AUTH_NONE };
	struct tls_client tc = { ctx, &any };

	side.c = conn_new(world.loop, fd, &side_events, &side);
	conn_starttls_client(side.c, &tc);
	while (side.readies + side.ends == 0)
		ev_run(world.loop, EVRUN_ONCE);
	settle();
	return side.readies > 0;
}

/* The same as say() and ask(), through TLS. */
static const char *ask_tls(const char *lines)
{
	buf_reset(&side.got);
	conn_write(side.c, span_str(lines));
	settle();
	settle();
	return buf_cstr(&side.got);
}

static const char *say_tls(const char *lines)
{
	return codes(ask_tls(lines));
}

Test(tls, starttls)
{
	int fd = client_open();
	const char *got = ask(fd, HELLO);

	cr_expect_not_null(strstr(got, "250-STARTTLS\r\n"));
	cr_expect_null(strstr(got, "REQUIRETLS"));
	cr_expect_str_eq(say(fd, "STARTTLS now\r\n"), "501");
	cr_expect_str_eq(say(fd, "STARTTLS\r\n"), "220");
	cr_assert(shake(fd), "%s", side.error);
	/* all is forgotten (section 4.2) */
	cr_expect_str_eq(say_tls(MAIL), "503 503");
	got = ask_tls(HELLO);
	cr_expect_null(strstr(got, "STARTTLS"));
	cr_expect_str_eq(say_tls("STARTTLS\r\n"), "503");
	cr_expect_str_eq(say_tls(MAIL "BDAT 3 LAST\r\nx\r\n"), "250 250 250");
	cr_expect_str_eq(fake.kept[0].tls, "TLSv1.3 TLS_AES_128_GCM_SHA256");
	cr_expect_not_null(strstr(buf_cstr(&fake.kept[0].content),
				  " with ESMTPS (TLSv1.3 "));
	cr_expect_str_eq(say_tls("QUIT\r\n"), "221");
	cr_expect_eq(side.ends, 1);
	cr_expect_eq(intake_sessions(world.intake), 0);
}

/* RFC 8689 section 4.1: offered inside TLS only, and when it can be kept. */
Test(tls, requiretls)
{
	int fd = client_open();

	cr_expect_null(strstr(ask(fd, HELLO), "REQUIRETLS"));
	cr_expect_str_eq(say(fd, "MAIL FROM:<a@b.test> REQUIRETLS\r\n"), "555");
	cr_expect_str_eq(say(fd, "STARTTLS\r\n"), "220");
	cr_assert(shake(fd), "%s", side.error);
	cr_expect_not_null(strstr(ask_tls(HELLO), "250-REQUIRETLS\r\n"));
	cr_expect_str_eq(say_tls("MAIL FROM:<a@b.test> REQUIRETLS\r\n"
				 "RCPT TO:<user@example.com>\r\n"
				 "BDAT 3 LAST\r\nx\r\n"),
			 "250 250 250");
	cr_expect(fake.kept[0].env.requiretls);
}

/* Section 4.2, and CVE-2011-0411: nothing said in clear counts inside. */
Test(tls, commands_behind_starttls)
{
	int fd = client_open();

	cr_expect_str_eq(
		say(fd, HELLO "STARTTLS\r\n" HELLO MAIL "BDAT 3 LAST\r\nx\r\n"),
		"250 503 .");
	cr_expect_eq(fake.kept_count, 0);
	close(fd);
}

Test(tls, from_the_first_byte)
{
	struct net_addr peer;
	int fd[2];

	cr_assert_eq(net_addr_parse(SPAN_LIT("192.0.2.7"), &peer), MX_OK);
	policy_connect(world.policy, world.config, &peer, 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd),
		     0);
	session_new(world.intake, fd[0], &peer, false, true, false);
	cr_assert(shake(fd[1]), "%s", side.error);
	cr_expect_eq(strncmp(buf_cstr(&side.got), "220 ", 4), 0);
	cr_expect_null(strstr(ask_tls(HELLO), "STARTTLS"));
	cr_expect_str_eq(say_tls(MAIL "BDAT 3 LAST\r\nx\r\n"), "250 250 250");
}

/* Behind a proxy that passes TLS on, in one packet with its header. */
Test(tls, proxy_and_implicit)
{
	struct net_addr proxy;
	int fd[2];

	cr_assert_eq(net_addr_parse(SPAN_LIT("10.0.0.1"), &proxy), MX_OK);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd),
		     0);
	session_new(world.intake, fd[0], &proxy, true, true, false);
	send(fd[1], "PROXY TCP4 192.0.2.9 192.0.2.1 1 25\r\n", 37, 0);
	cr_assert(shake(fd[1]), "%s", side.error);
	cr_expect_str_eq(say_tls(HELLO MAIL "BDAT 3 LAST\r\nx\r\n"),
			 "220 250 250 250 250" + 4);
	cr_expect_str_eq(fake.kept[0].client, "192.0.2.9");
}

Test(tls, a_failed_handshake_ends_it)
{
	int fd = client_open();

	cr_expect_str_eq(say(fd, HELLO "STARTTLS\r\n"), "250 220");
	client_send(fd, SPAN_LIT("this is no TLS record at all\r\n"));
	settle();
	cr_expect_eq(intake_sessions(world.intake), 0);
	close(fd);
}

/* A handshake is one thing to wait for: a trickle does not extend it.  The
 * clock is the real one, and a second the shortest that is safe. */
static void expect_slow_handshake_ends(int fd)
{
	static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc"
				    "\x03\x03";

	for (size_t i = 0; i < 100 && intake_sessions(world.intake) > 0; i++) {
		ev_sleep(0.05);
		client_send(fd, span_of(i < sizeof(hello) ? hello + i : "x",
					1));
		settle();
	}
	cr_expect_eq(intake_sessions(world.intake), 0);
}

Test(tls, a_handshake_has_the_time_of_a_command)
{
	struct net_addr peer;
	int fd, pair[2];

	world.config->limits.command_timeout_ms = SECONDS(1);
	fd = client_open();
	cr_expect_str_eq(say(fd, HELLO "STARTTLS\r\n"), "250 220");
	expect_slow_handshake_ends(fd);
	close(fd);
	cr_assert_eq(net_addr_parse(SPAN_LIT("192.0.2.7"), &peer), MX_OK);
	policy_connect(world.policy, world.config, &peer, 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair),
		     0);
	session_new(world.intake, pair[0], &peer, false, true, false);
	expect_slow_handshake_ends(pair[1]);
	close(pair[1]);
}

/* A reload may take the certificate away: sessions go on, TLS or not. */
Test(tls, reload_without_certificate)
{
	struct config *fresh;
	int fd = client_open();

	say(fd, HELLO "STARTTLS\r\n");
	cr_assert(shake(fd), "%s", side.error);
	fresh = world_config("", "example.com recipients=*\n");
	intake_reload(world.intake, fresh);
	config_unref(&fresh);
	cr_expect_str_eq(say_tls(HELLO MAIL "BDAT 3 LAST\r\nx\r\n"),
			 "250 250 250 250");
	fd = client_open();
	cr_expect_str_eq(say(fd, HELLO "STARTTLS\r\n"), "250 502");
	close(fd);
}
