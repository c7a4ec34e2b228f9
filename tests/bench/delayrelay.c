/*
 * delayrelay: a TCP relay on loopback that makes the way long.
 *
 * Every byte is passed on --ms milliseconds after it arrived, in each
 * direction: a round trip takes twice that.  Bandwidth is not limited.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BLOCK_BYTES = 64 * 1024 };

struct block {
	STAILQ_ENTRY(block) link;
	double due;
	size_t len, at;
	char bytes[BLOCK_BYTES];
};

/* One direction: what was read from one socket and is due at the other. */
struct way {
	ev_io in;
	ev_timer timer;
	int to;
	int eof;
	STAILQ_HEAD(, block) blocks;
	struct pair *pair;
};

struct pair {
	struct way up, down;
};

static double delay_s;
static struct sockaddr_in target;

static void pair_free(struct ev_loop *loop, struct pair *p)
{
	struct way *ways[] = { &p->up, &p->down };

	for (int i = 0; i < 2; i++) {
		struct block *b;

		ev_io_stop(loop, &ways[i]->in);
		ev_timer_stop(loop, &ways[i]->timer);
		close(ways[i]->in.fd);
		while ((b = STAILQ_FIRST(&ways[i]->blocks)) != NULL) {
			STAILQ_REMOVE_HEAD(&ways[i]->blocks, link);
			free(b);
		}
	}
	free(p);
}

static void arm(struct ev_loop *loop, struct way *w)
{
	struct block *b = STAILQ_FIRST(&w->blocks);
	double wait = b->due - ev_now(loop);

	ev_timer_stop(loop, &w->timer);
	ev_timer_set(&w->timer, wait > 0 ? wait : 0, 0);
	ev_timer_start(loop, &w->timer);
}

static void on_due(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct way *w = t->data;
	struct block *b;

	(void)revents;
	while ((b = STAILQ_FIRST(&w->blocks)) != NULL &&
	       b->due <= ev_now(loop)) {
		ssize_t n = send(w->to, b->bytes + b->at, b->len - b->at,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN) {
			b->due = ev_now(loop) + 0.001;
			break;
		}
		if (n < 0) {
			pair_free(loop, w->pair);
			return;
		}
		b->at += (size_t)n;
		if (b->at < b->len)
			continue;
		STAILQ_REMOVE_HEAD(&w->blocks, link);
		free(b);
	}
	if (b != NULL) {
		arm(loop, w);
	} else if (w->eof) {
		shutdown(w->to, SHUT_WR);
		if (w->pair->up.eof && w->pair->down.eof &&
		    STAILQ_EMPTY(&w->pair->up.blocks) &&
		    STAILQ_EMPTY(&w->pair->down.blocks))
			pair_free(loop, w->pair);
	}
}

static void on_bytes(struct ev_loop *loop, ev_io *io, int revents)
{
	struct way *w = io->data;
	struct block *b = malloc(sizeof(*b));
	ssize_t n;

	(void)revents;
	if (b == NULL)
		abort();
	n = recv(io->fd, b->bytes, sizeof(b->bytes), MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN) {
		free(b);
		return;
	}
	if (n <= 0) {
		ev_io_stop(loop, io);
		w->eof = 1;
		n = 0;
	}
	b->len = (size_t)n;
	b->at = 0;
	b->due = ev_now(loop) + delay_s;
	STAILQ_INSERT_TAIL(&w->blocks, b, link);
	if (STAILQ_FIRST(&w->blocks) == b)
		arm(loop, w);
}

static void way_init(struct ev_loop *loop, struct way *w, int from, int to,
		     struct pair *p)
{
	w->to = to;
	w->pair = p;
	STAILQ_INIT(&w->blocks);
	ev_io_init(&w->in, on_bytes, from, EV_READ);
	w->in.data = w;
	ev_io_start(loop, &w->in);
	ev_init(&w->timer, on_due);
	w->timer.data = w;
}

static void on_connection(struct ev_loop *loop, ev_io *io, int revents)
{
	int on = 1, fd = accept(io->fd, NULL, NULL);
	int out = socket(AF_INET, SOCK_STREAM, 0);
	struct pair *p;

	(void)revents;
	if (fd < 0 || out < 0 ||
	    connect(out, (struct sockaddr *)&target, sizeof(target)) != 0) {
		close(fd);
		close(out);
		return;
	}
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		abort();
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(out, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	way_init(loop, &p->up, fd, out, p);
	way_init(loop, &p->down, out, fd, p);
}

static int listen_on(int port)
{
	struct sockaddr_in at = target;
	int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	at.sin_port = htons((uint16_t)port);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 ||
	    listen(fd, SOMAXCONN) != 0) {
		perror("delayrelay");
		exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "to", required_argument, NULL, 't' },
		{ "ms", required_argument, NULL, 'm' },
		{ NULL, 0, NULL, 0 },
	};
	struct ev_loop *loop = ev_default_loop(0);
	ev_io io;
	int c, port = 0;

	target.sin_family = AF_INET;
	target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'p')
			port = atoi(optarg);
		else if (c == 't')
			target.sin_port = htons((uint16_t)atoi(optarg));
		else if (c == 'm')
			delay_s = atof(optarg) / 1000;
		else
			return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	ev_io_init(&io, on_connection, listen_on(port), EV_READ);
	ev_io_start(loop, &io);
	ev_run(loop, 0);
	return 0;
}
