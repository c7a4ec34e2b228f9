#include "daemon/sockets.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/net/listen.h"

/* One `listen` row: "*" is two sockets. */
enum { PER_ROW = 2 };

struct row {
	STAILQ_ENTRY(row) link;
	struct buf address;
	in_port_t port;
	struct net_addr at[PER_ROW];
	size_t at_count;
	int fds[PER_ROW]; /* until the intake owns them */
	size_t fd_count;
};

/* A socket of systemd's. */
struct given {
	int fd; /* -1: taken by a row */
	struct net_addr at;
};

struct sockets {
	STAILQ_HEAD(, row) rows;
	struct net_addr *addrs; /* made when asked for */
	struct given *given;
	size_t given_count;
};

static void row_hold(struct row *r, int fd, const struct net_addr *at)
{
	r->fds[r->fd_count++] = fd;
	r->at[r->at_count++] = *at;
}

static void row_free(struct row *r)
{
	for (size_t i = 0; i < r->fd_count; i++)
		close(r->fds[i]);
	buf_fini(&r->address);
	free(r);
}

static bool row_is(const struct row *r, const struct config_listen *l)
{
	return r->port == l->port && span_eq(buf_span(&r->address), l->address);
}

/* ---- From systemd ---- */

static void address_of(int fd, struct net_addr *at)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &len) == 0)
		net_addr_from_sockaddr(at, (const struct sockaddr *)&ss);
}

static void take_given(struct sockets *s)
{
	int n = sd_listen_fds(1); /* the children we do not have: unset */

	if (n <= 0)
		return;
	s->given = mx_alloc_array((size_t)n, sizeof(*s->given));
	for (int i = 0; i < n; i++) {
		int fd = SD_LISTEN_FDS_START + i;

		if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0 ||
		    sd_is_socket(fd, AF_UNIX, SOCK_STREAM, 1) > 0) {
			close(fd);
			continue;
		}
		s->given[s->given_count].fd = fd;
		address_of(fd, &s->given[s->given_count++].at);
	}
}

static bool is_wildcard(const struct net_addr *a)
{
	static const struct net_addr none;

	return memcmp(a->ip, none.ip, sizeof(a->ip)) == 0;
}

/* BindIPv6Only=both: clients come to it by either family. */
static bool is_dual(const struct given *g)
{
	int only = 0;
	socklen_t len = sizeof(only);

	return g->at.family == AF_INET6 && is_wildcard(&g->at) &&
	       getsockopt(g->fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &len) == 0 &&
	       only == 0;
}

/* Does this socket serve what the row asks for? */
static bool serves(const struct given *g, const struct config_listen *l)
{
	struct net_addr at;

	if (g->fd < 0 || g->at.port != l->port)
		return false;
	if (span_eq(l->address, SPAN_LIT("*")))
		return is_wildcard(&g->at);
	return net_addr_parse(l->address, &at) == MX_OK &&
	       net_addr_eq(&at, &g->at);
}

static void row_take(struct row *r, struct sockets *s,
		     const struct config_listen *l)
{
	for (size_t i = 0; i < s->given_count; i++) {
		struct given *g = &s->given[i];

		if (r->at_count == PER_ROW || !serves(g, l))
			continue;
		row_hold(r, g->fd, &g->at);
		if (is_dual(g) && r->at_count < PER_ROW)
			r->at[r->at_count++] = (struct net_addr){
				.family = AF_INET,
				.port = l->port,
			};
		g->fd = -1;
	}
}

/* A socket that no `listen` row describes: what would it be served as? */
static void close_unclaimed(struct sockets *s)
{
	struct buf at = { 0 };

	for (size_t i = 0; i < s->given_count; i++) {
		if (s->given[i].fd < 0)
			continue;
		buf_reset(&at);
		net_endpoint_add(&at, &s->given[i].at);
		log_warn(EV_CONFIG, LOG_SPAN("socket", buf_span(&at)),
			 LOG_STR("warning", "systemd passes a socket that no "
					    "listen row names: closed"));
		close(s->given[i].fd);
	}
	buf_fini(&at);
	free(s->given);
	s->given = NULL;
	s->given_count = 0;
}

/* ---- By ourselves ---- */

static enum mx_err row_bind_one(struct row *r, const struct net_addr *at,
				struct buf *why)
{
	int fd;
	enum mx_err err = listen_open(at, &fd, why);

	if (err == MX_OK)
		row_hold(r, fd, at);
	return err;
}

static enum mx_err row_bind(struct row *r, const struct config_listen *l,
			    struct buf *why)
{
	struct net_addr at = { .family = AF_INET6, .port = l->port };
	enum mx_err err;

	if (!span_eq(l->address, SPAN_LIT("*"))) {
		if (net_addr_parse(l->address, &at) != MX_OK) {
			buf_addf(why, "%.*s: not an address",
				 SPAN_ARG(l->address));
			return MX_EINVAL;
		}
		at.port = l->port;
		return row_bind_one(r, &at, why);
	}
	err = row_bind_one(r, &at, why);
	/* a host without IPv6 is none the worse */
	if (err != MX_OK && errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL)
		return err;
	buf_reset(why);
	at.family = AF_INET;
	return row_bind_one(r, &at, why);
}

static void add_remedy(struct buf *why, enum mx_err err)
{
	if (err == MX_EACCESS)
		buf_adds(why, " (a port below 1024 needs root)");
	if (err == MX_EBUSY)
		buf_adds(why, " (ss -ltnp shows by whom)");
}

static enum mx_err row_add(struct sockets *s, const struct config_listen *l,
			   struct buf *why)
{
	struct row *r = mx_alloc(sizeof(*r));
	enum mx_err err = MX_OK;

