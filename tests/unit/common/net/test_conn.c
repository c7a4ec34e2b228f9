#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/net/conn_priv.h"
#include "tests/support/sides.h"

static struct ev_loop *loop;
static struct side a, b; /* a connects to b */
static bool is_spread;

static void setup(void)
{
	signal(SIGPIPE, SIG_DFL); /* conn must not depend on it */
	loop = ev_loop_new(EVFLAG_AUTO);
	a = b = (struct side){ 0 };
}

static void teardown(void)
{
	side_close(&a);
	side_close(&b);
	sides_gather();
	run_for(loop, 1);
	ev_loop_destroy(loop);
}

TestSuite(conn, .init = setup, .fini = teardown, .timeout = 30);

/* The same when the accepted end's socket is a thread's. */
static void setup_spread(void)
{
	setup();
	is_spread = true;
	sides_spread(loop);
}

TestSuite(spread, .init = setup_spread, .fini = teardown, .timeout = 30);

/* What was written is on its way. */
static void flush(struct side *s)
{
	conn_flush(s->c);
	ev_run(loop, EVRUN_NOWAIT);
}

static void write_n(struct conn *c, size_t n)
{
	char *p = malloc(n);

	for (size_t i = 0; i < n; i++)
		p[i] = (char)(i * 31 >> 3);
	conn_write(c, span_of(p, n));
	free(p);
}

static void expect_pattern(const struct side *s, size_t n)
{
	cr_assert_eq(s->got.n, n);
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(s->got.p[i], (char)(i * 31 >> 3), "byte %zu", i);
}

#define BOTH(name) SIDES_BOTH(conn, spread, name)

BOTH(bytes_go_both_ways)
{
	sides_open(loop, &a, &b);
	conn_write(a.c, SPAN_LIT("EHLO a\r\n"));
	conn_write(b.c, SPAN_LIT("220 b\r\n"));
	run_until_got(loop, &a, 7);
	run_until_got(loop, &b, 8);
	cr_expect_str_eq(buf_cstr(&a.got), "220 b\r\n");
	cr_expect_str_eq(buf_cstr(&b.got), "EHLO a\r\n");
}

Test(conn, flush_sends_before_the_loop_runs)
{
	char got[8];
	int fd = sides_open_raw(loop, &b);

	conn_write(b.c, SPAN_LIT("220 "));
	conn_write(b.c, SPAN_LIT("b\r\n"));
	cr_expect_eq(conn_output_pending(b.c), 7);
	conn_flush(b.c);
	cr_expect_eq(conn_output_pending(b.c), 0);
	cr_expect_eq(recv(fd, got, sizeof(got), MSG_DONTWAIT), 7);
	close(fd);
}

