#include "daemon/route/plan.h"

#include "common/base/assert.h"

static const char *const asked[] = {
	[TLS_LEVEL_NONE] = "tls=none", [TLS_LEVEL_MAY] = "tls=may",
	[TLS_LEVEL_MUST] = "tls=must", [TLS_LEVEL_VERIFY] = "tls=verify",
	[TLS_LEVEL_DANE] = "tls=dane",
};

/* The name a certificate must bear; of a literal, the address as text. */
static struct span own_name(struct choice *c, const struct candidate *h)
{
	struct buf text = { 0 };
	struct span name;

	if (h->name.n > 0)
		return h->name;
	net_addr_add(&text, &h->addrs[0]);
	name = arena_span(c->arena, buf_span(&text));
	buf_fini(&text);
	return name;
}

static void plan_host(struct choice *c, struct candidate *h,
		      const struct plan *p)
{
	struct route_tls *t = &h->tls;

	*t = (struct route_tls){ .level = p->level,
				 .sni = h->name,
				 .reason = asked[p->level] };
	t->names = arena_alloc(c->arena, sizeof(*t->names));
	t->names[t->name_count++] = own_name(c, h);
}

void plan_tls(struct choice *c, const struct plan *p)
{
	MX_ASSERT(p->level != TLS_LEVEL_DEFAULT);
	for (size_t i = 0; i < c->count; i++) {
		if (c->hosts[i].fate == ROUTE_USED)
			plan_host(c, &c->hosts[i], p);
	}
}
