#include "common/net/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>

#include "common/base/alloc.h"

static size_t ip_bytes(const struct net_addr *a)
{
	return a->family == AF_INET6 ? 16 : a->family == AF_INET ? 4 : 0;
}

/* RFC 4291 section 2.5.5.2: the same host by its IPv4 address. */
static void unmap(struct net_addr *a)
{
	if (a->family != AF_INET6 ||
	    !IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(void *)a->ip))
		return;
	a->family = AF_INET;
	memcpy(a->ip, a->ip + 12, 4);
	memset(a->ip + 4, 0, 12);
}

enum mx_err net_addr_parse(struct span text, struct net_addr *out)
{
	char copy[INET6_ADDRSTRLEN];
	struct net_addr a = { 0 };

	*out = a;
	if (text.n == 0 || text.n >= sizeof(copy) ||
	    memchr(text.p, '\0', text.n) != NULL)
		return MX_EINVAL;
	memcpy(copy, text.p, text.n);
	copy[text.n] = '\0';
	if (inet_pton(AF_INET, copy, a.ip) == 1)
		a.family = AF_INET;
	else if (inet_pton(AF_INET6, copy, a.ip) == 1)
		a.family = AF_INET6;
	else
		return MX_EINVAL;
	unmap(&a);
	*out = a;
	return MX_OK;
}

static enum mx_err parse_port(struct span text, in_port_t *port)
{
	uint64_t n;

	if (text.n > 5 || !span_u64(text, &n) || n == 0 || n > 65535)
		return MX_EINVAL;
	*port = (in_port_t)n;
	return MX_OK;
}

enum mx_err net_endpoint_parse(struct span text, char sep, in_port_t dflt_port,
			       struct net_addr *out)
{
	struct span host = text, port = { NULL, 0 };
	in_port_t number = dflt_port;

	*out = (struct net_addr){ 0 };
	if (text.n > 0 && text.p[0] == '[') {
		size_t end = span_find(text, ']');
		struct span rest = span_skip(text, end + 1);

		if (end == text.n || (rest.n > 0 && rest.p[0] != sep))
			return MX_EINVAL;
		host = span_of(text.p + 1, end - 1);
		if (rest.n > 0)
			port = span_of(rest.p + 1, rest.n - 1);
		if (rest.n == 1)
			return MX_EINVAL;
	} else if (net_addr_parse(text, out) != MX_OK) {
		/* an IPv6 address without brackets ended above */
		port = text;
		host = span_cut(&port, sep);
		if (host.n == text.n || port.n == 0)
			return MX_EINVAL;
	}
	if (port.n > 0 && parse_port(port, &number) != MX_OK)
		goto bad;
	if (net_addr_parse(host, out) != MX_OK)
		goto bad;
	out->port = number;
	return MX_OK;
bad:
	*out = (struct net_addr){ 0 };
	return MX_EINVAL;
}

void net_addr_add(struct buf *out, const struct net_addr *a)
{
	char text[INET6_ADDRSTRLEN];

	if (a->family == AF_INET) { /* each message names its client */
		for (int i = 0; i < 4; i++) {
			if (i > 0)
				buf_addc(out, '.');
			buf_addu(out, a->ip[i]);
		}
		return;
	}
	if (ip_bytes(a) == 0 ||
	    inet_ntop(a->family, a->ip, text, sizeof(text)) == NULL)
		buf_adds(out, "unknown");
	else
		buf_adds(out, text);
}

void net_endpoint_add(struct buf *out, const struct net_addr *a)
{
	bool brackets = a->family == AF_INET6;

	if (brackets)
		buf_addc(out, '[');
	net_addr_add(out, a);
	if (brackets)
		buf_addc(out, ']');
	buf_addf(out, ":%u", a->port);
}

bool net_addr_eq(const struct net_addr *a, const struct net_addr *b)
{
	return a->family == b->family && memcmp(a->ip, b->ip, ip_bytes(a)) == 0;
}