static size_t unacked(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	cr_assert_eq(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	return info.tcpi_unacked;
}

static bool take_and_ack(struct side *s, enum side_event e)
{
	if (e != SIDE_INPUT)
		return false;
	conn_ack(s->c);
	return false;
}

/* A peer with Nagle's algorithm sends nothing more until then. */
BOTH(what_came_is_acknowledged_at_once)
{
	char got[100];
	int fd = sides_open_raw(loop, &b);

	b.hook = take_and_ack;
	for (size_t i = 1; i <= 20; i++) { /* else the output would do it */
		conn_write(b.c, SPAN_LIT("NOOP\r\n"));
		flush(&b);
		cr_assert_eq(recv(fd, got, sizeof(got), 0), 6);
		cr_assert_eq(send(fd, "250 \r\n", 6, 0), 6);
		run_until_got(loop, &b, 6 * i);
		for (int k = 0; k < 1000 && unacked(fd) > 0; k++)
			run_for(loop, 1);
		cr_expect_eq(unacked(fd), 0, "round %zu", i);
	}
	close(fd);
}

/* Two replies written in one callback leave in one segment. */
static bool reply_twice(struct side *s, enum side_event e)
{
	if (e != SIDE_INPUT)
		return false;
	conn_consume(s->c, conn_input(s->c).n);
	conn_write(s->c, SPAN_LIT("250 one\r\n"));
	conn_write(s->c, SPAN_LIT("250 two\r\n"));
	return true;
}

BOTH(output_of_a_callback_is_one_piece)
{
	sides_open(loop, &a, &b);
	b.hook = reply_twice;
	conn_write(a.c, SPAN_LIT("x"));
	run_until_got(loop, &a, 18);
	cr_expect_eq(a.inputs, 1);
}

/* Takes whole lines only. */
static bool lines(struct side *s, enum side_event e)
{
	if (e != SIDE_INPUT)
		return false;
	for (;;) {
		struct span in = conn_input(s->c);
		size_t lf = span_find(in, '\n');

		if (lf == in.n)
			return true;
		buf_add(&s->got, span_of(in.p, lf + 1));
		conn_consume(s->c, lf + 1);
	}
}

BOTH(what_is_left_comes_again_with_the_rest)
{
	int fd = sides_open_raw(loop, &b);

	b.hook = lines;
	cr_assert_eq(write(fd, "NOOP\r\nMA", 8), 8);
	run_until(loop, &b.inputs, 1);
	cr_expect_str_eq(buf_cstr(&b.got), "NOOP\r\n");
	cr_assert_eq(write(fd, "IL FR", 5), 5);
	run_until(loop, &b.inputs, 2);
	cr_assert_eq(write(fd, "OM\r\nDATA\r\n", 10), 10);
	run_until_got(loop, &b, 23);
	cr_expect_str_eq(buf_cstr(&b.got), "NOOP\r\nMAIL FROM\r\nDATA\r\n");
	cr_expect_eq(b.inputs, 3);
	close(fd);
}

static bool leave_all(struct side *s, enum side_event e)
{
	(void)s;
	return e == SIDE_INPUT;
}

BOTH(unread_input_is_bounded)
{
	enum { SENT = 1024 * 1024 };
	sides_open(loop, &a, &b);
	b.hook = leave_all;
	write_n(a.c, SENT);
	run_for(loop, 100);
	cr_expect_leq(conn_input(b.c).n, 128 * 1024);
	cr_expect_geq(conn_input(b.c).n, 64 * 1024);
	unsigned inputs = b.inputs;

	run_for(loop, 50); /* and it does not spin */
	cr_expect_eq(b.inputs, inputs);

	/* taken from outside a callback: it reads on */
	b.hook = NULL;
	buf_add(&b.got, conn_input(b.c));
	conn_consume(b.c, conn_input(b.c).n);
	run_until_got(loop, &b, SENT);
	expect_pattern(&b, SENT);
}

BOTH(discard_says_how_much_it_was)
{
	int fd = sides_open_raw(loop, &b);

	b.hook = leave_all;
	cr_assert_eq(write(fd, "RSET\r\n", 6), 6);
	run_until(loop, &b.inputs, 1);
	cr_expect_eq(conn_discard_input(b.c), 6);
	cr_expect_eq(conn_input(b.c).n, 0);
	close(fd);
}

BOTH(slow_reader_gets_all_and_drained_is_said_once)
{
	enum { SENT = 8 * 1024 * 1024 };
	sides_open(loop, &a, &b);
	conn_pause(b.c);
	for (int i = 0; i < 8; i++)
		write_n(a.c, SENT / 8);
	run_for(loop, 50);
	cr_expect_gt(conn_output_pending(a.c), 0);
	cr_expect_eq(b.inputs, 0);
	cr_expect_eq(a.draineds, 0);
	conn_resume(b.c);
	run_until_got(loop, &b, SENT);
	run_until(loop, &a.draineds, 1);
	cr_expect_eq(conn_output_pending(a.c), 0);
	run_for(loop, 10);
	cr_expect_eq(a.draineds, 1);
	for (int i = 0; i < 8; i++) {
		struct side part = { .got = { b.got.p + i * (SENT / 8),
					      SENT / 8, 0 } };

		expect_pattern(&part, SENT / 8);
	}
}

BOTH(small_writes_behind_a_backlog_keep_their_order)
{
	enum { BIG = 4 * 1024 * 1024 };
	sides_open(loop, &a, &b);
	conn_pause(b.c);
	write_n(a.c, BIG);
	for (int i = 0; i < 1000; i++)
		conn_write(a.c, SPAN_LIT("0123456789"));
	conn_resume(b.c);
	run_until_got(loop, &b, BIG + 10000);
	for (size_t i = 0; i < 10000; i++)
		cr_assert_eq(b.got.p[BIG + i], (char)('0' + i % 10));
	b.got.n = BIG;
	expect_pattern(&b, BIG);
}

static bool pause_with_input(struct side *s, enum side_event e)
{
	if (e == SIDE_INPUT && s->inputs == 1) {
		conn_pause(s->c);
		return true;
	}
	return false;
}

BOTH(resume_offers_what_waits)
{
	int fd = sides_open_raw(loop, &b);

	b.hook = pause_with_input;
	cr_assert_eq(write(fd, "x", 1), 1);
	run_until(loop, &b.inputs, 1);
	cr_assert_eq(write(fd, "y", 1), 1);
	run_for(loop, 20);
	cr_expect_eq(b.inputs, 1);
	conn_resume(b.c);
	cr_expect_eq(b.inputs, 1, "not before return");
	run_until_got(loop, &b, 2);
	close(fd);
}

BOTH(end_comes_after_the_input_it_follows)
{
	int fd = sides_open_raw(loop, &b);

	cr_assert_eq(write(fd, "QUIT\r\n", 6), 6);
	close(fd);
	run_until(loop, &b.ends, 1);
	cr_expect_str_eq(buf_cstr(&b.got), "QUIT\r\n");
	cr_expect_eq(b.why, CONN_EOF);
	run_for(loop, 10);
	cr_expect_eq(b.ends, 1);
}

BOTH(end_waits_for_a_paused_owner)
{
	int fd = sides_open_raw(loop, &b);

	b.hook = pause_with_input;
	cr_assert_eq(write(fd, "x", 1), 1);
	close(fd);
	run_until(loop, &b.inputs, 1);
	run_for(loop, 20);
	cr_expect_eq(b.ends, 0);
	conn_resume(b.c);
	run_until(loop, &b.ends, 1);
	cr_expect_str_eq(buf_cstr(&b.got), "x");
}

/* A client that shuts down its sending side still reads our replies. */
BOTH(half_closed_peer_still_gets_output)
{
	int fd = sides_open_raw(loop, &b);
	char got[8];

	shutdown(fd, SHUT_WR);
	run_until(loop, &b.ends, 1);
	cr_expect_eq(b.why, CONN_EOF);
	conn_write(b.c, SPAN_LIT("250 ok\r\n"));
	conn_close_after_output(&b.c, 1000);
	cr_expect_null(b.c);
	ev_run(loop, EVRUN_NOWAIT);
	cr_expect_eq(recv(fd, got, sizeof(got), MSG_WAITALL), 8);
	cr_expect_eq(recv(fd, got, 1, 0), 0);
	close(fd);
}

BOTH(refused_connection_ends)
{
	struct net_addr to;

	cr_assert_eq(net_endpoint_parse(SPAN_LIT("127.0.0.1"), ':', 1, &to),
		     MX_OK); /* nobody listens there */
	a.c = conn_connect(loop, &to, &side_events, &a);
	cr_expect_eq(a.ends, 0, "not before return");
	run_until(loop, &a.ends, 1);
	cr_expect_eq(a.why, CONN_ERROR);
	cr_expect_eq(a.readies, 0);
	cr_expect_str_eq(a.error, "Connection refused");
}

BOTH(unreachable_address_ends)
{
	struct net_addr to = { .family = AF_UNSPEC };

	a.c = conn_connect(loop, &to, &side_events, &a);
	run_until(loop, &a.ends, 1);
	cr_expect_eq(a.why, CONN_ERROR);
	cr_expect_neq(a.error[0], '\0');
}

BOTH(reset_is_an_error)
{
	int fd = sides_open_raw(loop, &b);
	const struct linger reset = { 1, 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
	run_until(loop, &b.ends, 1);
	cr_expect_eq(b.why, CONN_ERROR);
	cr_expect_str_eq(b.error, "Connection reset by peer");
}

/* A thread reads though the owner is paused. */
static void await_eof(struct side *s)
{
	for (int k = 0; k < 30000 && !s->c->is_eof; k++)
		run_for(loop, 1);
	cr_assert(s->c->is_eof);
}

/* The write fails, yet the peer's last words are read. */
BOTH(last_words_of_a_peer_that_left)
{
	int fd = sides_open_raw(loop, &b);

	conn_pause(b.c);
	cr_assert_eq(write(fd, "421 bye\r\n", 9), 9);
	close(fd);
	conn_write(b.c, SPAN_LIT("MAIL\r\n")); /* answered by a reset */
	conn_flush(b.c);
	if (is_spread)
		await_eof(&b);
	run_for(loop, 20);
	conn_write(b.c, SPAN_LIT("MAIL\r\n"));
	conn_flush(b.c);
	cr_expect_eq(b.ends, 0, "not before return");
	conn_resume(b.c);
	run_until(loop, &b.ends, 1);
	/* a thread has seen the end before that */
	cr_expect_eq(b.why, is_spread ? CONN_EOF : CONN_ERROR);
	cr_expect_str_eq(buf_cstr(&b.got), "421 bye\r\n");
}

BOTH(deadline_ends)
{
	int64_t begin = clock_mono_ms();
	int fd = sides_open_raw(loop, &b);

	conn_deadline(b.c, 5000);
	conn_deadline(b.c, 30); /* earlier than the timer is armed for */
	run_until(loop, &b.ends, 1);
	cr_expect_eq(b.why, CONN_DEADLINE);
	cr_expect_str_eq(b.error, "timed out");
	cr_expect_geq(clock_mono_ms() - begin, 30);
	cr_expect_lt(clock_mono_ms() - begin, 2000);
	close(fd);
}

BOTH(deadline_that_moves_does_not_end)
{
	int fd = sides_open_raw(loop, &b);

	for (int i = 0; i < 10; i++) { /* 700 ms in all */
		conn_deadline(b.c, 600);
		run_for(loop, 70);
	}
	cr_expect_eq(b.ends, 0);
	conn_deadline(b.c, 0);
	run_for(loop, 100);
	cr_expect_eq(b.ends, 0);
	conn_deadline(b.c, 10);
	run_until(loop, &b.ends, 1);
	close(fd);
}

static bool is_answered(struct side *s, enum side_event e)
{
	if (e == SIDE_INPUT)
		conn_deadline(s->c, 0);
	return false;
}

/* The process was stopped meanwhile, or had no processor. */
static void sleep_past_deadline(int fd)
{
	conn_deadline(b.c, 20);
	run_for(loop, 1);
	cr_assert_eq(send(fd, "250 \r\n", 6, 0), 6);
	usleep(40000);
}

Test(conn, an_answer_that_is_there_counts_behind_the_deadline)
{
	int fd = sides_open_raw(loop, &b);

	b.hook = is_answered;
	sleep_past_deadline(fd);
	run_until_got(loop, &b, 6);
	run_for(loop, 20);
	cr_expect_eq(b.ends, 0);
	close(fd);
}

Test(conn, what_is_no_answer_extends_no_deadline)
{
	int fd = sides_open_raw(loop, &b);

	sleep_past_deadline(fd);
	run_until(loop, &b.ends, 1);
	cr_expect_eq(b.why, CONN_DEADLINE);
	cr_expect_eq(b.got.n, 6);
	close(fd);
}

/* The kernel has it all, and the peer reads slowly, then no more. */
Test(conn, who_takes_slowly_is_not_idle)
{
	enum { ROUNDS = 8, MS = 400 };
	static char got[32 * 1024];
	int fd = sides_open_raw(loop, &b), small = 8 * 1024;

	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small,
				sizeof(small)), 0);
	write_n(b.c, 1 << 20);
	conn_deadline_idle(b.c, MS);
	for (int i = 0; i < ROUNDS; i++) {
		run_for(loop, MS / 4);
		cr_assert_gt(recv(fd, got, sizeof(got), 0), 0);
	}
	cr_expect_eq(b.ends, 0);
	run_until(loop, &b.ends, 1);
	cr_expect_eq(b.why, CONN_DEADLINE);
	close(fd);
}

