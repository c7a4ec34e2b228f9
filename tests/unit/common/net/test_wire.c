/* Connections in two halves: what only they have to do. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/net/wire_priv.h"
#include "tests/support/certs.h"
#include "tests/support/sides.h"

static struct ev_loop *loop;
static struct cert leaf;
static struct tls_server *server;
static struct tls_client_ctx *ctx;

static void setup(void)
{
	const char *cert, *key;
	struct buf why = { 0 };

	loop = ev_loop_new(EVFLAG_AUTO);
	cert_make(&leaf, &(struct cert_spec){ .name = "leaf",
					      .sans = "DNS:mx.example.org",
					      .days = 30 });
	cert = leaf.cert_path, key = leaf.key_path;
	cr_assert_eq(tls_server_new(&server, &cert, &key, 1, NULL, &why),
		     MX_OK, "%s", buf_cstr(&why));
	cr_assert_eq(tls_client_ctx_new(&ctx, leaf.cert_path, &why), MX_OK);
	buf_fini(&why);
	sides_spread(loop);
}

static void teardown(void)
{
	sides_gather();
	tls_server_unref(&server);
	tls_client_ctx_unref(&ctx);
	cert_free(&leaf);
	certs_clean();
	ev_loop_destroy(loop);
}

TestSuite(wire, .init = setup, .fini = teardown, .timeout = 60);

static size_t descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

Test(wire, few_processors_have_no_threads)
{
	static const struct {
		unsigned processors, threads;
	} cases[] = { { 1, 0 }, { 2, 0 }, { 5, 0 },    { 6, 3 },
		      { 8, 4 }, { 9, 4 }, { 1024, 16 } };

	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(wire_threads_for(cases[i].processors),
			     cases[i].threads, "%u", cases[i].processors);
}

/* The thread has read it all before the owner asks for TLS; see wire_priv.h. */
Test(wire, what_came_behind_starttls_ends_it)
{
	static const struct {
		const char *behind;
		bool is_fine;
	} cases[] = { { "", true }, { "RSET\r\n", false } };

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct span behind = span_str(cases[i].behind);
		struct side b = { 0 };
		int fd = sides_open_raw(loop, &b), inner, left = 1;

		cr_assert_eq(write(fd, "STARTTLS\r\n", 10), 10);
		run_until_got(loop, &b, 10);
		inner = b.c->wire->c->io.fd;
		cr_assert_eq(write(fd, behind.p, behind.n), (ssize_t)behind.n);
		while (left > 0) /* without the loop */
			cr_assert_eq(ioctl(inner, FIONREAD, &left), 0);
		conn_write(b.c, SPAN_LIT("220 go ahead\r\n"));
		conn_starttls_server(b.c, server);
		run_for(loop, cases[i].is_fine ? 50 : 1);
		if (!cases[i].is_fine)
			run_until(loop, &b.ends, 1);
		cr_expect_eq(b.ends, cases[i].is_fine ? 0 : 1);
		if (!cases[i].is_fine)
			cr_expect_eq(b.why, CONN_TLS);
		cr_expect_eq(b.got.n, 10, "and it is nobody's input");
		side_close(&b);
		close(fd);
	}
}

static bool leave_all(struct side *s, enum side_event e)
{
	(void)s;
	return e == SIDE_INPUT;
}

static void fill(int fd)
{
	static char zeros[64 * 1024];
	int rounds = 0;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (rounds < 50) {
		if (send(fd, zeros, sizeof(zeros), MSG_NOSIGNAL) > 0)
			continue;
		usleep(1000);
		rounds++;
	}
}

/* A loop that is slow, an owner that does not take: nothing grows. */
Test(wire, what_is_on_its_way_up_is_bounded)
{
	static const struct {
		size_t most, bound;
	} cases[] = { { SIZE_MAX, 128 * 1024 }, { 4096, 8192 } };

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct side b = { .hook = leave_all };
		int fd = sides_open_raw(loop, &b);

		conn_read_most(b.c, cases[i].most);
		ev_run(loop, EVRUN_NOWAIT);
		fill(fd);
		for (int k = 0; k < 30000 &&
				conn_input(b.c).n < cases[i].bound / 4;
		     k++)
			run_for(loop, 1);
		run_for(loop, 50);
		cr_expect_leq(conn_input(b.c).n, cases[i].bound);
		cr_expect_geq(conn_input(b.c).n, cases[i].bound / 4);
		side_close(&b);
		close(fd);
	}
}

