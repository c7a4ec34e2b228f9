#include "common/net/conn.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/net/conn_priv.h"
#include "common/net/wire_priv.h"

struct conn *conn_make(struct ev_loop *loop, int fd,
		       const struct conn_events *ev, void *arg)
{
	struct conn *c = mx_alloc(sizeof(*c));

	c->magic = CONN_MAGIC;
	c->loop = loop;
	c->desk = conn_desk();
	c->ev = ev;
	c->arg = arg;
	conn_init_watchers(c, fd);
	return c;
}

static void check(const struct conn *c)
{
	MX_ASSERT(c->magic == CONN_MAGIC && !c->is_freed);
}

struct conn *conn_new(struct ev_loop *loop, int fd,
		      const struct conn_events *ev, void *arg)
{
	struct conn *c = conn_make(loop, fd, ev, arg);

	MX_ASSERT(fd >= 0);
	c->state = CONN_ST_OPEN;
	conn_watch(c);
	return c;
}

/*
 * A peer that vanished while it owes us a reply would be waited for as long
 * as RFC 5321 lets a slow one think, 5 or 10 minutes.  Keep-alives tell the
 * two apart: the slow one still answers them.
 */
static void keep_alive(int fd)
{
	const int on = 1, idle_s = 15, every_s = 5, count = 4;

	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof(every_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

/* 0 when under way. */
static int begin_connect(int fd, const struct net_addr *to)
{
	struct sockaddr_storage ss;
	socklen_t len = net_addr_to_sockaddr(to, &ss);
	const int on = 1;

	if (fd < 0)
		return errno;
	/* output is collected already: Nagle would only add a round trip */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	keep_alive(fd);
	if (connect(fd, (const struct sockaddr *)&ss, len) != 0 &&
	    errno != EINPROGRESS)
		return errno;
	return 0;
}

static bool is_shortage(int errnum)
{
	return errnum == EMFILE || errnum == ENFILE || errnum == ENOBUFS ||
	       errnum == ENOMEM;
}

bool conn_is_starved(const struct conn *c)
{
	return c->is_starved;
}

struct conn *conn_connect(struct ev_loop *loop, const struct net_addr *to,
			  const struct conn_events *ev, void *arg)
{
	int fd = socket(to->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
			0);
	int errnum = begin_connect(fd, to);
	struct conn *c = conn_make(loop, fd, ev, arg);

	c->state = CONN_ST_CONNECTING;
	if (errnum != 0) {
		c->error = strerrordesc_np(errnum);
		c->is_broken = true;
		c->is_starved = is_shortage(errnum);
		conn_kick(c);
	}
	conn_watch(c);
	return c;
}

void conn_free(struct conn **cp)
{
	struct conn *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	check(c);
	conn_drop(c);
}

void conn_close_after_output(struct conn **cp, int64_t grace_ms)
{
	struct conn *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	check(c);
	if (c->wire != NULL) {
		wire_close(c, grace_ms);
		conn_drop(c);
		return;
	}
	if (c->is_broken || c->io.fd < 0 || c->shake != NULL ||
	    c->state == CONN_ST_CONNECTING) {
		conn_drop(c);
		return;
	}
	if (c->tls != NULL)
		tls_engine_close(c->tls, &c->out);
	c->is_talking = c->unread.n > 0 || c->is_paused;
	c->unread.n = 0;
	conn_linger_begin(c);
	conn_deadline(c, grace_ms > 0 ? grace_ms : 1);
	if (c->busy == 0)
		conn_linger(c);
}

struct span conn_input(struct conn *c)
{
	check(c);
	return c->unread;
}

void conn_consume(struct conn *c, size_t n)
{
	check(c);
	MX_ASSERT(n <= c->unread.n);
	c->unread = span_skip(c->unread, n);
	if (c->wire != NULL)
		wire_took(c, n);
	if (c->busy > 0)
		return;
	/* outside a callback, too, the bytes stay until the caller is done */
	if (c->unread.n == 0)
		conn_kick(c);
	conn_watch(c); /* it may have been too much to read on */
}

size_t conn_discard_input(struct conn *c)
{
	size_t n = c->unread.n;

	conn_consume(c, n);
	return n;
}

void conn_read_most(struct conn *c, size_t n)
{
	check(c);
	unsigned most = n < CONN_READ_MAX ? (unsigned)n : 0;

	if (c->wire != NULL && most != c->read_most)
		wire_tell(c->wire);
	c->read_most = most;
}

void conn_pause(struct conn *c)
{
	check(c);
	c->is_paused = true;
	if (c->busy == 0)
		conn_watch(c);
}

void conn_resume(struct conn *c)
{
	check(c);
	if (!c->is_paused)
		return;
	c->is_paused = false;
	if (c->unread.n > 0 || c->is_eof) {
		c->is_offer_due = true;
		conn_kick(c);
	}
	if (c->busy == 0)
		conn_watch(c);
}

/*
 * A timer is moved at every line of every session.  So only the target is
 * noted; the timer fires at the time it was armed for and then finds that it
 * has to wait longer.
 */
void conn_deadline(struct conn *c, int64_t ms)
{
	check(c);
	if (c->state == CONN_ST_ENDED)
		return;
	c->idle_ms = 0;
	if (ms <= 0) {
		c->deadline_ms = 0;
		return;
	}
	int64_t now_ms = clock_mono_ms();

	c->deadline_ms = now_ms + ms;
	conn_arm(c, now_ms);
}

void conn_deadline_idle(struct conn *c, int64_t ms)
{
	conn_deadline(c, ms);
	if (c->deadline_ms == 0)
		return;
	c->idle_ms = ms;
	c->untaken = conn_untaken(c);
}

static void start_tls(struct conn *c, struct tls_engine *tls)
{
	check(c);
	MX_ASSERT(c->tls == NULL);
	c->tls = tls;
	if (c->state != CONN_ST_OPEN)
		return;
	c->state = CONN_ST_HANDSHAKE;
	conn_kick(c);
}

void conn_starttls_server(struct conn *c, struct tls_server *tls)
{
	c->is_server = true;
	if (c->wire != NULL) {
		wire_secure(c, tls);
		return;
	}
	start_tls(c, tls_engine_server(tls));
}

void conn_starttls_client(struct conn *c, struct tls_client *tls)
{
	start_tls(c, tls_engine_client(tls));
}

void conn_ack(struct conn *c)
{
	const int on = 1;

	check(c);
	if (c->wire != NULL) {
		wire_tell(c->wire)->acks = true;
		return;
	}
	setsockopt(c->io.fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

void conn_charge(struct conn *c, const struct net_addr *peer)
{
	c->lane = shake_lane(peer);
}

const struct tls_facts *conn_tls(const struct conn *c)
{
	if (c->wire != NULL)
		return c->wire->facts;
	if (c->tls == NULL || c->shake != NULL)
		return NULL;
	return tls_engine_facts(c->tls);
}

bool conn_tls_shown(const struct conn *c, struct span name,
		    struct tls_shown *out)
{
	return c->tls != NULL && tls_engine_shown(c->tls, name, out);
}

void conn_tls_invite(struct conn *c)
{
	if (c->wire != NULL && c->wire->facts != NULL)
		wire_tell(c->wire)->invites = true;
	else if (c->tls != NULL && c->shake == NULL)
		tls_engine_invite(c->tls, c->lane);
}

bool conn_tls_resumes(const struct conn *c)
{
	return c->tls != NULL && tls_engine_resumes(c->tls);
}

void conn_tls_forget(struct conn *c)
{
	if (c->tls != NULL)
		tls_engine_forget(c->tls);
}

const char *conn_error(const struct conn *c)
{
	return c->error != NULL ? c->error : "";
}
