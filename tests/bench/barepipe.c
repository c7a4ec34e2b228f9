/*
 * barepipe: a TCP proxy on loopback that does nothing: what one thread can do.
 *
 * Each connection to --port gets one to --to, and bytes go from either to the
 * other as they come, unread.  One epoll loop, no timers, no log; what a socket
 * does not take at once ends the connection: replies and messages are small.
 * Whatever parses, decides and keeps on one thread is slower than this.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIECE = 64 * 1024, EVENTS = 64 };

/* One side; the other is beside it. */
struct side {
	int fd;
	struct side *other;
};

static struct sockaddr_in to = { .sin_family = AF_INET };
static int epoll_fd, listener;

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static void watch(int fd, void *data)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = data };
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) != 0)
		die("epoll_ctl");
}

/* Connecting blocks: on loopback it does not take long. */
static void take(void)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	int far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct side *pair = calloc(2, sizeof(*pair));

	if (fd < 0 || far < 0 || pair == NULL ||
	    connect(far, (struct sockaddr *)&to, sizeof(to)) != 0)
		die("connection");
	pair[0] = (struct side){ fd, &pair[1] };
	pair[1] = (struct side){ far, &pair[0] };
	watch(fd, &pair[0]);
	watch(far, &pair[1]);
}

/* Both at once; the memory stays, since the other may have an event, too. */
static void end(struct side *s)
{
	close(s->fd);
	close(s->other->fd);
	s->fd = s->other->fd = -1;
}

static void carry(struct side *s)
{
	static char piece[PIECE];
	ssize_t n;

	if (s->fd < 0)
		return;
	n = recv(s->fd, piece, sizeof(piece), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || send(s->other->fd, piece, (size_t)n,
			   MSG_DONTWAIT | MSG_NOSIGNAL) != n)
		end(s);
}

static void listen_on(int port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)port) };
	struct epoll_event e = { .events = EPOLLIN };
	int on = 1;

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) != 0 ||
	    listen(listener, SOMAXCONN) != 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &e) != 0)
		die("listen");
}

static void run(void)
{
	struct epoll_event events[EVENTS];
	int n;

	while ((n = epoll_wait(epoll_fd, events, EVENTS, -1)) >= 0 ||
	       errno == EINTR)
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == NULL)
				take();
			else
				carry(events[i].data.ptr);
		}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "to", required_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};
	int c, port = 0;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK); /* and nowhere else */
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'p')
			port = atoi(optarg);
		else if (c == 't')
			to.sin_port = htons((uint16_t)atoi(optarg));
		else
			return 2;
	}
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		die("epoll");
	listen_on(port);
	run();
	die("epoll_wait");
}