	buf_add(&r->address, l->address);
	r->port = l->port;
	row_take(r, s, l);
	if (r->fd_count == 0)
		err = row_bind(r, l, why);
	if (err != MX_OK) {
		add_remedy(why, err);
		row_free(r);
		return err;
	}
	STAILQ_INSERT_TAIL(&s->rows, r, link);
	return MX_OK;
}

enum mx_err sockets_open(struct sockets **out, const struct config *c,
			 struct buf *why)
{
	struct sockets *s = mx_alloc(sizeof(*s));
	enum mx_err err = MX_OK;

	STAILQ_INIT(&s->rows);
	take_given(s);
	for (size_t i = 0; err == MX_OK && i < c->listen_count; i++)
		err = row_add(s, &c->listen[i], why);
	close_unclaimed(s);
	if (err != MX_OK)
		sockets_free(&s);
	*out = s;
	return err;
}

void sockets_free(struct sockets **sp)
{
	struct sockets *s = *sp;
	struct row *r;

	*sp = NULL;
	if (s == NULL)
		return;
	while ((r = STAILQ_FIRST(&s->rows)) != NULL) {
		STAILQ_REMOVE_HEAD(&s->rows, link);
		row_free(r);
	}
	free(s->addrs);
	free(s->given);
	free(s);
}

const struct net_addr *sockets_addrs(struct sockets *s, size_t *count)
{
	const struct row *r;
	size_t n = 0;

	STAILQ_FOREACH (r, &s->rows, link)
		n += r->at_count;
	free(s->addrs);
	s->addrs = mx_alloc_array(n + 1, sizeof(*s->addrs));
	*count = 0;
	STAILQ_FOREACH (r, &s->rows, link)
		for (size_t i = 0; i < r->at_count; i++)
			s->addrs[(*count)++] = r->at[i];
	return s->addrs;
}

void sockets_list(struct sockets *s, struct buf *out)
{
	size_t count;
	const struct net_addr *at = sockets_addrs(s, &count);

	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			buf_addc(out, ',');
		net_endpoint_add(out, &at[i]);
	}
}

/* ---- To the intake ---- */

static void row_serve(struct row *r, struct intake *in,
		      const struct config_listen *l)
{
	for (size_t i = 0; i < r->fd_count; i++)
		intake_listen(in, r->fds[i], l);
	r->fd_count = 0;
}

void sockets_serve(struct sockets *s, struct intake *in, const struct config *c)
{
	struct row *r;

	STAILQ_FOREACH (r, &s->rows, link) {
		for (size_t i = 0; i < c->listen_count; i++)
			if (row_is(r, &c->listen[i]))
				row_serve(r, in, &c->listen[i]);
	}
}

static bool is_wanted(const struct row *r, const struct config *c)
{
	for (size_t i = 0; i < c->listen_count; i++)
		if (row_is(r, &c->listen[i]))
			return true;
	return false;
}

static bool is_open(const struct sockets *s, const struct config_listen *l)
{
	const struct row *r;

	STAILQ_FOREACH (r, &s->rows, link)
		if (row_is(r, l))
			return true;
	return false;
}

/* Does c want more of this port than is open? */
static bool is_in_the_way(const struct sockets *s, const struct config *c,
			  in_port_t port)
{
	for (size_t i = 0; i < c->listen_count; i++)
		if (c->listen[i].port == port && !is_open(s, &c->listen[i]))
			return true;
	return false;
}

/* Close what c gives up; with only_in_the_way just what others of c wait for: a
 * port below 1024 would not come back. */
static void close_unwanted(struct sockets *s, struct intake *in,
			   const struct config *c, bool only_in_the_way)
{
	struct row *r, *next;

	for (r = STAILQ_FIRST(&s->rows); r != NULL; r = next) {
		next = STAILQ_NEXT(r, link);
		if (is_wanted(r, c) ||
		    (only_in_the_way && !is_in_the_way(s, c, r->port)))
			continue;
		intake_unlisten(in, buf_span(&r->address), r->port);
		STAILQ_REMOVE(&s->rows, r, row, link);
		row_free(r);
	}
}

/* "*" and an address cannot both have one port: the one that c gives up goes
 * before the other comes. */
static bool gives_up(const struct sockets *s, const struct config *c,
		     in_port_t port)
{
	const struct row *r;

	STAILQ_FOREACH (r, &s->rows, link)
		if (r->port == port && !is_wanted(r, c))
			return true;
	return false;
}

static enum mx_err open_missing(struct sockets *s, const struct config *c,
				struct buf *why)
{
	for (size_t i = 0; i < c->listen_count; i++) {
		const struct config_listen *l = &c->listen[i];
		enum mx_err err;

		if (is_open(s, l))
			continue;
		buf_reset(why);
		err = row_add(s, l, why);
		if (err == MX_EBUSY && gives_up(s, c, l->port))
			continue;
		if (err != MX_OK)
			return err;
	}
	return MX_OK;
}

enum mx_err sockets_reload(struct sockets *s, struct intake *in,
			   const struct config *old, const struct config *c,
			   struct buf *why)
{
	struct buf again = { 0 };
	enum mx_err err = open_missing(s, c, why);

	if (err == MX_OK) {
		close_unwanted(s, in, c, true);
		err = open_missing(s, c, why);
	}
	if (err == MX_OK) {
		close_unwanted(s, in, c, false);
		sockets_serve(s, in, c);
		return MX_OK;
	}
	close_unwanted(s, in, old, false);
	if (open_missing(s, old, &again) != MX_OK) /* it was ours just now */
		log_error(EV_RELOAD, LOG_SPAN("error", buf_span(&again)));
	sockets_serve(s, in, old);
	buf_fini(&again);
	return err;
}
