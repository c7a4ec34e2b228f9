#include "tests/support/peer.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"

struct peer_session {
	struct peer *peer;
	struct peer_session *next;
	struct conn *conn;
	bool is_data, is_closing, is_silent;
	uint64_t chunk; /* BDAT bytes still to come */
	ev_timer trickle;
	char line[1200];
};

/* ---- Sessions ---- */

static void session_free(struct peer_session *s)
{
	struct peer_session **at = &s->peer->sessions;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	s->peer->open--;
	ev_timer_stop(s->peer->loop, &s->trickle);
	if (s->conn != NULL)
		conn_free(&s->conn);
	free(s);
}

static struct buf *message_of(struct peer *p)
{
	MX_ASSERT(p->message_count < PEER_MESSAGES);
	return &p->messages[p->message_count];
}

static const char *dflt(const struct peer *p, const char *line, char *room,
			size_t size)
{
	if (strcmp(line, "CONNECT") == 0)
		return "220 peer.example ESMTP";
	if (strncasecmp(line, "EHLO", 4) == 0) {
		const char *k = p->opt.ehlo;
		size_t n = (size_t)snprintf(room, size, "250%cpeer.example",
					    k != NULL ? '-' : ' ');

		while (k != NULL && n < size) {
			const char *nl = strchr(k, '\n');
			int len = nl != NULL ? (int)(nl - k) : (int)strlen(k);

			n += (size_t)snprintf(room + n, size - n,
					      "\r\n250%c%.*s",
					      nl != NULL ? '-' : ' ', len, k);
			k = nl != NULL ? nl + 1 : NULL;
		}
		return room;
	}
	if (strncasecmp(line, "DATA", 4) == 0)
		return "354 go on";
	if (strncasecmp(line, "STARTTLS", 8) == 0)
		return p->opt.tls != NULL ? "220 2.0.0 go" : "454 4.7.0 no TLS";
	if (strncasecmp(line, "QUIT", 4) == 0)
		return "221 2.0.0 bye";
	if (strncasecmp(line, "MAIL", 4) == 0)
		return "250 2.1.0 ok";
	if (strncasecmp(line, "RCPT", 4) == 0)
		return "250 2.1.5 ok";
	return "250 2.0.0 ok";
}

static void on_trickle(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct peer_session *s = w->data;

	(void)loop;
	(void)revents;
	conn_write(s->conn, SPAN_LIT("2"));
	conn_flush(s->conn);
}

static void trickle(struct peer_session *s)
{
	ev_timer_init(&s->trickle, on_trickle, 0.05, 0.05);
	s->trickle.data = s;
	ev_timer_start(s->peer->loop, &s->trickle);
}

/* Answer a line; false: the session is over or silent. */
static bool answer(struct peer_session *s, const char *line)
{
	struct peer *p = s->peer;
	char room[2000];
	const char *reply = NULL;

	if (p->opt.reply != NULL)
		reply = p->opt.reply(p, line, p->opt.arg);
	if (reply == NULL)
		reply = dflt(p, line, room, sizeof(room));
	if (strcmp(reply, PEER_CLOSE) == 0) {
		s->is_closing = true;
		return false;
	}
	if (strcmp(reply, PEER_TRICKLE) == 0)
		trickle(s);
	if (reply[0] == '!')
		s->is_silent = true;
	if (s->is_silent)
		return true;
	p->replies++;
	conn_write(s->conn, span_str(reply));
	conn_write(s->conn, SPAN_LIT("\r\n"));
	if (strncasecmp(line, "DATA", 4) == 0 && strncmp(reply, "354", 3) == 0)
		s->is_data = true;
	if (strncasecmp(line, "QUIT", 4) == 0)
		s->is_closing = true;
	if (strncasecmp(line, "STARTTLS", 8) == 0 &&
	    strncmp(reply, "220", 3) == 0 && p->opt.tls != NULL) {
		conn_discard_input(s->conn);
		conn_starttls_server(s->conn, p->opt.tls);
		return false;
	}
	return !s->is_closing;
}