bool net_endpoint_eq(const struct net_addr *a, const struct net_addr *b)
{
	return a->port == b->port && net_addr_eq(a, b);
}

struct net_addr net_addr_client(const struct net_addr *a)
{
	struct net_addr c = { .family = a->family };

	memcpy(c.ip, a->ip, a->family == AF_INET6 ? 8 : ip_bytes(a));
	return c;
}

socklen_t net_addr_to_sockaddr(const struct net_addr *a,
			       struct sockaddr_storage *ss)
{
	memset(ss, 0, sizeof(*ss));
	ss->ss_family = a->family;
	if (a->family == AF_INET) {
		struct sockaddr_in *in = (void *)ss;

		in->sin_port = htons(a->port);
		memcpy(&in->sin_addr, a->ip, 4);
		return sizeof(*in);
	}
	if (a->family == AF_INET6) {
		struct sockaddr_in6 *in6 = (void *)ss;

		in6->sin6_port = htons(a->port);
		memcpy(&in6->sin6_addr, a->ip, 16);
		return sizeof(*in6);
	}
	return sizeof(ss->ss_family);
}

void net_addr_from_sockaddr(struct net_addr *a, const struct sockaddr *sa)
{
	*a = (struct net_addr){ 0 };
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)sa;

		a->family = AF_INET;
		a->port = ntohs(in->sin_port);
		memcpy(a->ip, &in->sin_addr, 4);
	} else if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)sa;

		a->family = AF_INET6;
		a->port = ntohs(in6->sin6_port);
		memcpy(a->ip, &in6->sin6_addr, 16);
		unmap(a);
	}
}

enum mx_err net_cidr_parse(struct span text, struct net_cidr *out)
{
	struct span bits = text;
	struct span addr = span_cut(&bits, '/');
	bool has_bits = addr.n < text.n;
	uint64_t n;

	*out = (struct net_cidr){ 0 };
	if (net_addr_parse(addr, &out->addr) != MX_OK)
		return MX_EINVAL;
	unsigned all = (unsigned)ip_bytes(&out->addr) * 8;
	out->bits = all;
	if (!has_bits)
		return MX_OK;
	if (bits.n > 3 || !span_u64(bits, &n))
		goto bad;
	/* ::ffff:192.0.2.0/120 became 192.0.2.0: count its bits, too */
	if (all == 32 && span_find(addr, ':') < addr.n) {
		if (n < 96)
			goto bad;
		n -= 96;
	}
	if (n > all)
		goto bad;
	out->bits = (unsigned)n;
	return MX_OK;
bad:
	*out = (struct net_cidr){ 0 };
	return MX_EINVAL;
}

bool net_cidr_has(const struct net_cidr *n, const struct net_addr *a)
{
	size_t whole = n->bits / 8;
	unsigned rest = n->bits % 8;

	if (n->addr.family != a->family || ip_bytes(a) == 0)
		return false;
	if (memcmp(n->addr.ip, a->ip, whole) != 0)
		return false;
	return rest == 0 ||
	       (n->addr.ip[whole] ^ a->ip[whole]) >> (8 - rest) == 0;
}

enum mx_err net_addr_local(struct net_addr **out, size_t *count)
{
	struct ifaddrs *list;
	size_t n = 0;

	*out = NULL;
	*count = 0;
	if (getifaddrs(&list) != 0)
		return mx_from_errno(errno);
	for (const struct ifaddrs *i = list; i != NULL; i = i->ifa_next)
		n++;
	*out = mx_alloc_array(n > 0 ? n : 1, sizeof(**out));
	for (const struct ifaddrs *i = list; i != NULL; i = i->ifa_next) {
		if (i->ifa_addr == NULL)
			continue;
		net_addr_from_sockaddr(&(*out)[*count], i->ifa_addr);
		if ((*out)[*count].family != AF_UNSPEC)
			++*count;
	}
	freeifaddrs(list);
	return MX_OK;
}
