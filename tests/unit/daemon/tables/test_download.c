/* What a download may cost: its limits, at a host that does as it likes. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/net/conn.h"
#include "daemon/tables/download.h"
#include "tests/support/certs.h"
#include "tests/support/sides.h"

enum { PATIENCE_MS = 20000 };

/* ---- The host ---- */

static struct ev_loop *loop;
static struct tls_server *tls;
static struct tls_client_ctx *roots;
static struct cert cert;
static struct side host;
static int listening = -1;
static uint16_t port;
static ev_io on_listen;
static size_t says, sends; /* of octets: in its head, and behind it */

static void answer(struct conn *c)
{
	struct buf out = { 0 };

	buf_adds(&out, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n");
	if (says > 0)
		buf_addf(&out, "Content-Length: %zu\r\n", says);
	buf_adds(&out, "\r\n");
	for (size_t i = 0; i < sends; i++)
		buf_adds(&out, i % 8 == 7 ? "\n" : "u");
	conn_write(c, buf_span(&out));
	conn_flush(c);
	buf_fini(&out);
}

static bool on_side(struct side *s, enum side_event e)
{
	struct span in;

	if (e != SIDE_INPUT)
		return false;
	in = conn_input(s->c);
	if (in.n > 4 && span_eq(span_skip(in, in.n - 4),
				SPAN_LIT("\r\n\r\n"))) {
		conn_consume(s->c, in.n);
		answer(s->c);
	}
	return true;
}

static void on_accept(struct ev_loop *l, ev_io *w, int revents)
{
	int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)revents;
	if (fd < 0)
		return;
	side_close(&host);
	host = (struct side){ .hook = on_side };
	host.c = conn_new(l, fd, &side_events, &host);
	conn_starttls_server(host.c, tls);
}

static void open_host(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);

	loop = ev_loop_new(0);
	listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	cr_assert_eq(bind(listening, (struct sockaddr *)&at, len), 0);
	cr_assert_eq(listen(listening, 8), 0);
	cr_assert_eq(getsockname(listening, (struct sockaddr *)&at, &len), 0);
	port = ntohs(at.sin_port);
	ev_io_init(&on_listen, on_accept, listening, EV_READ);
	ev_io_start(loop, &on_listen);
}

static void open_world(void)
{
	const char *certs[1], *keys[1];
	struct buf why = { 0 };

	cert_make(&cert, &(struct cert_spec){ .name = "localhost",
					      .sans = "DNS:localhost",
					      .is_ca = true,
					      .days = 2 });
	certs[0] = cert.cert_path;
	keys[0] = cert.key_path;
	cr_assert_eq(tls_server_new(&tls, certs, keys, 1, NULL, &why), MX_OK,
		     "%s", buf_cstr(&why));
	cr_assert_eq(tls_client_ctx_new(&roots, cert.cert_path, &why), MX_OK);
	open_host();
}

static void close_world(void)
{
	side_close(&host);
	ev_io_stop(loop, &on_listen);
	close(listening);
	ev_loop_destroy(loop);
	tls_server_unref(&tls);
	tls_client_ctx_unref(&roots);
	cert_free(&cert);
	certs_clean();
}

TestSuite(download, .init = open_world, .fini = close_world, .timeout = 60);

/* ---- A download ---- */

static struct {
	bool is_over;
	enum download_end end;
	char why[200];
	size_t came;
} got;

static bool on_begin(struct span etag, struct span modified, void *arg)
{
	(void)etag;
	(void)modified;
	(void)arg;
	return true;
}

static bool on_take(struct span piece, void *arg)
{
	(void)arg;
	got.came += piece.n;
	return true;
}

static void on_over(const struct download_result *r, void *arg)
{
	(void)arg;
	got.is_over = true;
	got.end = r->end;
	snprintf(got.why, sizeof(got.why), "%.*s", SPAN_ARG(r->why));
}

static void fetch(struct download_limits limits)
{
	struct downloads *d = downloads_new(limits);
	int64_t until_ms = clock_mono_ms() + PATIENCE_MS;
	char url[64];

	memset(&got, 0, sizeof(got));
	snprintf(url, sizeof(url), "https://localhost:%u/users",
		 (unsigned)port);
	(void)download_start(d,
			     &(struct download_request){
				     .url = url,
				     .tls = roots,
				     .begin = on_begin,
				     .take = on_take,
			     },
			     on_over);
	while (!got.is_over && clock_mono_ms() < until_ms) {
		downloads_run(d, 2);
		ev_run(loop, EVRUN_NOWAIT);
	}
	cr_assert(got.is_over);
	downloads_free(&d);
}

static const struct download_limits wide = { 15000, 15000, 100000 };

Test(download, as_much_as_there_may_be)
{
	says = sends = 100000;
	fetch(wide);
	cr_expect_eq(got.end, DOWNLOAD_NEW, "%s", got.why);
	cr_expect_eq(got.came, 100000);
}

/* By what is said, before a byte of it comes; and by what comes. */
Test(download, too_much)
{
	says = sends = 100001;
	fetch(wide);
	cr_expect_eq(got.end, DOWNLOAD_FAILED);
	cr_expect_leq(got.came, 100000);
	cr_expect_neq(got.why[0], '\0');
	says = 0;
	sends = 300000;
	fetch(wide);
	cr_expect_eq(got.end, DOWNLOAD_FAILED);
	cr_expect_leq(got.came, 100000);
}

/* A host that begins and never ends. */
Test(download, too_long)
{
	const struct download_limits brief = { 500, 15000, 100000 };
	int64_t began_ms = clock_mono_ms();

	says = 100000;
	sends = 1000;
	fetch(brief);
	cr_expect_eq(got.end, DOWNLOAD_FAILED);
	cr_expect_geq(clock_mono_ms() - began_ms, 400);
	cr_expect_neq(got.why[0], '\0');
}
