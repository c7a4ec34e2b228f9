/* Candidates read from record sets and from the configuration. */
#include <stdlib.h>

#include "common/base/assert.h"
#include "daemon/route/choose_priv.h"

static bool is_self_by_name(const struct choice *c, const struct candidate *h)
{
	return self_is_name(c->self, h->name);
}

static int by_preference(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->preference != y->preference)
		return x->preference < y->preference ? -1 : 1;
	/* A fixed order, so that the route's key does not depend on it. */
	size_t n = x->name.n < y->name.n ? x->name.n : y->name.n;
	int d = n > 0 ? memcmp(x->name.p, y->name.p, n) : 0;

	if (d != 0)
		return d;
	return (x->name.n > y->name.n) - (x->name.n < y->name.n);
}

static bool is_listed(const struct choice *c, struct span name)
{
	for (size_t i = 0; i < c->count; i++) {
		if (span_eq(c->hosts[i].name, name))
			return true;
	}
	return false;
}

/* Sorted by preference, so the first mention of a name is its best. */
static void drop_repeated(struct choice *c)
{
	size_t all = c->count;

	c->count = 0;
	for (size_t i = 0; i < all; i++) {
		if (!is_listed(c, c->hosts[i].name))
			c->hosts[c->count++] = c->hosts[i];
	}
}

/* "192.0.2.1" as a name is a mistake that people make (RFC 5321 section 5.1
 * wants a domain name); "." among others is one, too (RFC 7505 section 3). */
static void drop_unnamed(struct choice *c)
{
	struct net_addr unused;

	for (size_t i = 0; i < c->count; i++) {
		struct candidate *h = &c->hosts[i];

		if (h->name.n == 0)
			choice_drop(c, h, ROUTE_NOT_A_NAME,
				    "skipped: null MX beside other MX records");
		else if (net_addr_parse(h->name, &unused) == MX_OK)
			choice_drop(
				c, h, ROUTE_NOT_A_NAME,
				"skipped: an IP address is no MX host name");
		else if (memchr(h->name.p, '?', h->name.n) != NULL)
			choice_drop(c, h, ROUTE_NOT_A_NAME,
				    "skipped: not a host name");
	}
}

static void drop_many(struct choice *c)
{
	size_t most = c->is_brief ? BRIEF_HOSTS_MAX : CHOOSE_HOSTS_MAX;
	size_t used = 0;

	if (c->is_brief && c->count > BRIEF_RECORDS_MAX)
		c->count = BRIEF_RECORDS_MAX; /* the best: they are sorted */
	for (size_t i = 0; i < c->count; i++) {
		struct candidate *h = &c->hosts[i];

		if (h->fate == ROUTE_USED && ++used > most)
			choice_drop(c, h, ROUTE_BEYOND_LIMIT,
				    "skipped: too many MX records");
	}
}

bool choice_read_mx(struct choice *c, const struct dns_answer *mx,
		    in_port_t port)
{
	c->source = ROUTE_FROM_MX;
	c->hosts = arena_alloc_array(c->arena, mx->count, sizeof(*c->hosts));
	for (size_t i = 0; i < mx->count; i++) {
		struct candidate *h = &c->hosts[c->count];

		*h = (struct candidate){ .port = port };
		if (dns_read_mx(c->arena, mx->rdata[i], &h->preference,
				&h->name))
			c->count++;
	}
	if (c->count == 1 && c->hosts[0].name.n == 0) {
		c->hosts[0].fate = ROUTE_IS_NULL;
		return false;
	}
	qsort(c->hosts, c->count, sizeof(*c->hosts), by_preference);
	drop_repeated(c);
	drop_unnamed(c);
	choice_cut_self(c, is_self_by_name, "dropped: this host, by name");
	drop_many(c);
	return true;
}

void choice_read_hops(struct choice *c, const struct config_hop *hops,
		      size_t count)
{
	c->hosts = arena_alloc_array(c->arena, count, sizeof(*c->hosts));
	c->count = count;
	for (size_t i = 0; i < count; i++) {
		struct candidate *h = &c->hosts[i];

		*h = (struct candidate){ .preference = (unsigned)i,
					 .port = hops[i].port };
		h->name = arena_span(c->arena, hops[i].host);
		if (h->name.n > 0)
			continue;
		h->v4.status = DNS_OK;
		h->v6.status = DNS_NODATA;
		h->v4.addrs[h->v4.count++] = hops[i].addr;
	}
}

void choice_read_domain(struct choice *c, struct span domain, in_port_t port)
{
	c->source = ROUTE_FROM_ADDRESS;
	c->hosts = arena_alloc(c->arena, sizeof(*c->hosts));
	c->count = 1;
	*c->hosts = (struct candidate){ .port = port };
	c->hosts->name = arena_span(c->arena, domain);
}

void choice_read_addrs(struct choice_addrs *to, enum dns_type type,
		       const struct dns_answer *answer, struct arena *arena)
{
	to->status = answer->status;
	to->secure = answer->secure;
	to->canon = arena_span(arena, answer->canon);
	for (size_t i = 0; i < answer->count && to->count < COUNT(to->addrs);
	     i++) {
		if (dns_read_addr(type, answer->rdata[i],
				  &to->addrs[to->count]))
			to->count++;
	}
	if (to->status == DNS_OK && to->count == 0)
		to->status = DNS_NODATA;
}