static bool free_it(struct side *s, enum side_event e)
{
	(void)e;
	conn_write(s->c, SPAN_LIT("lost"));
	conn_free(&s->c);
	cr_expect_null(s->c);
	return true;
}

BOTH(free_inside_each_callback)
{
	/* input */
	int fd = sides_open_raw(loop, &b);

	b.hook = free_it;
	cr_assert_eq(write(fd, "x", 1), 1);
	run_until(loop, &b.inputs, 1);
	run_for(loop, 5);
	cr_expect_eq(b.inputs + b.ends, 1);
	close(fd);
	/* end */
	b = (struct side){ .hook = free_it };
	fd = sides_open_raw(loop, &b);
	close(fd);
	run_until(loop, &b.ends, 1);
	/* deadline */
	b = (struct side){ .hook = free_it };
	fd = sides_open_raw(loop, &b);
	conn_deadline(b.c, 1);
	run_until(loop, &b.ends, 1);
	close(fd);
	/* ready */
	b = (struct side){ 0 };
	sides_open(loop, &a, &b);
	side_close(&a);
	struct net_addr to;

	cr_assert_eq(net_endpoint_parse(SPAN_LIT("127.0.0.1"), ':', 1, &to),
		     MX_OK);
	a = (struct side){ .hook = free_it };
	a.c = conn_connect(loop, &to, &side_events, &a);
	run_until(loop, &a.ends, 1);
}