static bool take_data(struct peer_session *s)
{
	struct span in = conn_input(s->conn);
	struct buf *m = message_of(s->peer);
	const char *end;
	size_t start = m->n > 4 ? m->n - 4 : 0, used;

	buf_add(m, in);
	if (m->n >= 3 && memcmp(m->p, ".\r\n", 3) == 0) {
		end = m->p;
		used = 3;
	} else {
		end = memmem(m->p + start, m->n - start, "\r\n.\r\n", 5);
		if (end == NULL) {
			conn_consume(s->conn, in.n);
			return false;
		}
		used = (size_t)(end - m->p) + 5;
		end += 2;
	}
	conn_consume(s->conn, in.n - (m->n - used));
	m->n = (size_t)(end - m->p);
	s->peer->message_count++;
	s->is_data = false;
	return answer(s, ".");
}

static bool take_chunk(struct peer_session *s)
{
	struct span in = conn_input(s->conn);
	size_t n = in.n < s->chunk ? in.n : (size_t)s->chunk;

	buf_add(message_of(s->peer), span_of(in.p, n));
	conn_consume(s->conn, n);
	s->chunk -= n;
	if (s->chunk > 0)
		return false;
	s->peer->message_count++;
	return answer(s, s->line);
}

static bool take_line(struct peer_session *s)
{
	struct peer *p = s->peer;
	struct span in = conn_input(s->conn);
	size_t n = span_find(in, '\n');
	struct peer_command *c;

	if (n == in.n)
		return false;
	snprintf(s->line, sizeof(s->line), "%.*s", (int)n, in.p);
	s->line[strcspn(s->line, "\r")] = '\0';
	conn_consume(s->conn, n + 1);
	MX_ASSERT(p->count < PEER_COMMANDS);
	c = &p->commands[p->count++];
	memcpy(c->line, s->line, sizeof(c->line));
	c->replies = p->replies;
	if (strncasecmp(s->line, "BDAT ", 5) == 0) {
		s->chunk = strtoull(s->line + 5, NULL, 10);
		return s->chunk > 0 || take_chunk(s);
	}
	return answer(s, s->line);
}

static void on_input(struct conn *c, void *arg)
{
	struct peer_session *s = arg;
	bool more = true;

	while (more && conn_input(c).n > 0) {
		if (s->is_data)
			more = take_data(s);
		else if (s->chunk > 0)
			more = take_chunk(s);
		else
			more = take_line(s);
	}
	if (s->is_closing) {
		conn_close_after_output(&s->conn, 1000);
		session_free(s);
	}
}

static void on_ready(struct conn *c, void *arg)
{
	(void)c;
	(void)arg;
}

static void on_end(struct conn *c, enum conn_end why, void *arg)
{
	(void)c;
	(void)why;
	session_free(arg);
}

static const struct conn_events events = {
	.on_input = on_input,
	.on_ready = on_ready,
	.on_end = on_end,
};

/* ---- Listening ---- */

static void on_accept(struct ev_loop *loop, ev_io *w, int revents)
{
	struct peer *p = w->data;
	struct peer_session *s;
	int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)revents;
	if (fd < 0)
		return;
	s = mx_alloc(sizeof(*s));
	s->peer = p;
	s->next = p->sessions;
	p->sessions = s;
	p->connections++;
	p->open++;
	s->conn = conn_new(loop, fd, &events, s);
	if (!answer(s, "CONNECT")) {
		conn_close_after_output(&s->conn, 1000);
		session_free(s);
		return;
	}
	conn_flush(s->conn);
}

