/* Candidates read from record sets and from the configuration. */
#include "common/base/assert.h"
#include "daemon/route/choose_priv.h"
#include "daemon/route/mx_set.h"

static bool is_self_by_name(const struct choice *c, const struct candidate *h)
{
	return self_is_name(c->self, h->name);
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
	struct mx_record *rows;

	c->source = ROUTE_FROM_MX;
	c->count = mx_set_read(c->arena, mx, c->self, &rows);
	c->hosts = arena_alloc_array(c->arena, c->count, sizeof(*c->hosts));
	for (size_t i = 0; i < c->count; i++)
		c->hosts[i] = (struct candidate){
			.name = rows[i].name,
			.preference = rows[i].preference,
			.port = port,
		};
	if (c->count == 1 && c->hosts[0].name.n == 0) {
		c->hosts[0].fate = ROUTE_IS_NULL;
		return false;
	}
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

void choice_read_addrs(const struct choice *c, struct candidate *h,
		       enum dns_type type, const struct dns_answer *answer)
{
	struct choice_addrs *to = type == DNS_A ? &h->v4 : &h->v6;

	to->status = answer->status;
	to->secure = answer->secure;
	to->canon = arena_span(c->arena, answer->canon);
	for (size_t i = 0; i < answer->count; i++) {
		struct net_addr one;

		if (!dns_read_addr(type, answer->rdata[i], &one))
			continue;
		one.port = h->port;
		h->is_here = h->is_here || choice_is_here(c, &one);
		if (to->count < COUNT(to->addrs))
			to->addrs[to->count++] = one;
	}
	if (to->status == DNS_OK && to->count == 0)
		to->status = DNS_NODATA;
}