/* A line that is longer than half of the window is waited for to its end. */
static bool whole(struct side *s, enum side_event e)
{
	struct span in;

	if (e != SIDE_INPUT)
		return false;
	in = conn_input(s->c);
	if (in.n >= 3000) {
		buf_add(&s->got, span_of(in.p, 3000));
		conn_consume(s->c, 3000);
	}
	return true;
}

Test(wire, who_takes_large_pieces_gets_them)
{
	struct side b = { .hook = whole };
	int fd = sides_open_raw(loop, &b);
	char piece[1000] = { 0 };

	conn_read_most(b.c, 4096);
	for (size_t i = 1; i <= 30; i++) {
		cr_assert_eq(write(fd, piece, sizeof(piece)), 1000);
		run_until_got(loop, &b, i / 3 * 3000);
	}
	side_close(&b);
	close(fd);
}

/* So much was taken that the thread has not heard of it; then a line comes. */
static bool whole_line(struct side *s, enum side_event e)
{
	size_t wanted = s->got.n == 0 ? 4096 / 2 - 1 : CONN_WHOLE_MAX(4096);
	struct span in;

	if (e != SIDE_INPUT)
		return false;
	in = conn_input(s->c);
	if (in.n >= wanted) {
		buf_add(&s->got, span_of(in.p, wanted));
		conn_consume(s->c, wanted);
	}
	return true;
}

Test(wire, the_longest_line_comes_to_its_end)
{
	struct side b = { .hook = whole_line };
	int fd = sides_open_raw(loop, &b);
	char line[CONN_WHOLE_MAX(4096)] = { 0 };
	size_t first = 4096 / 2 - 1;

	conn_read_most(b.c, 4096);
	cr_assert_eq(write(fd, line, first), (ssize_t)first);
	run_until_got(loop, &b, first);
	cr_assert_eq(write(fd, line, sizeof(line) - 1),
		     (ssize_t)sizeof(line) - 1);
	run_for(loop, 20);
	cr_assert_eq(write(fd, line, 1), 1);
	run_until_got(loop, &b, first + sizeof(line));
	side_close(&b);
	close(fd);
}

static void open_tls(struct side *a, struct side *b)
{
	static const struct tls_demand any = { .auth = TLS_AUTH_NONE };
	struct tls_client tc = { ctx, &any };

	*a = *b = (struct side){ 0 };
	sides_open(loop, a, b);
	conn_starttls_server(b->c, server);
	conn_starttls_client(a->c, &tc);
}

enum { PAIRS = 40 };

Test(wire, many_handshakes_at_once)
{
	static struct side a[PAIRS], b[PAIRS];

	for (size_t i = 0; i < PAIRS; i++)
		open_tls(&a[i], &b[i]);
	for (size_t i = 0; i < PAIRS; i++) {
		run_until(loop, &b[i].readies, 1);
		cr_expect_str_eq(conn_tls(b[i].c)->version, "TLSv1.3");
		conn_write(b[i].c, SPAN_LIT("250 ok\r\n"));
		run_until_got(loop, &a[i], 8);
		side_close(&a[i]);
		side_close(&b[i]);
	}
}

/* Whatever they are doing: with the threads all descriptors are gone. */
Test(wire, stop_in_the_middle)
{
	static struct side a[PAIRS], b[PAIRS];
	static char piece[256 * 1024];
	size_t before = descriptors();

	for (size_t i = 0; i < PAIRS; i++) {
		open_tls(&a[i], &b[i]);
		for (size_t k = 0; k < i % 7; k++)
			ev_run(loop, EVRUN_NOWAIT);
		conn_write(b[i].c, span_of(piece, sizeof(piece)));
		if (i % 2 == 0)
			conn_close_after_output(&b[i].c, 60 * 1000);
		side_close(&b[i]);
	}
	cr_expect_gt(conn_lingering(), 0);
	for (size_t i = 0; i < PAIRS; i++)
		side_close(&a[i]);
	wire_threads_stop();
	cr_expect_eq(conn_lingering(), 0);
	wire_threads_start(loop, 2);
	cr_expect_eq(descriptors(), before);
}

