#include "tests/support/sides.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/net/listen.h"
#include "common/net/wire.h"

/* For what is to come at once: a bound for what never does. */
enum { PATIENCE_MS = 30000 };

static void on_input(struct conn *c, void *arg)
{
	struct side *s = arg;

	s->inputs++;
	if (s->hook != NULL && s->hook(s, SIDE_INPUT))
		return;
	buf_add(&s->got, conn_input(c));
	conn_consume(c, conn_input(c).n);
}

static void on_ready(struct conn *c, void *arg)
{
	struct side *s = arg;

	(void)c;
	s->readies++;
	if (s->hook != NULL)
		s->hook(s, SIDE_READY);
}

static void on_drained(struct conn *c, void *arg)
{
	struct side *s = arg;

	(void)c;
	s->draineds++;
	if (s->hook != NULL)
		s->hook(s, SIDE_DRAINED);
}

static void on_end(struct conn *c, enum conn_end why, void *arg)
{
	struct side *s = arg;

	s->ends++;
	s->why = why;
	snprintf(s->error, sizeof(s->error), "%s", conn_error(c));
	if (s->hook != NULL)
		s->hook(s, SIDE_END);
}

const struct conn_events side_events = {on_input, on_ready, on_drained, on_end};

void sides_spread(struct ev_loop *loop)
{
	tls_threads_start(loop, 2);
	wire_threads_start(loop, 2);
}

void sides_gather(void)
{
	wire_threads_stop();
	tls_threads_stop();
}

static int listen_any(struct sockaddr_in *at)
{
	socklen_t len = sizeof(*at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	*at = (struct sockaddr_in){.sin_family = AF_INET};
	at->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	cr_assert(fd >= 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)at, len), 0);
	cr_assert_eq(listen(fd, 1), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)at, &len), 0);
	return fd;
}

static void take(struct ev_loop *loop, int lfd, struct side *server)
{
	int fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	cr_assert(fd >= 0);
	server->c = conn_new_spread(loop, fd, &side_events, server);
	close(lfd);
}

void sides_open(struct ev_loop *loop, struct side *client, struct side *server)
{
	struct sockaddr_in at;
	struct net_addr to;
	int lfd = listen_any(&at);

	net_addr_from_sockaddr(&to, (struct sockaddr *)&at);
	client->c = conn_connect(loop, &to, &side_events, client);
	run_until(loop, &client->readies, 1);
	client->readies = 0;
	take(loop, lfd, server);
}

int sides_open_raw(struct ev_loop *loop, struct side *server)
{
	struct sockaddr_in at;
	int lfd = listen_any(&at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	cr_assert_eq(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	take(loop, lfd, server);
	return fd;
}

void side_close(struct side *s)
{
	conn_free(&s->c);
	buf_fini(&s->got);
}

static void on_stop(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)w;
	(void)revents;
	ev_break(loop, EVBREAK_ALL);
}

static void run_some(struct ev_loop *loop, int64_t ms)
{
	ev_timer t;

	ev_timer_init(&t, on_stop, (double)ms / 1000., 0.);
	ev_timer_start(loop, &t);
	ev_run(loop, EVRUN_ONCE);
	ev_timer_stop(loop, &t);
}

void run_until(struct ev_loop *loop, const unsigned *what, unsigned least)
{
	int64_t ends = clock_mono_ms() + PATIENCE_MS;

	ev_now_update(loop);
	while (*what < least) {
		cr_assert(clock_mono_ms() < ends, "waited in vain");
		run_some(loop, 1000);
	}
}

void run_until_got(struct ev_loop *loop, const struct side *s, size_t n)
{
	int64_t ends = clock_mono_ms() + PATIENCE_MS;

	ev_now_update(loop);
	while (s->got.n < n) {
		cr_assert(clock_mono_ms() < ends, "got %zu of %zu", s->got.n,
			  n);
		run_some(loop, 1000);
	}
}

void run_for(struct ev_loop *loop, int64_t ms)
{
	int64_t ends = clock_mono_ms() + ms, now;

	ev_now_update(loop);
	while ((now = clock_mono_ms()) < ends)
		run_some(loop, ends - now);
}
