#include "daemon/dns/answer.h"

enum { LABEL_MAX = 63, NAME_MAX_WIRE = 255 };

const char *dns_status_name(enum dns_status s)
{
	static const char *const names[] = {
		[DNS_OK] = "found",
		[DNS_NODATA] = "no such record",
		[DNS_NXDOMAIN] = "NXDOMAIN",
		[DNS_SERVFAIL] = "SERVFAIL",
		[DNS_BOGUS] = "bogus by DNSSEC",
		[DNS_TIMEOUT] = "time-out",
	};

	return names[s];
}

static char host_char(char c)
{
	c = ascii_lower(c);
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
	    c == '_')
		return c;
	return '?';
}

/* RFC 1035 section 3.1; libunbound has undone the compression. */
static bool read_name(struct arena *a, struct span wire, struct span *out)
{
	char *text = arena_alloc(a, NAME_MAX_WIRE + 1);
	size_t n = 0, at = 0;

	while (at < wire.n && wire.p[at] != 0) {
		size_t label = (unsigned char)wire.p[at++];

		if (label > LABEL_MAX || label > wire.n - at ||
		    n + label + 1 > NAME_MAX_WIRE)
			return false;
		if (n > 0)
			text[n++] = '.';
		for (size_t i = 0; i < label; i++)
			text[n++] = host_char(wire.p[at + i]);
		at += label;
	}
	*out = span_of(text, n);
	return at + 1 == wire.n;
}

bool dns_read_mx(struct arena *a, struct span rdata, unsigned *preference,
		 struct span *host)
{
	const unsigned char *p = (const unsigned char *)rdata.p;

	if (rdata.n < 3)
		return false;
	*preference = (unsigned)(p[0] << 8 | p[1]);
	return read_name(a, span_skip(rdata, 2), host);
}

bool dns_read_ptr(struct arena *a, struct span rdata, struct span *host)
{
	return read_name(a, rdata, host);
}

bool dns_read_addr(enum dns_type type, struct span rdata, struct net_addr *out)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

	if (type == DNS_A && rdata.n == sizeof(v4.sin_addr)) {
		memcpy(&v4.sin_addr, rdata.p, rdata.n);
		net_addr_from_sockaddr(out, (const struct sockaddr *)&v4);
		return true;
	}
	if (type == DNS_AAAA && rdata.n == sizeof(v6.sin6_addr)) {
		memcpy(&v6.sin6_addr, rdata.p, rdata.n);
		net_addr_from_sockaddr(out, (const struct sockaddr *)&v6);
		return true;
	}
	return false;
}

bool dns_read_tlsa(struct arena *a, struct span rdata, struct tls_tlsa *out)
{
	const unsigned char *p = (const unsigned char *)rdata.p;

	if (rdata.n < 4)
		return false;
	*out = (struct tls_tlsa){ .usage = p[0],
				  .selector = p[1],
				  .matching = p[2],
				  .data = arena_span(a, span_skip(rdata, 3)) };
	return true;
}

bool dns_read_txt(struct arena *a, struct span rdata, struct span *out)
{
	char *text = arena_alloc(a, rdata.n + 1);
	size_t n = 0, at = 0;

	while (at < rdata.n) {
		size_t part = (unsigned char)rdata.p[at++];

		if (part > rdata.n - at)
			return false;
		memcpy(text + n, rdata.p + at, part);
		n += part;
		at += part;
	}
	*out = span_of(text, n);
	return true;
}
