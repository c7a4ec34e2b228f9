#include "tests/support/nameserver.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "daemon/dns/answer.h"

/* Nobody caches what lives no time. */
enum { HEADER = 12, TTL = 0, RCODE_NXDOMAIN = 3 };

static void add16(struct buf *b, unsigned v)
{
	buf_addc(b, (char)(v >> 8));
	buf_addc(b, (char)v);
}

static void add_name(struct buf *b, struct span name)
{
	while (name.n > 0) {
		struct span label = span_cut(&name, '.');

		buf_addc(b, (char)label.n);
		buf_add(b, label);
	}
	buf_addc(b, '\0');
}

/* The question's name as text, its end; 0 when it is malformed. */
static size_t read_question(struct span query, struct buf *name, unsigned *type)
{
	size_t at = HEADER;

	while (at < query.n && query.p[at] != 0) {
		size_t n = (unsigned char)query.p[at++];

		if (n > 63 || at + n >= query.n)
			return 0;
		if (name->n > 0)
			buf_addc(name, '.');
		buf_add(name, span_of(query.p + at, n));
		at += n;
	}
	if (at + 5 > query.n)
		return 0;
	*type = (unsigned)(unsigned char)query.p[at + 2];
	return at + 5;
}

static void add_record(struct buf *out, const struct nameserver_record *r)
{
	struct buf data = { 0 };
	struct in_addr a;
	char *rest;

	if (r->type == DNS_A) {
		cr_assert_eq(inet_pton(AF_INET, r->value, &a), 1);
		buf_add(&data, span_of(&a, sizeof(a)));
	} else {
		add16(&data, (unsigned)strtoul(r->value, &rest, 10));
		add_name(&data, span_str(rest + 1));
	}
	add16(out, 0xc000 | HEADER); /* the question's name */
	add16(out, r->type);
	add16(out, 1);
	add16(out, 0);
	add16(out, TTL);
	add16(out, (unsigned)data.n);
	buf_add(out, buf_span(&data));
	buf_fini(&data);
}

static unsigned add_answers(const struct nameserver *n, struct span name,
			    unsigned type, struct buf *out, bool *exists)
{
	unsigned found = 0;

	*exists = false;
	for (size_t i = 0; i < n->count; i++) {
		const struct nameserver_record *r = &n->records[i];

		if (!span_ieq(span_str(r->name), name))
			continue;
		*exists = true;
		if (r->type == type) {
			add_record(out, r);
			found++;
		}
	}
	return found;
}

static void answer(struct nameserver *n, int fd, struct span query,
		   const struct sockaddr_in *peer)
{
	struct buf name = { 0 }, answers = { 0 }, out = { 0 };
	unsigned type, found;
	bool exists;
	size_t end = read_question(query, &name, &type);

	if (end > 0) {
		found = add_answers(n, buf_span(&name), type, &answers,
				    &exists);
		buf_add(&out, span_of(query.p, 2));
		add16(&out, 0x8580 | (exists ? 0 : RCODE_NXDOMAIN));
		add16(&out, 1);
		add16(&out, found);
		add16(&out, 0);
		add16(&out, 0);
		buf_add(&out, span_of(query.p + HEADER, end - HEADER));
		buf_add(&out, buf_span(&answers));
		(void)sendto(fd, out.p, out.n, 0, (const struct sockaddr *)peer,
			     sizeof(*peer));
	}
	buf_fini(&name);
	buf_fini(&answers);
	buf_fini(&out);
}

static void on_query(struct ev_loop *loop, ev_io *w, int revents)
{
	struct nameserver *n = w->data;
	struct sockaddr_in peer;
	socklen_t size = sizeof(peer);
	char bytes[2048];
	ssize_t got = recvfrom(w->fd, bytes, sizeof(bytes), MSG_DONTWAIT,
			       (struct sockaddr *)&peer, &size);

	(void)loop;
	(void)revents;
	if (got < HEADER)
		return;
	n->asked++;
	if (!n->is_silent)
		answer(n, w->fd, span_of(bytes, (size_t)got), &peer);
}

void nameserver_start(struct nameserver *n, struct ev_loop *loop,
		      const struct nameserver_record *records, size_t count)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*n = (struct nameserver){ .records = records, .count = count };
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	cr_assert(fd >= 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&at, &size), 0);
	n->port = ntohs(at.sin_port);
	ev_io_init(&n->io, on_query, fd, EV_READ);
	n->io.data = n;
	ev_io_start(loop, &n->io);
}

void nameserver_stop(struct nameserver *n, struct ev_loop *loop)
{
	ev_io_stop(loop, &n->io);
	close(n->io.fd);
}
