/*
 * tlsload: SMTP sessions over STARTTLS, each with a whole handshake.
 *
 * --conns at once, --sessions each: EHLO, STARTTLS, handshake (TLS 1.3), EHLO,
 * MAIL, RCPT.  A recipient that is taken gets a message of --size octets; one
 * that is refused ends the session with QUIT.  --pause-ms N: between the
 * sessions of a connection.  Prints one JSON object: rate, percentiles of the
 * wait for a reply, and the processor time that it took itself: all of it on
 * one thread, so when that is busy all the time, it is the limit ("is_limit").
 *
 * --clear: the same without TLS, for what that costs.
 *
 * --hold WHERE: the handshakes end there: before the ClientHello ("hello"), in
 * the middle of it ("part"), or where our answer to the ServerHello is due
 * ("answer"); says so in a line, and waits for standard input to close.
 *
 * --bare CERT KEY: no server; what OpenSSL's side of a server costs for the
 * same handshake, in memory, on this processor.
 */
#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/tls13.h"

enum { REPLIES_A_SESSION = 9, EVENTS = 64 };

static struct options {
	struct sockaddr_in to;
	long conns, sessions, size, pause_ms;
	const char *rcpt;
	const char *hold;
	int is_clear;
} opt = { .conns = 20, .sessions = 50, .size = 4096, .rcpt = "u@example.com" };

enum stage {
	GREETING,
	EHLO,
	STARTTLS,
	SHAKE,
	EHLO_AGAIN,
	MAIL,
	RCPT,
	DATA,
	DOT,
	QUIT,
	OVER
};

/* The reply that a stage waits for, and what is said then. */
static struct {
	int code;
	enum stage next;
	const char *line;
} steps[] = {
	[GREETING] = { 220, EHLO, "EHLO load.test\r\n" },
	[EHLO] = { 250, STARTTLS, "STARTTLS\r\n" },
	[STARTTLS] = { 220, SHAKE, NULL },
	[SHAKE] = { 0, EHLO_AGAIN, "EHLO load.test\r\n" },
	[EHLO_AGAIN] = { 250, MAIL, "MAIL FROM:<load@example.net>\r\n" },
	[MAIL] = { 250, RCPT, NULL }, /* made at the start */
	[RCPT] = { 250, DATA, "DATA\r\n" },
	[DATA] = { 354, DOT, NULL }, /* made at the start */
	[DOT] = { 250, QUIT, "QUIT\r\n" },
	[QUIT] = { 221, OVER, NULL },
};

/* One connection's sessions, one after the other. */
struct client {
	int fd;
	enum stage stage;
	struct tls13 *tls;
	long left;  /* sessions */
	double due; /* of the next one, in its pause */
	struct client *next_paused;
	struct buf out, reply;
	double said; /* when */
};

static struct {
	int epoll;
	long open, held;
	long taken, refused, failed;
	double *wait_ms; /* of every reply */
	size_t waits;
	struct client *paused, **paused_tail;
} run = { .paused_tail = &run.paused };

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "tlsload: %s\n", what);
	exit(1);
}