void peer_start(struct peer *p)
{
	struct sockaddr_storage ss;
	socklen_t len = net_addr_to_sockaddr(&p->addr, &ss);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	MX_ASSERT(bind(fd, (struct sockaddr *)&ss, len) == 0);
	MX_ASSERT(listen(fd, 128) == 0);
	len = sizeof(ss);
	getsockname(fd, (struct sockaddr *)&ss, &len);
	net_addr_from_sockaddr(&p->addr, (struct sockaddr *)&ss);
	ev_io_init(&p->accept, on_accept, fd, EV_READ);
	p->accept.data = p;
	ev_io_start(p->loop, &p->accept);
}

void peer_stop(struct peer *p)
{
	if (!ev_is_active(&p->accept))
		return;
	ev_io_stop(p->loop, &p->accept);
	close(p->accept.fd);
}

struct peer *peer_new(struct ev_loop *loop, const struct peer_options *opt)
{
	struct peer *p = mx_alloc(sizeof(*p));

	p->opt = *opt;
	p->loop = loop;
	net_addr_parse(SPAN_LIT("127.0.0.1"), &p->addr);
	peer_start(p);
	return p;
}

void peer_free(struct peer **pp)
{
	struct peer *p = *pp;

	*pp = NULL;
	peer_stop(p);
	while (p->sessions != NULL)
		session_free(p->sessions);
	for (size_t i = 0; i < PEER_MESSAGES; i++)
		buf_fini(&p->messages[i]);
	free(p);
}

void peer_say(struct peer *p, const char *line)
{
	struct peer_session *s, *next;

	for (s = p->sessions; s != NULL; s = next) {
		next = s->next;
		if (strcmp(line, PEER_CLOSE) == 0) {
			session_free(s);
			continue;
		}
		conn_write(s->conn, span_str(line));
		conn_write(s->conn, SPAN_LIT("\r\n"));
		conn_flush(s->conn);
	}
}

/* ---- Looking ---- */

const struct peer_command *peer_command(const struct peer *p,
					const char *prefix, size_t n)
{
	for (size_t i = 0; i < p->count; i++)
		if (strncasecmp(p->commands[i].line, prefix, strlen(prefix)) ==
			    0 &&
		    n-- == 0)
			return &p->commands[i];
	return NULL;
}

void peer_pause(struct peer *p, bool is_paused)
{
	for (struct peer_session *s = p->sessions; s != NULL; s = s->next) {
		if (is_paused)
			conn_pause(s->conn);
		else
			conn_resume(s->conn);
	}
}

const char *peer_by_name(struct peer *p, const char *line, void *arg)
{
	static const struct {
		const char *rcpt, *reply;
	} replies[] = {
		{ "RCPT TO:<no@", "550 5.1.1 no" },
		{ "RCPT TO:<plain@", "550 no" },
		{ "RCPT TO:<policy@", "550 5.7.1 not you" },
		{ "RCPT TO:<later@", "450 4.2.1 later" },
		{ "RCPT TO:<lost@", PEER_CLOSE },
		{ "RCPT TO:<leaves@", "421 4.3.2 bye" },
		{ "RCPT TO:<hang@", PEER_HANG },
	};

	(void)p;
	(void)arg;
	for (size_t i = 0; i < COUNT(replies); i++)
		if (strncmp(line, replies[i].rcpt, strlen(replies[i].rcpt)) ==
		    0)
			return replies[i].reply;
	return NULL;
}

size_t peer_saw(const struct peer *p, const char *prefix)
{
	size_t n = 0;

	while (peer_command(p, prefix, n) != NULL)
		n++;
	return n;
}

static void on_late(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	*(bool *)w->data = true;
}

bool peer_run(struct ev_loop *loop, const bool *done, int64_t ms)
{
	bool late = false;
	ev_timer timer;

	ev_timer_init(&timer, on_late, (double)ms / 1000., 0.);
	timer.data = &late;
	ev_timer_start(loop, &timer);
	while (!*done && !late)
		ev_run(loop, EVRUN_ONCE);
	ev_timer_stop(loop, &timer);
	return *done;
}
