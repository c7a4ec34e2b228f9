#include "common/net/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/log.h"

enum {
	ACCEPTS_PER_ROUND = 64,
	PAUSE_S = 1,
};

struct listener {
	struct ev_loop *loop;
	ev_io io;
	ev_timer pause;
	struct net_addr at;
	listener_cb *cb;
	void *arg;
	bool is_starved; /* said so already; until an accept works again */
	bool *freed;	 /* set while callbacks run */
};

static enum mx_err cannot_listen(struct buf *why, const struct net_addr *at,
				 int fd)
{
	int errnum = errno;

	buf_adds(why, "cannot listen on ");
	net_endpoint_add(why, at);
	buf_addf(why, ": %s", strerrordesc_np(errnum));
	if (fd >= 0)
		close(fd);
	return mx_from_errno(errnum);
}

enum mx_err listen_open(const struct net_addr *at, int *fd, struct buf *why)
{
	struct sockaddr_storage ss;
	socklen_t len = net_addr_to_sockaddr(at, &ss);
	const int on = 1;

	*fd = -1;
	int s = socket(at->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
		       0);
	if (s < 0)
		return cannot_listen(why, at, -1);
	/* a restart must not wait for connections in TIME-WAIT */
	if (setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
		return cannot_listen(why, at, s);
	if (at->family == AF_INET6 &&
	    setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0)
		return cannot_listen(why, at, s);
	if (bind(s, (const struct sockaddr *)&ss, len) != 0)
		return cannot_listen(why, at, s);
	/* the kernel cuts it to net.core.somaxconn */
	if (listen(s, 65535) != 0)
		return cannot_listen(why, at, s);
	*fd = s;
	return MX_OK;
}

/* No descriptor or memory is left: what waits in the backlog is better off
 * there than in a loop that spins. */
static void starve(struct listener *l, int errnum)
{
	ev_io_stop(l->loop, &l->io);
	ev_timer_set(&l->pause, PAUSE_S, 0.);
	ev_timer_start(l->loop, &l->pause);
	if (l->is_starved)
		return;
	l->is_starved = true;
	log_error(EV_CONNECT, LOG_STR("error", strerrordesc_np(errnum)),
		  LOG_STR("action", "pausing accept"));
}

/* False: stop for this round. */
static bool accept_one(struct listener *l)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct net_addr peer;
	int fd = accept4(l->io.fd, (struct sockaddr *)&ss, &len,
			 SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0) {
		l->is_starved = false;
		net_addr_from_sockaddr(&peer, (const struct sockaddr *)&ss);
		l->cb(fd, &peer, l->arg);
		return true;
	}
	switch (errno) {
	case EAGAIN:
		return false;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		starve(l, errno);
		return false;
	default: /* accept(2): errors of the new connection show here */
		return true;
	}
}

static void on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct listener *l = w->data;
	bool freed = false;

	(void)loop;
	(void)revents;
	l->freed = &freed;
	for (int i = 0; i < ACCEPTS_PER_ROUND && accept_one(l); i++)
		if (freed)
			return;
	l->freed = NULL;
}

static void on_pause_over(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct listener *l = w->data;

	(void)revents;
	ev_io_start(loop, &l->io);
}

struct listener *listener_new(struct ev_loop *loop, int fd, listener_cb *cb,
			      void *arg)
{
	struct listener *l = mx_alloc(sizeof(*l));
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);
	const int on = 1;

	MX_ASSERT(fd >= 0 && cb != NULL);
	l->loop = loop;
	l->cb = cb;
	l->arg = arg;
	if (getsockname(fd, (struct sockaddr *)&ss, &len) == 0)
		net_addr_from_sockaddr(&l->at, (const struct sockaddr *)&ss);
	/* systemd passes sockets that block: accept must not */
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	/* Accepted sockets inherit it: one call here, none for each client. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	ev_io_init(&l->io, on_readable, fd, EV_READ);
	ev_init(&l->pause, on_pause_over);
	l->io.data = l;
	l->pause.data = l;
	ev_io_start(loop, &l->io);
	return l;
}

void listener_free(struct listener **lp)
{
	struct listener *l = *lp;

	*lp = NULL;
	if (l == NULL)
		return;
	if (l->freed != NULL)
		*l->freed = true;
	ev_io_stop(l->loop, &l->io);
	ev_timer_stop(l->loop, &l->pause);
	close(l->io.fd);
	free(l);
}

const struct net_addr *listener_addr(const struct listener *l)
{
	return &l->at;
}
