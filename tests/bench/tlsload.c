/*
 * tlsload: SMTP sessions over STARTTLS, each with a handshake of its own.
 *
 * --threads at once, --sessions each: EHLO, STARTTLS, handshake (TLS 1.3,
 * nothing resumed unless --resume), EHLO, MAIL, RCPT.  A recipient that is
 * taken gets a message of --size octets; one that is refused ends the session
 * with QUIT.  --pause-ms N: between a thread's sessions.  Prints one JSON
 * object: rate, percentiles of the wait for a reply, and the processor time
 * that it took itself: when that is not small beside the server's, it is the
 * limit.
 *
 * --bare CERT KEY: no server; what OpenSSL's side of a server costs for the
 * same handshake, in memory, on this processor.
 */
#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REPLIES_A_SESSION = 8 };

static struct options {
	struct sockaddr_in to;
	long threads, sessions, size, pause_ms;
	const char *rcpt;
	int resume;
	SSL_CTX *ctx;
	char *body;
	size_t body_len;
} opt = { .threads = 20, .sessions = 50, .size = 4096,
	  .rcpt = "u@example.com" };

/* One thread's sessions, one after the other. */
struct worker {
	pthread_t thread;
	int fd;
	SSL *ssl; /* NULL: still in clear */
	SSL_SESSION *kept;
	long taken, refused, failed, resumed;
	double *wait_ms; /* of every reply */
	size_t waits;
};

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

/* ---- Bytes, in clear or not ---- */