static double seconds(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* ---- A connection ---- */

static void connect_next(struct client *c)
{
	const int on = 1;
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->stage = GREETING;
	c->said = seconds(CLOCK_MONOTONIC);
	buf_reset(&c->reply);
	buf_reset(&c->out);
	if (connect(c->fd, (struct sockaddr *)&opt.to, sizeof(opt.to)) != 0 ||
	    epoll_ctl(run.epoll, EPOLL_CTL_ADD, c->fd, &ev) != 0)
		die("cannot connect");
	run.open++;
}

static void session_over(struct client *c, bool ok)
{
	run.failed += !ok;
	run.open--;
	close(c->fd);
	if (--c->left == 0)
		return;
	if (opt.pause_ms == 0) {
		connect_next(c);
		return;
	}
	c->due = seconds(CLOCK_MONOTONIC) + (double)opt.pause_ms / 1e3;
	c->next_paused = NULL;
	*run.paused_tail = c;
	run.paused_tail = &c->next_paused;
}

/* The pause is the same for all: who began it first is due first. */
static void wake_paused(void)
{
	const double now = seconds(CLOCK_MONOTONIC);
	struct client *c;

	while ((c = run.paused) != NULL && c->due <= now) {
		run.paused = c->next_paused;
		if (run.paused == NULL)
			run.paused_tail = &run.paused;
		connect_next(c);
	}
}

static void flush_out(struct client *c)
{
	c->said = seconds(CLOCK_MONOTONIC);
	/* a few KiB: the kernel takes it all */
	if (c->out.n > 0 && send(c->fd, c->out.p, c->out.n, MSG_NOSIGNAL) < 0)
		c->stage = QUIT; /* its end is told by reading */
	buf_reset(&c->out);
}

/* ---- A session ---- */

/* The stage is over: say what comes next. */
static void go_on(struct client *c)
{
	const char *line = steps[c->stage].line;

	c->stage = steps[c->stage].next;
	if (c->stage == SHAKE)
		tls13_begin(c->tls, &c->out);
	else if (c->stage > SHAKE && !opt.is_clear && line != NULL)
		tls13_put(c->tls, span_str(line), &c->out);
	else if (line != NULL)
		buf_adds(&c->out, line);
}

/* False: not what should be said. */
static bool on_reply(struct client *c, int code)
{
	run.wait_ms[run.waits++] = (seconds(CLOCK_MONOTONIC) - c->said) * 1e3;
	if (c->stage == RCPT && code >= 500) {
		run.refused++;
		c->stage = DOT; /* as if it were over */
	} else if (code != steps[c->stage].code) {
		return false;
	} else if (c->stage == DOT) {
		run.taken++;
	}
	go_on(c);
	return true;
}

/* Is the last line of a reply there? */
static bool is_whole(struct span s)
{
	size_t at = s.n - 1;

	if (s.n < 6 || s.p[at] != '\n')
		return false;
	while (at > 0 && s.p[at - 1] != '\n')
		at--;
	return s.n - at > 4 && s.p[at + 3] == ' ';
}

static bool take_reply(struct client *c)
{
	int code;

	if (!is_whole(buf_span(&c->reply)))
		return true;
	code = atoi(buf_cstr(&c->reply));
	buf_reset(&c->reply);
	return on_reply(c, code);
}

static bool take(struct client *c, struct span s)
{
	if (c->stage < SHAKE || opt.is_clear) {
		buf_add(&c->reply, s);
		return take_reply(c);
	}
	if (!tls13_take(c->tls, s, &c->reply, &c->out))
		return false;
	if (c->stage == SHAKE && tls13_is_open(c->tls))
		go_on(c);
	return take_reply(c);
}

/* What we were to say is not said, or half of it, or what we have heard gets
 * no answer. */
static bool hold(struct client *c, bool has_answer)
{
	if (opt.hold == NULL || c->stage != SHAKE ||
	    has_answer != (strcmp(opt.hold, "answer") == 0))
		return false;
	if (!has_answer) {
		c->out.n = strcmp(opt.hold, "part") == 0 ? c->out.n / 2 : 0;
		flush_out(c);
	}
	epoll_ctl(run.epoll, EPOLL_CTL_DEL, c->fd, NULL);
	run.held++;
	return true;
}

static void on_readable(struct client *c)
{
	static char bytes[64 * 1024];
	ssize_t n = recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n > 0 && hold(c, true))
		return;
	if (n <= 0 || !take(c, span_of(bytes, (size_t)n)))
		session_over(c, false);
	else if (c->stage == OVER)
		session_over(c, true);
	else if (!hold(c, false))
		flush_out(c);
}

/* ---- All of them ---- */

