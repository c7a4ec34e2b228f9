/*
 * smtpload: an SMTP load generator that remembers what was acknowledged.
 *
 * Opens --conns connections at once, sends --messages over each, waits for
 * every reply (no pipelining: what most senders do), and prints one JSON
 * object: rate, and percentiles of the wait for the reply after the final
 * dot.  Every message carries "X-Load-Id: N"; --acked FILE lists the N that
 * were answered 250.  --idle opens the connections, says EHLO, and holds them
 * until standard input closes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum stage { GREETING, EHLO, MAIL, RCPT, DATA, BODY, QUIT, HELD, CLOSED };

struct load {
	struct sockaddr_in to;
	long conns, messages, size, first_id;
	const char *rcpt, *from;
	FILE *acked;
	int idle;
	char *body;
	size_t body_len;
	/* results */
	long open, next_id, done, failed, refused, greeted;
	double *wait_ms;
	double began, ended, first_greeting, last_greeting;
};

struct client {
	ev_io io;
	struct load *load;
	enum stage stage;
	long left, id;
	char in[4096];
	size_t in_len;
	char *out;
	size_t out_len, out_at, out_cap;
	double sent_at;
};

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "smtpload: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void client_end(struct client *c, struct ev_loop *loop)
{
	ev_io_stop(loop, &c->io);
	close(c->io.fd);
	c->stage = CLOSED;
	free(c->out);
	c->out = NULL;
	c->out_cap = 0;
	if (--c->load->open == 0)
		ev_break(loop, EVBREAK_ALL);
}

static void flush_output(struct client *c, struct ev_loop *loop)
{
	int events = EV_READ;

	while (c->out_at < c->out_len) {
		ssize_t n = send(c->io.fd, c->out + c->out_at,
				 c->out_len - c->out_at, MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			events |= EV_WRITE;
			break;
		}
		if (n < 0)
			return; /* reading will report it */
		c->out_at += (size_t)n;
	}
	if (c->out_at == c->out_len)
		c->out_at = c->out_len = 0;
	if (c->io.events != events) {
		ev_io_stop(loop, &c->io);
		ev_io_set(&c->io, c->io.fd, events);
		ev_io_start(loop, &c->io);
	}
}

static void queue(struct client *c, const char *p, size_t n)
{
	if (c->out_len + n > c->out_cap) {
		c->out_cap = c->out_len + n;
		c->out = realloc(c->out, c->out_cap);
		if (c->out == NULL)
			die("memory");
	}
	memcpy(c->out + c->out_len, p, n);
	c->out_len += n;
}

/* "VERB", or "VERB" and its argument between angle brackets. */
static void say(struct client *c, enum stage next, const char *verb,
		const char *path)
{
	char line[600];
	int n = path != NULL ? snprintf(line, sizeof(line), "%s<%s>\r\n", verb,
					path)
			     : snprintf(line, sizeof(line), "%s\r\n", verb);

	c->stage = next;
	queue(c, line, (size_t)n);
}

static void next_message(struct client *c)
{
	if (c->left-- > 0) {
		c->id = c->load->next_id++;
		say(c, MAIL, "MAIL FROM:", c->load->from);
	} else {
		say(c, QUIT, "QUIT", NULL);
	}
}

static void send_body(struct client *c)
{
	char head[200];
	int n = snprintf(head, sizeof(head),
			 "X-Load-Id: %ld\r\nSubject: load\r\n\r\n", c->id);

	c->stage = BODY;
	queue(c, head, (size_t)n);
	queue(c, c->load->body, c->load->body_len);
	c->sent_at = now_s();
}

static void greeted(struct load *l)
{
	double now = now_s();

	if (l->greeted++ == 0)
		l->first_greeting = now;
	l->last_greeting = now;
}

static void body_answered(struct client *c, int code)
{
	struct load *l = c->load;

	if (code == 250) {
		l->wait_ms[l->done++] = (now_s() - c->sent_at) * 1e3;
		if (l->acked != NULL)
			fprintf(l->acked, "%ld\n", c->id);
	} else {
		l->refused++;
	}
	next_message(c);
}

/* One whole reply.  Any refusal before the body gives up the message. */
static void on_reply(struct client *c, struct ev_loop *loop, int code)
{
	if (c->stage > EHLO && c->stage < BODY && code >= 400) {
		c->load->refused++;
		say(c, QUIT, "QUIT", NULL);
		return;
	}
	switch (c->stage) {
	case GREETING:
		greeted(c->load);
		say(c, EHLO, "EHLO load.test", NULL);
		break;
	case EHLO:
		if (c->load->idle)
			c->stage = HELD;
		else
			next_message(c);
		if (c->load->idle && --c->load->open == 0)
			ev_break(loop, EVBREAK_ALL);
		break;
	case MAIL:
		say(c, RCPT, "RCPT TO:", c->load->rcpt);
		break;
	case RCPT:
		say(c, DATA, "DATA", NULL);
		break;
	case DATA:
		send_body(c);
		break;
	case BODY:
		body_answered(c, code);
		break;
	case QUIT:
	case HELD:
	case CLOSED:
		break;
	}
}