static int put(struct worker *w, const char *p, size_t n)
{
	size_t done;

	if (w->ssl != NULL)
		return SSL_write_ex(w->ssl, p, n, &done) == 1;
	return send(w->fd, p, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static int get(struct worker *w, char *p, size_t room)
{
	if (w->ssl != NULL)
		return SSL_read(w->ssl, p, (int)room);
	return (int)recv(w->fd, p, room, 0);
}

/* Is the last line of a reply there? */
static int is_whole(const char *p, size_t n)
{
	const char *last = p;

	if (n < 6 || p[n - 1] != '\n')
		return 0;
	for (size_t i = 0; i + 1 < n; i++)
		if (p[i] == '\n')
			last = p + i + 1;
	return p + n - last > 4 && last[3] == ' ';
}

/* The code of the next reply; 0: none came. */
static int reply(struct worker *w)
{
	const double began = seconds(CLOCK_MONOTONIC);
	char text[4096];
	size_t n = 0;

	do {
		int got = get(w, text + n, sizeof(text) - 1 - n);

		if (got <= 0)
			return 0;
		n += (size_t)got;
	} while (!is_whole(text, n) && n < sizeof(text) - 1);
	text[n] = '\0';
	w->wait_ms[w->waits++] = (seconds(CLOCK_MONOTONIC) - began) * 1e3;
	return atoi(text);
}

static int ask(struct worker *w, const char *line)
{
	return put(w, line, strlen(line)) ? reply(w) : 0;
}

/* ---- A session ---- */

static int handshake(struct worker *w)
{
	SSL *ssl = SSL_new(opt.ctx);

	SSL_set_fd(ssl, w->fd);
	if (opt.resume && w->kept != NULL)
		SSL_set_session(ssl, w->kept);
	w->ssl = ssl;
	if (SSL_connect(ssl) != 1)
		return 0;
	w->resumed += SSL_session_reused(ssl);
	return 1;
}

static int transaction(struct worker *w)
{
	char rcpt[300];
	int code;

	snprintf(rcpt, sizeof(rcpt), "RCPT TO:<%s>\r\n", opt.rcpt);
	if (ask(w, "MAIL FROM:<load@example.net>\r\n") != 250)
		return 0;
	code = ask(w, rcpt);
	if (code >= 500) {
		w->refused++;
		return 1;
	}
	if (code != 250 || ask(w, "DATA\r\n") != 354 ||
	    !put(w, opt.body, opt.body_len) || reply(w) != 250)
		return 0;
	w->taken++;
	return 1;
}

static int session(struct worker *w)
{
	return reply(w) == 220 && ask(w, "EHLO load.test\r\n") == 250 &&
	       ask(w, "STARTTLS\r\n") == 220 && handshake(w) &&
	       ask(w, "EHLO load.test\r\n") == 250 && transaction(w) &&
	       ask(w, "QUIT\r\n") == 221;
}

static void one(struct worker *w)
{
	const int on = 1;

	w->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(w->fd, (struct sockaddr *)&opt.to, sizeof(opt.to)) != 0 ||
	    !session(w))
		w->failed++;
	if (w->ssl != NULL) {
		SSL_SESSION_free(w->kept);
		w->kept = SSL_get1_session(w->ssl);
		/* else OpenSSL does not let it be resumed */
		SSL_set_shutdown(w->ssl,
				 SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	}
	SSL_free(w->ssl);
	w->ssl = NULL;
	close(w->fd);
}

static void *work(void *arg)
{
	const struct timespec pause = { opt.pause_ms / 1000,
					opt.pause_ms % 1000 * 1000000 };
	struct worker *w = arg;

	for (long i = 0; i < opt.sessions; i++) {
		one(w);
		if (opt.pause_ms > 0)
			nanosleep(&pause, NULL);
	}
	SSL_SESSION_free(w->kept);
	return NULL;
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

static void say(const struct worker *ws, double took_s)
{
	struct worker all = { 0 };
	size_t most = (size_t)(opt.threads * opt.sessions) *
		      (REPLIES_A_SESSION + 1);
	double *waits = malloc(most * sizeof(*waits));
	size_t n = 0;

	for (long i = 0; i < opt.threads; i++) {
		all.taken += ws[i].taken;
		all.refused += ws[i].refused;
		all.failed += ws[i].failed;
		all.resumed += ws[i].resumed;
		memcpy(waits + n, ws[i].wait_ms, ws[i].waits * sizeof(*waits));
		n += ws[i].waits;
	}
	qsort(waits, n, sizeof(*waits), by_size);
	printf("{\"sessions\": %ld, \"messages\": %ld, \"refused\": %ld, "
	       "\"failed\": %ld, \"resumed\": %ld, \"rate\": %.1f, "
	       "\"p50_ms\": %.3f, \"p99_ms\": %.3f, \"most_ms\": %.3f, "
	       "\"cpu_s\": %.3f, \"seconds\": %.3f}\n",
	       all.taken + all.refused, all.taken, all.refused, all.failed,
	       all.resumed, (double)(all.taken + all.refused) / took_s,
	       n > 0 ? waits[n / 2] : 0, n > 0 ? waits[n * 99 / 100] : 0,
	       n > 0 ? waits[n - 1] : 0, cpu_s(), took_s);
	free(waits);
}

static void run(void)
{
	struct worker *ws = calloc((size_t)opt.threads, sizeof(*ws));
	const double began = seconds(CLOCK_MONOTONIC);

	for (long i = 0; i < opt.threads; i++) {
		ws[i].wait_ms = calloc((size_t)opt.sessions *
					       (REPLIES_A_SESSION + 1),
				       sizeof(double));
		if (pthread_create(&ws[i].thread, NULL, work, &ws[i]) != 0)
			die("no thread");
	}
	for (long i = 0; i < opt.threads; i++)
		pthread_join(ws[i].thread, NULL);
	say(ws, seconds(CLOCK_MONOTONIC) - began);
	for (long i = 0; i < opt.threads; i++)
		free(ws[i].wait_ms);
	free(ws);
}

/* ---- --bare ---- */

/* One handshake between two ends in memory; seconds of the server's. */
static double shake_in_memory(SSL_CTX *server)
{
	SSL *s = SSL_new(server), *c = SSL_new(opt.ctx);
	BIO *to_server = BIO_new(BIO_s_mem()), *to_client = BIO_new(BIO_s_mem());
	double spent = 0;
	int done = 0;

	BIO_set_mem_eof_return(to_server, -1);
	BIO_set_mem_eof_return(to_client, -1);
	BIO_up_ref(to_server);
	BIO_up_ref(to_client);
	SSL_set_bio(s, to_server, to_client);
	SSL_set_bio(c, to_client, to_server);
	SSL_set_accept_state(s);
	SSL_set_connect_state(c);
	for (int i = 0; i < 4 && !done; i++) {
		int client_done = SSL_do_handshake(c) == 1;
		double began = seconds(CLOCK_THREAD_CPUTIME_ID);

		done = SSL_do_handshake(s) == 1 && client_done;
		spent += seconds(CLOCK_THREAD_CPUTIME_ID) - began;
	}
	if (!done)
		die("the bare handshake failed");
	SSL_free(s);
	SSL_free(c);
	return spent;
}

static void bare(const char *cert, const char *key)
{
	SSL_CTX *server = SSL_CTX_new(TLS_server_method());
	double spent = 0;

	if (SSL_CTX_use_certificate_chain_file(server, cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(server, key, SSL_FILETYPE_PEM) != 1)
		die("certificate or key");
	SSL_CTX_set_session_cache_mode(server, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(server, 1);
	for (long i = 0; i < opt.sessions; i++)
		spent += shake_in_memory(server);
	printf("{\"handshake_ms\": %.4f}\n",
	       spent * 1e3 / (double)opt.sessions);
	SSL_CTX_free(server);
}

/* ---- main ---- */

static void make_body(void)
{
	static const char head[] = "Subject: load\r\n\r\n", end[] = "\r\n.\r\n";
	size_t n = sizeof(head) - 1;

	opt.body = malloc(n + (size_t)opt.size + sizeof(end));
	memcpy(opt.body, head, n);
	for (long i = 0; i < opt.size; i++)
		opt.body[n + (size_t)i] =
			(char)(i % 78 == 76   ? '\r'
			       : i % 78 == 77 ? '\n'
					      : 'a' + i % 26);
	memcpy(opt.body + n + opt.size, end, sizeof(end));
	opt.body_len = n + (size_t)opt.size + sizeof(end) - 1;
}

int main(int argc, char **argv)
{
	enum { PORT = 256, THREADS, SESSIONS, SIZE, RCPT, PAUSE };
	static const struct option known[] = {
		{ "port", 1, NULL, PORT },
		{ "threads", 1, NULL, THREADS },
		{ "sessions", 1, NULL, SESSIONS },
		{ "size", 1, NULL, SIZE },
		{ "rcpt", 1, NULL, RCPT },
		{ "pause-ms", 1, NULL, PAUSE },
		{ "resume", 0, &opt.resume, 1 },
		{ "bare", 0, NULL, 'b' },
		{ NULL, 0, NULL, 0 },
	};
	int is_bare = 0, c;

	opt.to.sin_family = AF_INET;
	opt.to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case PORT:
			opt.to.sin_port = htons((uint16_t)atoi(optarg));
			break;
		case THREADS:
			opt.threads = atol(optarg);
			break;
		case SESSIONS:
			opt.sessions = atol(optarg);
			break;
		case SIZE:
			opt.size = atol(optarg);
			break;
		case RCPT:
			opt.rcpt = optarg;
			break;
		case PAUSE:
			opt.pause_ms = atol(optarg);
			break;
		case 'b':
			is_bare = 1;
			break;
		case 0:
			break;
		default:
			return 2;
		}
	}
	opt.ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_verify(opt.ctx, SSL_VERIFY_NONE, NULL);
	if (is_bare && argc - optind == 2) {
		bare(argv[optind], argv[optind + 1]);
	} else if (!is_bare && argc == optind && opt.to.sin_port != 0) {
		make_body();
		run();
	} else {
		fprintf(stderr, "usage: tlsload --port N [options] | "
				"tlsload --bare CERT KEY\n");
		return 2;
	}
	SSL_CTX_free(opt.ctx);
	free(opt.body);
	return 0;
}
