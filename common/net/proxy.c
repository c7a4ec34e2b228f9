#include "common/net/proxy.h"

#include <string.h>


/*
 * The PROXY protocol specification of HAProxy, section 2.1 (version 1, a line
 * of at most 107 bytes) and section 2.2 (version 2):
 *
 *   byte  0-11  signature
 *   byte  12    version 2 in the high, command in the low four bits
 *   byte  13    address family and transport
 *   byte  14-15 length of what follows, addresses and TLVs
 */
enum {
	V1_LINE_MAX = 107,
	V2_HEAD = 16,
	CMD_LOCAL = 0x20,
	CMD_PROXY = 0x21,
	FAM_UNSPEC = 0x00,
	FAM_TCP4 = 0x11,
	FAM_TCP6 = 0x21,
	TLV_HEAD = 3,
};

static const unsigned char v2_signature[12] = { 0x0d, 0x0a, 0x0d, 0x0a,
						0x00, 0x0d, 0x0a, 0x51,
						0x55, 0x49, 0x54, 0x0a };

static unsigned u16(const unsigned char *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

/* "65535": no sign, no leading zero but for 0 itself. */
static bool port_parse(struct span s, in_port_t *out)
{
	uint64_t n;

	if (s.n > 5 || (s.n > 1 && s.p[0] == '0') || !span_u64(s, &n) ||
	    n > 65535)
		return false;
	*out = (in_port_t)n;
	return true;
}

static bool v1_addr_parse(struct span s, sa_family_t family,
			  struct net_addr *out)
{
	bool is_v6 = span_find(s, ':') < s.n;

	return is_v6 == (family == AF_INET6) && net_addr_parse(s, out) == MX_OK;
}

/* The line without its CRLF. */
static enum proxy_state v1_line(struct span line, struct net_addr *client)
{
	span_cut(&line, ' ');
	struct span proto = span_cut(&line, ' ');
	sa_family_t family = AF_INET;

	if (span_eq(proto, SPAN_LIT("UNKNOWN")))
		return PROXY_LOCAL; /* the rest is to be ignored */
	if (span_eq(proto, SPAN_LIT("TCP6")))
		family = AF_INET6;
	else if (!span_eq(proto, SPAN_LIT("TCP4")))
		return PROXY_BAD;

	struct span src = span_cut(&line, ' ');
	struct span dst = span_cut(&line, ' ');
	struct span src_port = span_cut(&line, ' ');
	struct net_addr a, ignored;
	in_port_t port, ignored_port;

	if (!v1_addr_parse(src, family, &a) ||
	    !v1_addr_parse(dst, family, &ignored) ||
	    !port_parse(src_port, &port) || !port_parse(line, &ignored_port))
		return PROXY_BAD;
	a.port = port;
	*client = a;
	return PROXY_DONE;
}

static enum proxy_state v1_parse(struct span *in, struct net_addr *client)
{
	size_t max = in->n < V1_LINE_MAX ? in->n : V1_LINE_MAX;
	const char *lf = memchr(in->p, '\n', max);

	if (lf == NULL)
		return max == V1_LINE_MAX ? PROXY_BAD : PROXY_MORE;
	size_t n = (size_t)(lf - in->p);
	if (in->p[n - 1] != '\r') /* n > 0: it starts with "PROXY " */
		return PROXY_BAD;

	enum proxy_state st = v1_line(span_of(in->p, n - 1), client);
	if (st != PROXY_BAD)
		*in = span_skip(*in, n + 1);
	return st;
}

/* What follows the addresses must be a row of whole TLVs. */
static bool tlvs_are_whole(const unsigned char *p, size_t n)
{
	while (n > 0) {
		if (n < TLV_HEAD || n - TLV_HEAD < u16(p + 1))
			return false;
		size_t len = TLV_HEAD + u16(p + 1);

		p += len;
		n -= len;
	}
	return true;
}

/* The block behind the fixed head: source, destination, ports, TLVs. */
static enum proxy_state v2_addrs(unsigned family, const unsigned char *p,
				 size_t n, struct net_addr *client)
{
	size_t ip = family == FAM_TCP4 ? 4 : 16;
	size_t block = 2 * ip + 4;
	struct sockaddr_storage ss = { 0 };

	if (n < block || !tlvs_are_whole(p + block, n - block))
		return PROXY_BAD;
	if (family == FAM_TCP4) {
		struct sockaddr_in *sin = (void *)&ss;

		sin->sin_family = AF_INET;
		memcpy(&sin->sin_addr, p, 4);
		memcpy(&sin->sin_port, p + 8, 2);
	} else {
		struct sockaddr_in6 *sin6 = (void *)&ss;

		sin6->sin6_family = AF_INET6;
		memcpy(&sin6->sin6_addr, p, 16);
		memcpy(&sin6->sin6_port, p + 32, 2);
	}
	net_addr_from_sockaddr(client, (const struct sockaddr *)&ss);
	return PROXY_DONE;
}

static enum proxy_state v2_parse(struct span *in, struct net_addr *client)
{
	const unsigned char *p = (const unsigned char *)in->p;
	enum proxy_state st = PROXY_LOCAL;

	if (in->n < V2_HEAD)
		return PROXY_MORE;
	unsigned command = p[12], family = p[13];
	size_t len = u16(p + 14);

	if (len > PROXY_HEADER_MAX - V2_HEAD)
		return PROXY_BAD;
	if (command != CMD_LOCAL && command != CMD_PROXY)
		return PROXY_BAD;
	if (command == CMD_PROXY && family != FAM_UNSPEC &&
	    family != FAM_TCP4 && family != FAM_TCP6)
		return PROXY_BAD; /* datagrams and Unix sockets carry no SMTP */
	if (in->n - V2_HEAD < len)
		return PROXY_MORE;
	if (command == CMD_PROXY && family != FAM_UNSPEC)
		st = v2_addrs(family, p + V2_HEAD, len, client);
	if (st != PROXY_BAD)
		*in = span_skip(*in, V2_HEAD + len);
	return st;
}

/* Does what has come so far agree with the first bytes of a header? */
static bool begins(struct span in, const void *head, size_t n)
{
	return memcmp(in.p, head, in.n < n ? in.n : n) == 0;
}

enum proxy_state proxy_parse(struct span *in, struct net_addr *client)
{
	static const char v1_head[] = { 'P', 'R', 'O', 'X', 'Y', ' ' };

	*client = (struct net_addr){ 0 };
	if (in->n == 0)
		return PROXY_MORE;
	if (begins(*in, v2_signature, sizeof(v2_signature)))
		return v2_parse(in, client);
	if (!begins(*in, v1_head, sizeof(v1_head)))
		return PROXY_BAD;
	return in->n < sizeof(v1_head) ? PROXY_MORE : v1_parse(in, client);
}
