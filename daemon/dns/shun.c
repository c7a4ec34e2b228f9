#include "daemon/dns/shun.h"

#include "common/base/assert.h"

#define WHY(what) "not used: " what ", and dns.private does not list it"

#define LOOPBACK WHY("a loopback address")
#define LINK_LOCAL WHY("a link-local address")
#define MULTICAST WHY("a multicast address")
#define PRIVATE WHY("a private address")
#define RESERVED WHY("a reserved address")

#define V4(...)                                                                \
	{                                                                      \
		.family = AF_INET, .ip = { __VA_ARGS__ }                       \
	}
#define V6(...)                                                                \
	{                                                                      \
		.family = AF_INET6, .ip = { __VA_ARGS__ }                      \
	}

/* clang-format off */
static const struct row {
	struct net_cidr net;
	const char *why;
} rows[] = {
	{ { V4(10), 8 },                 PRIVATE },
	{ { V4(100, 64), 10 },           PRIVATE },    /* RFC 6598 */
	{ { V4(127), 8 },                LOOPBACK },
	{ { V4(169, 254), 16 },          LINK_LOCAL }, /* clouds' metadata */
	{ { V4(172, 16), 12 },           PRIVATE },
	{ { V4(192, 0, 0), 24 },         RESERVED },
	{ { V4(192, 168), 16 },          PRIVATE },
	{ { V4(198, 18), 15 },           RESERVED },   /* RFC 2544 */
	{ { V4(224), 4 },                MULTICAST },
	{ { V4(240), 4 },                RESERVED },   /* and broadcast */
	{ { V6([15] = 1), 128 },         LOOPBACK },
	{ { V6(0), 96 },                 RESERVED },   /* "::192.0.2.1" */
	{ { V6(0, 0x64, 0xff, 0x9b, 0, 1), 48 }, PRIVATE }, /* RFC 8215 */
	{ { V6(0x01), 64 },              RESERVED },   /* RFC 6666 */
	{ { V6(0xfc), 7 },               PRIVATE },
	{ { V6(0xfe, 0x80), 10 },        LINK_LOCAL },
	{ { V6(0xfe, 0xc0), 10 },        PRIVATE },    /* RFC 3879 */
	{ { V6(0xff), 8 },               MULTICAST },
};

/* Connected to, they are this host: nobody can have a server there. */
static const struct net_cidr unspecified[] = {
	{ V4(0), 8 },
	{ V6([15] = 0), 128 },
};

/* IPv6 addresses that lead to an IPv4 address inside them. */
static const struct wrap {
	struct net_cidr net;
	size_t at;
} wraps[] = {
	{ { V6(0, 0x64, 0xff, 0x9b), 96 }, 12 }, /* NAT64, RFC 6052 */
	{ { V6(0x20, 0x02), 16 },          2 },  /* 6to4, RFC 3056 */
};
/* clang-format on */

static bool is_allowed(const struct self *s, const struct net_addr *a)
{
	for (size_t i = 0; i < s->allowed_count; i++)
		if (net_cidr_has(&s->allowed[i], a))
			return true;
	return false;
}

const char *shun_always(const struct net_addr *a)
{
	for (size_t i = 0; i < COUNT(unspecified); i++)
		if (net_cidr_has(&unspecified[i], a))
			return "not used: an unspecified address";
	return NULL;
}

static const char *look_up(const struct self *s, const struct net_addr *a)
{
	if (shun_always(a) != NULL)
		return shun_always(a);
	if (is_allowed(s, a))
		return NULL;
	for (size_t i = 0; i < COUNT(rows); i++)
		if (net_cidr_has(&rows[i].net, a))
			return rows[i].why;
	return self_has_addr(s, a) ? WHY("an address of this host") : NULL;
}

const char *shun_why(const struct self *s, const struct net_addr *a)
{
	const char *why = look_up(s, a);

	for (size_t i = 0; why == NULL && i < COUNT(wraps); i++) {
		struct net_addr inner = { .family = AF_INET };

		if (is_allowed(s, a) || !net_cidr_has(&wraps[i].net, a))
			continue;
		memcpy(inner.ip, a->ip + wraps[i].at, 4);
		why = look_up(s, &inner);
	}
	return why;
}