static struct side *victim;

static bool free_other(struct side *s, enum side_event e)
{
	if (e == SIDE_INPUT)
		conn_free(&victim->c);
	(void)s;
	return false;
}

/* Both have an event in the same round; the first frees the second. */
BOTH(free_another_with_an_event_pending)
{
	struct side x = { .hook = free_other }, y = { .hook = free_other };
	int fx = sides_open_raw(loop, &x), fy = sides_open_raw(loop, &y);

	cr_assert_eq(write(fx, "x", 1), 1);
	cr_assert_eq(write(fy, "y", 1), 1);
	victim = &y;
	x.arg = &y;
	y.hook = NULL;
	run_until(loop, &x.inputs, 1);
	run_for(loop, 20);
	cr_expect_null(y.c);
	side_close(&x);
	side_close(&y);
	close(fx);
	close(fy);
}

static bool bye(struct side *s, enum side_event e)
{
	if (e != SIDE_INPUT)
		return false;
	conn_write(s->c, SPAN_LIT("221 bye\r\n"));
	conn_close_after_output(&s->c, 1000);
	return true;
}

Test(conn, last_words_behind_the_deadline_go_out)
{
	char got[16];
	int fd = sides_open_raw(loop, &b);

	b.hook = bye;
	sleep_past_deadline(fd);
	run_for(loop, 20);
	cr_expect_eq(recv(fd, got, sizeof(got), MSG_DONTWAIT), 9);
	close(fd);
}

