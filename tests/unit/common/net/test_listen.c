#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/net/listen.h"
#include "tests/support/sides.h"

struct taken {
	unsigned count;
	int fds[256];
	struct net_addr last;
	struct listener *free_me;
};

static void on_accept(int fd, const struct net_addr *peer, void *arg)
{
	struct taken *t = arg;

	t->last = *peer;
	t->fds[t->count++] = fd;
	if (t->free_me != NULL)
		listener_free(&t->free_me);
}

static int dial(const struct net_addr *to)
{
	struct sockaddr_storage ss;
	socklen_t len = net_addr_to_sockaddr(to, &ss);
	int fd = socket(to->family, SOCK_STREAM, 0);

	cr_assert(fd >= 0);
	cr_assert_eq(connect(fd, (struct sockaddr *)&ss, len), 0);
	return fd;
}

static struct listener *listen_on(struct ev_loop *loop, const char *ip,
				  struct taken *t)
{
	struct net_addr at;
	struct buf why = { 0 };
	int fd;

	cr_assert_eq(net_addr_parse(span_str(ip), &at), MX_OK);
	cr_assert_eq(listen_open(&at, &fd, &why), MX_OK, "%s", buf_cstr(&why));
	buf_fini(&why);
	return listener_new(loop, fd, on_accept, t);
}

static void close_all(struct taken *t, const int *fds, size_t n)
{
	for (unsigned i = 0; i < t->count; i++)
		close(t->fds[i]);
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

Test(listen, accepts_and_names_the_peer, .timeout = 10)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct taken t = { 0 };
	struct listener *l = listen_on(loop, "127.0.0.1", &t);
	struct net_addr local;
	int fd = dial(listener_addr(l));

	run_until(loop, &t.count, 1);
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	cr_assert_eq(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	net_addr_from_sockaddr(&local, (struct sockaddr *)&ss);
	cr_expect(net_endpoint_eq(&local, &t.last));
	close_all(&t, &fd, 1);
	listener_free(&l);
	ev_loop_destroy(loop);
}

Test(listen, burst_is_taken_in_bounded_rounds, .timeout = 10)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct taken t = { 0 };
	struct listener *l = listen_on(loop, "127.0.0.1", &t);
	int fds[100];

	for (size_t i = 0; i < COUNT(fds); i++)
		fds[i] = dial(listener_addr(l));
	ev_run(loop, EVRUN_ONCE);
	cr_expect_gt(t.count, 0);
	cr_expect_lt(t.count, COUNT(fds));
	run_until(loop, &t.count, COUNT(fds));
	close_all(&t, fds, COUNT(fds));
	listener_free(&l);
	ev_loop_destroy(loop);
}

Test(listen, free_inside_the_callback, .timeout = 10)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct taken t = { 0 };
	int fds[2];

	t.free_me = listen_on(loop, "127.0.0.1", &t);
	struct net_addr at = *listener_addr(t.free_me);

	fds[0] = dial(&at);
	fds[1] = dial(&at);
	run_until(loop, &t.count, 1);
	cr_expect_eq(ev_run(loop, EVRUN_NOWAIT), 0, "nothing is watched");
	close_all(&t, fds, 2);
	ev_loop_destroy(loop);
}

/* Without descriptors it waits instead of spinning, and then goes on. */
Test(listen, out_of_descriptors_is_a_pause, .timeout = 10)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct taken t = { 0 };
	struct listener *l = listen_on(loop, "127.0.0.1", &t);
	int fd = dial(listener_addr(l));
	struct rlimit was, none;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = was;
	none.rlim_cur = 3;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	run_for(loop, 100);
	cr_expect_eq(t.count, 0);
	unsigned rounds = ev_iteration(loop);

	run_for(loop, 100);
	cr_expect_lt(ev_iteration(loop) - rounds, 5, "it spins");
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &was), 0);
	run_until(loop, &t.count, 1);
	close_all(&t, &fd, 1);
	listener_free(&l);
	ev_loop_destroy(loop);
}

/* systemd's sockets block; the loop must not. */
Test(listen, socket_that_blocks_does_not_stop_the_loop, .timeout = 10)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct taken t = { 0 };
	struct net_addr at;
	struct buf why = { 0 };
	int fd;

	cr_assert_eq(net_addr_parse(SPAN_LIT("127.0.0.1"), &at), MX_OK);
	cr_assert_eq(listen_open(&at, &fd, &why), MX_OK);
	cr_assert_eq(fcntl(fd, F_SETFL, 0), 0);
	struct listener *l = listener_new(loop, fd, on_accept, &t);
	int client = dial(listener_addr(l));

	run_until(loop, &t.count, 1);
	run_for(loop, 10);
	close_all(&t, &client, 1);
	listener_free(&l);
	ev_loop_destroy(loop);
}

Test(listen, failure_names_the_address, .timeout = 10)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct taken t = { 0 };
	struct listener *l = listen_on(loop, "127.0.0.1", &t);
	struct buf why = { 0 }, want = { 0 };
	int fd;

	cr_expect_neq(listen_open(listener_addr(l), &fd, &why), MX_OK);
	cr_expect_eq(fd, -1);
	buf_adds(&want, "cannot listen on ");
	net_endpoint_add(&want, listener_addr(l));
	buf_adds(&want, ": Address already in use");
	cr_expect_str_eq(buf_cstr(&why), buf_cstr(&want));
	buf_fini(&why);
	buf_fini(&want);
	listener_free(&l);
	ev_loop_destroy(loop);
}
