/*
 * smtpsink: takes mail and forgets it: the fastest primary there is.
 *
 * Listens on loopback, answers every command 2yz, and after --count messages
 * (or SIGTERM) prints one JSON object: when it began to listen, when the
 * first and the last message were taken (CLOCK_MONOTONIC seconds), how many,
 * over how many connections.  Offers PIPELINING and 8BITMIME, with --chunking
 * CHUNKING, too, with --cert and --key STARTTLS.
 */
#include <arpa/inet.h>
#include <ev.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { IN_BYTES = 64 * 1024, OUT_BYTES = 64 * 1024 };

static struct {
	struct ev_loop *loop;
	long count, limit, conns;
	double listening, first, last;
	int chunking;
	SSL_CTX *tls; /* NULL: not offered */
	ev_io io;
	ev_signal term;
} sink;

struct peer {
	ev_io io;
	SSL *ssl;	/* NULL: in clear */
	int wants_tls;	/* when what was said is on its way */
	int in_data;	/* between 354 and the final dot */
	unsigned match; /* bytes of CR LF . CR LF seen so far */
	uint64_t chunk; /* octets of BDAT still to come */
	int chunk_is_last;
	char line[2048];
	size_t line_len;
	char out[OUT_BYTES];
	size_t out_len;
};

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void report(void)
{
	printf("{\"messages\": %ld, \"connections\": %ld, \"listening\": %.6f, "
	       "\"first\": %.6f, \"last\": %.6f}\n",
	       sink.count, sink.conns, sink.listening, sink.first, sink.last);
	fflush(stdout);
}

static void say(struct peer *p, const char *text)
{
	size_t n = strlen(text);

	if (p->out_len + n > sizeof(p->out)) /* a client that never reads */
		abort();
	memcpy(p->out + p->out_len, text, n);
	p->out_len += n;
}

static void took(struct peer *p)
{
	sink.last = now_s();
	if (sink.count++ == 0)
		sink.first = sink.last;
	say(p, "250 2.0.0 taken\r\n");
	if (sink.limit > 0 && sink.count == sink.limit)
		ev_break(sink.loop, EVBREAK_ALL);
}

/* Content up to the final dot; returns the bytes used. */
static size_t eat_data(struct peer *p, const char *in, size_t n)
{
	static const char end[] = "\r\n.\r\n";

	for (size_t i = 0; i < n; i++) {
		if (p->match == 0) { /* fast: nothing but CR matters */
			const char *cr = memchr(in + i, '\r', n - i);

			if (cr == NULL)
				return n;
			i = (size_t)(cr - in);
		}
		if (in[i] == end[p->match])
			p->match++;
		else
			p->match = in[i] == '\r';
		if (p->match == 5) {
			p->in_data = 0;
			took(p);
			return i + 1;
		}
	}
	return n;
}

static size_t eat_chunk(struct peer *p, size_t n)
{
	size_t used = p->chunk < n ? (size_t)p->chunk : n;

	p->chunk -= used;
	if (p->chunk > 0)
		return used;
	if (p->chunk_is_last)
		took(p);
	else
		say(p, "250 2.0.0 chunk\r\n");
	return used;
}

static void on_bdat(struct peer *p)
{
	char *end;

	p->chunk = strtoull(p->line + 4, &end, 10);
	p->chunk_is_last = strcasestr(end, "LAST") != NULL;
	if (p->chunk == 0)
		eat_chunk(p, 0);
}

static int on_line(struct peer *p)
{
	p->line[p->line_len] = '\0';
	if (strncasecmp(p->line, "EHLO", 4) == 0) {
		say(p, "250-sink\r\n250-PIPELINING\r\n");
		if (sink.chunking)
			say(p, "250-CHUNKING\r\n");
		if (sink.tls != NULL && p->ssl == NULL)
			say(p, "250-STARTTLS\r\n");
		say(p, "250 8BITMIME\r\n");
	} else if (strncasecmp(p->line, "STARTTLS", 8) == 0) {
		say(p, "220 go\r\n");
		p->wants_tls = 1;
	} else if (strncasecmp(p->line, "DATA", 4) == 0) {
		p->in_data = 1;
		p->match = 2; /* the start of the data is the start of a line */
		say(p, "354 go\r\n");
	} else if (strncasecmp(p->line, "BDAT", 4) == 0) {
		on_bdat(p);
	} else if (strncasecmp(p->line, "QUIT", 4) == 0) {
		say(p, "221 bye\r\n");
		return 0;
	} else {
		say(p, strncasecmp(p->line, "RCPT", 4) == 0 ? "250 2.1.5 Ok\r\n"
		       : strncasecmp(p->line, "MAIL", 4) == 0
			       ? "250 2.1.0 Ok\r\n"
			       : "250 2.0.0 Ok\r\n");
	}
	return 1;
}