BOTH(close_after_output_inside_a_callback)
{
	sides_open(loop, &a, &b);
	b.hook = bye;
	conn_write(a.c, SPAN_LIT("QUIT\r\n"));
	run_until(loop, &a.ends, 1);
	cr_expect_eq(a.why, CONN_EOF);
	cr_expect_str_eq(buf_cstr(&a.got), "221 bye\r\n");
	cr_expect_eq(b.ends, 0);
}

/* The client is still sending: no reset may overtake the reply. */
BOTH(close_lets_a_talking_peer_read_the_reply)
{
	/* a thread may have read more than it is patient with before the client
	 * has its turn */
	const size_t sent = is_spread ? 512 * 1024 : 4 * 1024 * 1024;

	sides_open(loop, &a, &b);
	b.hook = bye;
	write_n(a.c, sent);
	run_until(loop, &a.ends, 1);
	cr_expect_eq(a.why, CONN_EOF, "%s", a.error);
	cr_expect_str_eq(buf_cstr(&a.got), "221 bye\r\n");
}

BOTH(close_gives_up_on_a_peer_that_does_not_read)
{
	int fd = sides_open_raw(loop, &b);

	write_n(b.c, 8 * 1024 * 1024);
	conn_close_after_output(&b.c, 50);
	run_for(loop, 150);
	cr_expect_eq(conn_lingering(), 0);
	/* no watcher is left: the loop has nothing to wait for */
	if (!is_spread)
		cr_expect_eq(ev_run(loop, EVRUN_NOWAIT), 0);
	close(fd);
}

BOTH(big_close_after_output_arrives_whole)
{
	enum { SENT = 8 * 1024 * 1024 };
	sides_open(loop, &a, &b);
	write_n(a.c, SENT);
	conn_close_after_output(&a.c, 5000);
	run_until(loop, &b.ends, 1);
	cr_expect_eq(b.why, CONN_EOF);
	expect_pattern(&b, SENT);
}