static void on_input(struct client *c, struct ev_loop *loop)
{
	char *line = c->in, *end;

	while ((end = memchr(line, '\n', c->in_len - (size_t)(line - c->in)))) {
		if (end - line >= 4 && line[3] != '-')
			on_reply(c, loop, atoi(line));
		line = end + 1;
	}
	c->in_len -= (size_t)(line - c->in);
	memmove(c->in, line, c->in_len);
}

static void on_event(struct ev_loop *loop, ev_io *w, int revents)
{
	struct client *c = w->data;

	if (revents & EV_READ) {
		ssize_t n = recv(w->fd, c->in + c->in_len,
				 sizeof(c->in) - c->in_len, 0);

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			if (c->stage != QUIT)
				c->load->failed++;
			client_end(c, loop);
			return;
		}
		if (n > 0) {
			c->in_len += (size_t)n;
			on_input(c, loop);
		}
	}
	flush_output(c, loop);
}

static void client_start(struct client *c, struct load *l, struct ev_loop *loop)
{
	int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (fd < 0)
		die("socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (struct sockaddr *)&l->to, sizeof(l->to)) != 0 &&
	    errno != EINPROGRESS)
		die("connect");
	*c = (struct client){ .load = l, .left = l->messages };
	ev_io_init(&c->io, on_event, fd, EV_READ);
	c->io.data = c;
	ev_io_start(loop, &c->io);
	l->open++;
}

static void make_body(struct load *l)
{
	l->body = malloc((size_t)l->size + 200);
	if (l->body == NULL)
		die("memory");
	while (l->body_len + 80 <= (size_t)l->size) {
		memset(l->body + l->body_len, 'x', 78);
		memcpy(l->body + l->body_len + 78, "\r\n", 2);
		l->body_len += 80;
	}
	memcpy(l->body + l->body_len, ".\r\n", 3);
	l->body_len += 3;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double percentile(const struct load *l, double p)
{
	if (l->done == 0)
		return 0;
	return l->wait_ms[(long)((double)(l->done - 1) * p)];
}

static void report(struct load *l)
{
	double s = l->ended - l->began;

	qsort(l->wait_ms, (size_t)l->done, sizeof(double), by_value);
	printf("{\"messages\": %ld, \"failed\": %ld, \"refused\": %ld, "
	       "\"seconds\": %.4f, \"rate\": %.1f, \"mb_s\": %.2f, "
	       "\"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f, "
	       "\"greeted\": %ld, \"greeted_s\": %.4f}\n",
	       l->done, l->failed, l->refused, s, (double)l->done / s,
	       (double)l->done * (double)l->size / s / 1e6,
	       percentile(l, 0.5), percentile(l, 0.99), percentile(l, 1),
	       l->greeted, l->last_greeting - l->began);
	fflush(stdout);
}

static void hold(struct load *l)
{
	char c;

	l->ended = now_s();
	report(l);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
}

static void run(struct load *l)
{
	struct ev_loop *loop = ev_default_loop(0);
	struct client *clients = calloc((size_t)l->conns, sizeof(*clients));

	l->wait_ms = calloc((size_t)(l->conns * l->messages) + 1,
			    sizeof(double));
	if (clients == NULL || l->wait_ms == NULL)
		die("memory");
	l->next_id = l->first_id;
	l->began = now_s();
	for (long i = 0; i < l->conns; i++)
		client_start(&clients[i], l, loop);
	ev_run(loop, 0);
	l->ended = now_s();
	if (l->idle)
		hold(l);
	else
		report(l);
	free(clients);
	free(l->wait_ms);
}

static void raise_limits(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "conns", required_argument, NULL, 'c' },
		{ "messages", required_argument, NULL, 'm' },
		{ "size", required_argument, NULL, 's' },
		{ "rcpt", required_argument, NULL, 'r' },
		{ "from", required_argument, NULL, 'f' },
		{ "acked", required_argument, NULL, 'a' },
		{ "first-id", required_argument, NULL, 'i' },
		{ "idle", no_argument, NULL, 'I' },
		{ NULL, 0, NULL, 0 },
	};
	struct load l = { .conns = 1, .messages = 1, .size = 4096,
			  .rcpt = "u@example.com", .from = "a@sender.test" };
	int c;

	l.to.sin_family = AF_INET;
	l.to.sin_addr.s_addr = htonl(INADDR_LOOPBACK); /* and nowhere else */
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'p': l.to.sin_port = htons((uint16_t)atoi(optarg)); break;
		case 'c': l.conns = atol(optarg); break;
		case 'm': l.messages = atol(optarg); break;
		case 's': l.size = atol(optarg); break;
		case 'r': l.rcpt = optarg; break;
		case 'f': l.from = optarg; break;
		case 'i': l.first_id = atol(optarg); break;
		case 'I': l.idle = 1; break;
		case 'a':
			l.acked = fopen(optarg, "w");
			if (l.acked == NULL)
				die(optarg);
			break;
		default:
			return 2;
		}
	}
	raise_limits();
	make_body(&l);
	run(&l);
	free(l.body);
	if (l.acked != NULL && fclose(l.acked) != 0)
		die("acked");
	return 0;
}