static size_t eat_line(struct peer *p, const char *in, size_t n, int *open)
{
	const char *lf = memchr(in, '\n', n);
	size_t used = lf != NULL ? (size_t)(lf - in) + 1 : n;

	if (p->line_len + used >= sizeof(p->line))
		abort();
	memcpy(p->line + p->line_len, in, used);
	p->line_len += used;
	if (lf != NULL) {
		*open = on_line(p);
		p->line_len = 0;
	}
	return used;
}

static int eat(struct peer *p, const char *in, size_t n)
{
	int open = 1;

	while (n > 0 && open) {
		size_t used;

		if (p->in_data)
			used = eat_data(p, in, n);
		else if (p->chunk > 0)
			used = eat_chunk(p, n);
		else
			used = eat_line(p, in, n, &open);
		in += used;
		n -= used;
	}
	return open;
}

/* The socket blocks: a handshake, or a record, is here in no time. */
static int go_secret(struct peer *p)
{
	p->wants_tls = 0;
	p->ssl = SSL_new(sink.tls);
	SSL_set_fd(p->ssl, p->io.fd);
	return SSL_accept(p->ssl) == 1;
}

static int eat_records(struct peer *p, char *in)
{
	int n;

	do {
		n = SSL_read(p->ssl, in, IN_BYTES);
		if (n <= 0 || !eat(p, in, (size_t)n))
			return 0;
	} while (SSL_pending(p->ssl) > 0);
	return 1;
}

static int eat_input(struct peer *p)
{
	static char in[IN_BYTES];
	ssize_t n;

	if (p->ssl != NULL)
		return eat_records(p, in);
	n = recv(p->io.fd, in, sizeof(in), 0);
	return n > 0 && eat(p, in, (size_t)n);
}

/* Replies are small: the kernel takes them, or the test is broken. */
static int answer(struct peer *p)
{
	const size_t n = p->out_len;

	p->out_len = 0;
	if (n == 0)
		return 1;
	if (p->ssl != NULL)
		return SSL_write(p->ssl, p->out, (int)n) == (int)n;
	return send(p->io.fd, p->out, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static void on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct peer *p = w->data;
	int open = eat_input(p);

	(void)revents;
	open = answer(p) && open;
	if (open && p->wants_tls)
		open = go_secret(p);
	if (!open) {
		ev_io_stop(loop, w);
		SSL_free(p->ssl);
		close(w->fd);
		free(p);
	}
}

static void on_connection(struct ev_loop *loop, ev_io *w, int revents)
{
	int on = 1, fd;

	(void)revents;
	while ((fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		struct peer *p = calloc(1, sizeof(*p));

		if (p == NULL)
			abort();
		sink.conns++;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		ev_io_init(&p->io, on_readable, fd, EV_READ);
		p->io.data = p;
		ev_io_start(loop, &p->io);
		if (send(fd, "220 sink\r\n", 10, MSG_NOSIGNAL) < 0)
			continue; /* reading will see it */
	}
}

static void on_term(struct ev_loop *loop, ev_signal *w, int revents)
{
	(void)w;
	(void)revents;
	ev_break(loop, EVBREAK_ALL);
}

static void listen_on(int port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)port) };
	int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 ||
	    listen(fd, SOMAXCONN) != 0) {
		perror("smtpsink");
		exit(1);
	}
	sink.listening = now_s();
	ev_io_init(&sink.io, on_connection, fd, EV_READ);
	ev_io_start(sink.loop, &sink.io);
}

static void offer_tls(const char *cert, const char *key)
{
	sink.tls = SSL_CTX_new(TLS_server_method());
	if (SSL_CTX_use_certificate_chain_file(sink.tls, cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(sink.tls, key, SSL_FILETYPE_PEM) != 1) {
		fprintf(stderr, "smtpsink: certificate or key\n");
		exit(1);
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "count", required_argument, NULL, 'n' },
		{ "chunking", no_argument, NULL, 'k' },
		{ "cert", required_argument, NULL, 'c' },
		{ "key", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	const char *cert = NULL, *key = NULL;
	int c, port = 2525;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'p')
			port = atoi(optarg);
		else if (c == 'n')
			sink.limit = atol(optarg);
		else if (c == 'k')
			sink.chunking = 1;
		else if (c == 'c')
			cert = optarg;
		else if (c == 's')
			key = optarg;
		else
			return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	if (cert != NULL && key != NULL)
		offer_tls(cert, key);
	sink.loop = ev_default_loop(0);
	ev_signal_init(&sink.term, on_term, SIGTERM);
	ev_signal_start(sink.loop, &sink.term);
	listen_on(port);
	ev_run(sink.loop, 0);
	report();
	return 0;
}