static int by_size(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double cpu_s(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void report(double took_s, double spent_s)
{
	const double *w = run.wait_ms;
	const size_t n = run.waits;

	qsort(run.wait_ms, n, sizeof(*w), by_size);
	printf("{\"sessions\": %ld, \"messages\": %ld, \"refused\": %ld, "
	       "\"failed\": %ld, \"rate\": %.1f, \"p50_ms\": %.3f, "
	       "\"p99_ms\": %.3f, \"most_ms\": %.3f, \"cpu_s\": %.3f, "
	       "\"seconds\": %.3f, \"is_limit\": %s}\n",
	       run.taken + run.refused, run.taken, run.refused, run.failed,
	       (double)(run.taken + run.refused) / took_s, n > 0 ? w[n / 2] : 0,
	       n > 0 ? w[n * 99 / 100] : 0, n > 0 ? w[n - 1] : 0, spent_s,
	       took_s, spent_s > 0.9 * took_s ? "true" : "false");
}

static void wait_for_events(void)
{
	struct epoll_event evs[EVENTS];
	int n = epoll_wait(run.epoll, evs, EVENTS, run.paused != NULL ? 1 : -1);

	for (int i = 0; i < n; i++)
		on_readable(evs[i].data.ptr);
	wake_paused();
}

static void hold_all(void)
{
	char end;

	while (run.held < opt.conns && run.open == opt.conns)
		wait_for_events();
	printf("{\"held\": %ld}\n", run.held);
	fflush(stdout);
	while (read(STDIN_FILENO, &end, 1) > 0)
		;
}

static void load(void)
{
	struct client *all = calloc((size_t)opt.conns, sizeof(*all));
	const double began = seconds(CLOCK_MONOTONIC), spent = cpu_s();

	run.wait_ms =
		calloc((size_t)(opt.conns * opt.sessions) * REPLIES_A_SESSION,
		       sizeof(double));
	run.epoll = epoll_create1(EPOLL_CLOEXEC);
	for (long i = 0; i < opt.conns; i++) {
		all[i].tls = tls13_new();
		all[i].left = opt.sessions;
		connect_next(&all[i]);
	}
	if (opt.hold != NULL) {
		hold_all();
	} else {
		while (run.open > 0 || run.paused != NULL)
			wait_for_events();
		report(seconds(CLOCK_MONOTONIC) - began, cpu_s() - spent);
	}
	for (long i = 0; i < opt.conns; i++) {
		tls13_free(&all[i].tls);
		buf_fini(&all[i].out);
		buf_fini(&all[i].reply);
	}
	free(all);
	free(run.wait_ms);
}

/* ---- --bare ---- */

static BIO *pipe_end(void)
{
	BIO *b = BIO_new(BIO_s_mem());

	BIO_set_mem_eof_return(b, -1);
	BIO_up_ref(b); /* one end reads, the other writes */
	return b;
}

/* What a server does for one client; its seconds are added to *spent. */
static void shake_in_memory(SSL_CTX *server, SSL_CTX *client, double *spent)
{
	BIO *up = pipe_end(), *down = pipe_end();
	SSL *c = SSL_new(client), *s;
	bool client_done = false, done = false;
	double began = seconds(CLOCK_THREAD_CPUTIME_ID);

	s = SSL_new(server);
	*spent += seconds(CLOCK_THREAD_CPUTIME_ID) - began;
	SSL_set_bio(s, up, down);
	SSL_set_bio(c, down, up);
	SSL_set_accept_state(s);
	SSL_set_connect_state(c);
	for (int i = 0; i < 4 && !done; i++) {
		client_done = SSL_do_handshake(c) == 1;
		began = seconds(CLOCK_THREAD_CPUTIME_ID);
		done = SSL_do_handshake(s) == 1 && client_done;
		*spent += seconds(CLOCK_THREAD_CPUTIME_ID) - began;
	}
	if (!done)
		die("the bare handshake failed");
	SSL_free(c);
	began = seconds(CLOCK_THREAD_CPUTIME_ID);
	SSL_free(s);
	*spent += seconds(CLOCK_THREAD_CPUTIME_ID) - began;
}

static void bare(const char *cert, const char *key)
{
	SSL_CTX *server = SSL_CTX_new(TLS_server_method());
	SSL_CTX *client = SSL_CTX_new(TLS_client_method());
	double spent = 0;

	SSL_CTX_set_verify(client, SSL_VERIFY_NONE, NULL);
	if (SSL_CTX_use_certificate_chain_file(server, cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(server, key, SSL_FILETYPE_PEM) != 1)
		die("certificate or key");
	SSL_CTX_set_session_cache_mode(server, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(server, 1);
	for (long i = 0; i < opt.sessions; i++)
		shake_in_memory(server, client, &spent);
	printf("{\"handshake_ms\": %.4f}\n",
	       spent * 1e3 / (double)opt.sessions);
	SSL_CTX_free(server);
	SSL_CTX_free(client);
}

/* ---- main ---- */

static void make_lines(struct buf *rcpt, struct buf *body)
{
	buf_addf(rcpt, "RCPT TO:<%s>\r\n", opt.rcpt);
	buf_adds(body, "Subject: load\r\n\r\n");
	for (long i = 0; i < opt.size; i++)
		buf_addc(body, (char)(i % 78 == 76   ? '\r'
				      : i % 78 == 77 ? '\n'
						     : 'a' + i % 26));
	buf_adds(body, "\r\n.\r\n");
	if (opt.is_clear)
		steps[EHLO] = steps[EHLO_AGAIN];
	steps[MAIL].line = buf_cstr(rcpt);
	steps[DATA].line = buf_cstr(body);
}

static void run_load(void)
{
	struct buf rcpt = { 0 }, body = { 0 };

	make_lines(&rcpt, &body);
	load();
	buf_fini(&rcpt);
	buf_fini(&body);
}

static long *number_of(int option)
{
	switch (option) {
	case 'c':
		return &opt.conns;
	case 'n':
		return &opt.sessions;
	case 's':
		return &opt.size;
	default:
		return &opt.pause_ms;
	}
}

int main(int argc, char **argv)
{
	static const struct option known[] = {
		{ "port", 1, NULL, 'p' },     { "conns", 1, NULL, 'c' },
		{ "sessions", 1, NULL, 'n' }, { "size", 1, NULL, 's' },
		{ "rcpt", 1, NULL, 'r' },     { "pause-ms", 1, NULL, 'z' },
		{ "hold", 1, NULL, 'h' },     { "clear", 0, &opt.is_clear, 1 },
		{ "bare", 0, NULL, 'b' },     { NULL, 0, NULL, 0 },
	};
	bool is_bare = false;
	int c;

	opt.to.sin_family = AF_INET;
	opt.to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (c == 'p')
			opt.to.sin_port = htons((uint16_t)atoi(optarg));
		else if (c == 'r')
			opt.rcpt = optarg;
		else if (c == 'h')
			opt.hold = optarg;
		else if (c == 'b')
			is_bare = true;
		else if (c == '?')
			return 2;
		else if (c != 0)
			*number_of(c) = atol(optarg);
	}
	if (is_bare && argc - optind == 2) {
		bare(argv[optind], argv[optind + 1]);
	} else if (!is_bare && argc == optind && opt.to.sin_port != 0) {
		run_load();
	} else {
		fprintf(stderr, "usage: tlsload --port N [options] | "
				"tlsload --bare CERT KEY\n");
		return 2;
	}
	return 0;
}