/* Who has left is counted until his descriptor is free. */
Test(wire, what_is_left_is_counted)
{
	struct side b = { 0 };
	int fd = sides_open_raw(loop, &b);
	size_t before = descriptors();

	side_close(&b);
	cr_expect_eq(conn_lingering(), 1);
	for (int i = 0; i < 5000 && conn_lingering() > 0; i++)
		run_for(loop, 1);
	cr_expect_eq(conn_lingering(), 0);
	cr_expect_eq(descriptors(), before - 1);
	close(fd);
}

/* ---- Those that linger ---- */

/* A peer that was still talking; its descriptor. */
static int leave_lingering(struct side *b)
{
	int fd = sides_open_raw(loop, b);

	conn_pause(b->c);
	conn_close_after_output(&b->c, 60000);
	return fd;
}

static void wait_for_threads(void)
{
	while (wire_leaving() > 0)
		run_for(loop, 1);
}

/* The bound is for all threads together, and whoever goes beyond it ends the
 * oldest of his own; if there is none, nobody. */
Test(wire, those_that_linger_are_bounded)
{
	enum { MOST = 256 };
	struct wire_thread *first = wire_next();
	int fds[MOST + 2];
	struct side b = { 0 };

	for (size_t i = 0; i < MOST; i++) {
		while (wire_next() == first)
			;
		fds[i] = leave_lingering(&b);
	}
	wait_for_threads();
	cr_expect_eq(conn_lingering(), MOST);
	for (size_t i = MOST; i < MOST + 2; i++) {
		while (wire_next() != first)
			;
		fds[i] = leave_lingering(&b);
		wait_for_threads();
		cr_expect_eq(conn_lingering(), MOST + 1);
	}
	for (size_t i = 0; i < MOST + 2; i++)
		close(fds[i]);
}

static void read_slowly(int fd, size_t n)
{
	static char waste[1 << 16];
	size_t got = 0;

	for (int i = 0; i < 30000 && got < n; i++) {
		ssize_t now = read(fd, waste, sizeof(waste));

		if (now > 0)
			got += (size_t)now;
		else
			run_for(loop, 1);
	}
	cr_expect_eq(got, n);
}

/* Who takes no more input until its output is gone hears that it is, also when
 * the peer has said all that it has to say. */
Test(wire, drained_behind_the_end_of_input)
{
	static char piece[16 << 20];
	static const bool reads[] = { true, false };

	for (size_t i = 0; i < COUNT(reads); i++) {
		struct side b = { 0 };
		int fd = sides_open_raw(loop, &b);

		fcntl(fd, F_SETFL, O_NONBLOCK);
		conn_pause(b.c);
		conn_write(b.c, span_of(piece, sizeof(piece)));
		shutdown(fd, SHUT_WR);
		for (int k = 0; k < 30000 && !b.c->is_eof; k++)
			run_for(loop, 1);
		cr_assert_gt(conn_output_pending(b.c), 0);
		cr_expect_eq(b.draineds, 0);
		if (reads[i])
			read_slowly(fd, sizeof(piece));
		else
			close(fd);
		run_until(loop, &b.draineds, 1);
		cr_expect_eq(conn_output_pending(b.c), 0);
		conn_resume(b.c);
		run_until(loop, &b.ends, 1);
		cr_expect_eq(b.why, CONN_EOF);
		side_close(&b);
		if (reads[i])
			close(fd);
	}
}

static bool take_half_a_line(struct side *s, enum side_event e)
{
	struct span in = conn_input(s->c);

	if (e == SIDE_INPUT && in.n > 4) {
		buf_add(&s->got, span_of(in.p, in.n - 4));
		conn_consume(s->c, in.n - 4);
	}
	return e == SIDE_INPUT;
}

/* Idle connections hold as much as is unread. */
Test(wire, little_that_is_left_is_kept_as_little)
{
	static char piece[32 << 10];
	struct side b = { .hook = take_half_a_line };
	int fd = sides_open_raw(loop, &b);

	cr_assert_eq(write(fd, piece, sizeof(piece)), (ssize_t)sizeof(piece));
	run_until_got(loop, &b, sizeof(piece) - 4);
	cr_assert_eq(conn_input(b.c).n, 4);
	cr_expect_eq(conn_input(b.c).p, b.c->in, "what is taken is gone");
	side_close(&b);
	close(fd);
}
