#include "daemon/route/build.h"

#include "common/base/alloc.h"
#include "common/base/hash.h"
#include "config/value/value.h"

enum { KEY_MAX = 255 }; /* a longer key ends in a hash */

/* ---- The key ---- */

/* Hosts of the route, or that would be if DNS answered: one that cannot be
 * looked up just now must not make another destination of it. */
static bool in_key(const struct candidate *h)
{
	return h->fate == ROUTE_USED || h->fate == ROUTE_UNKNOWN_NOW ||
	       h->fate == ROUTE_NO_ADDRESS || h->fate == ROUTE_NOT_PUBLIC ||
	       h->fate == ROUTE_NO_DANE;
}

static void add_host(struct buf *key, const struct candidate *h,
		     enum tls_level tls)
{
	if (h->name.n > 0)
		buf_addf(key, "%.*s:%u", SPAN_ARG(h->name), h->port);
	else if (h->addr_count > 0)
		net_endpoint_add(key, &h->addrs[0]);
	/* Two domains may ask for different things of the same host: signed
	 * MX records make DANE of it, a policy makes it verified. */
	if (h->fate == ROUTE_USED && h->tls.level != tls)
		buf_addf(key, "/%s", value_tls_name(h->tls.level));
}

/*
 * "mx1.example.org:25,mx2.example.org:25;mx3.example.org:25 tls=may": ranks
 * instead of preferences, and names in order within a rank, so that domains
 * that mean the same say the same.
 */
static void make_key(const struct choice *c, const struct build_facts *f,
		     struct buf *key)
{
	const struct candidate *last = NULL;

	for (size_t i = 0; i < c->count; i++) {
		const struct candidate *h = &c->hosts[i];

		if (!in_key(h))
			continue;
		if (last != NULL)
			buf_addc(key,
				 h->preference == last->preference ? ',' : ';');
		add_host(key, h, f->tls);
		last = h;
	}
	/* Without hosts nothing is shared. */
	if (last == NULL)
		buf_addf(key, "%s:%.*s", route_result_name(f->result),
			 SPAN_ARG(f->domain));
	if (key->n > KEY_MAX) {
		/* keyed: nobody can make his long list of hosts end as that
		 * of another domain, and have its mail */
		uint64_t hash = hash_keyed(buf_span(key));

		key->n = KEY_MAX - 20;
		buf_addf(key, "...#%016llx", (unsigned long long)hash);
	}
	buf_addf(key, " tls=%s", value_tls_name(f->tls));
}

/* ---- Copies ---- */

static void copy_tls(struct arena *a, struct route_tls *to,
		     const struct route_tls *from)
{
	*to = *from;
	to->sni = arena_span(a, from->sni);
	to->tlsa = arena_alloc_array(a, from->tlsa_count, sizeof(*to->tlsa));
	for (size_t i = 0; i < from->tlsa_count; i++) {
		to->tlsa[i] = from->tlsa[i];
		to->tlsa[i].data = arena_span(a, from->tlsa[i].data);
	}
	to->names = arena_alloc_array(a, from->name_count, sizeof(*to->names));
	for (size_t i = 0; i < from->name_count; i++)
		to->names[i] = arena_span(a, from->names[i]);
}

static void copy_hosts(struct route *r, const struct choice *c, bool mx_secure)
{
	struct arena *a = &r->arena;

	r->hosts = arena_alloc_array(a, c->count, sizeof(*r->hosts));
	for (size_t i = 0; i < c->count; i++) {
		const struct candidate *from = c->order[i];
		struct route_host *to = &r->hosts[r->host_count];

		if (from->fate != ROUTE_USED)
			continue;
		r->host_count++;
		to->name = arena_span(a, from->name);
		to->canon = arena_span(a, from->canon);
		to->preference = from->preference;
		to->addr_dnssec = from->addr_dnssec;
		to->tlsa_dnssec = from->tlsa_dnssec;
		to->tlsa_published = from->tlsa_published;
		to->secure = mx_secure && from->addr_dnssec == ROUTE_SECURE;
		to->addr_count = from->addr_count;
		to->addrs = arena_alloc_array(a, from->addr_count,
					      sizeof(*to->addrs));
		memcpy(to->addrs, from->addrs,
		       from->addr_count * sizeof(*to->addrs));
		copy_tls(a, &to->tls, &from->tls);
	}
}

static void copy_published(struct route *r, const struct choice *c)
{
	r->published =
		arena_alloc_array(&r->arena, c->count, sizeof(*r->published));
	r->published_count = c->count;
	for (size_t i = 0; i < c->count; i++) {
		const struct candidate *h = &c->hosts[i];

		r->published[i] = (struct route_mx){
			.host = arena_span(&r->arena, h->name),
			.preference = h->preference,
			.fate = h->fate,
			.addr_dnssec = h->addr_dnssec,
		};
	}
}

static void copy_notes(struct route *r, const struct choice *c)
{
	r->notes =
		arena_alloc_array(&r->arena, c->note_count, sizeof(*r->notes));
	r->note_count = c->note_count;
	for (size_t i = 0; i < c->note_count; i++) {
		r->notes[i].host = arena_span(&r->arena, c->notes[i].host);
		r->notes[i].text = arena_span(&r->arena, c->notes[i].text);
	}
}

struct route *build_route(const struct choice *c, const struct build_facts *f)
{
	struct route *r = mx_alloc(sizeof(*r));
	struct buf key = { 0 };

	r->refs = 1;
	r->result = f->result;
	r->is_final = f->is_final;
	r->source = c->source;
	r->is_brief = c->is_brief;
	r->mx_dnssec = f->mx_dnssec;
	r->expires_ms = f->expires_ms;
	r->findings = f->findings;
	r->domain = arena_span(&r->arena, f->domain);
	r->reason = arena_span(&r->arena, f->reason);
	make_key(c, f, &key);
	r->key = arena_span(&r->arena, buf_span(&key));
	buf_fini(&key);
	if (c->order != NULL) /* not settled: nothing to try */
		copy_hosts(r, c, f->is_set_secure);
	copy_published(r, c);
	copy_notes(r, c);
	r->sts = f->sts;
	r->sts.domain = arena_span(&r->arena, f->sts.domain);
	r->sts.id = arena_span(&r->arena, f->sts.id);
	return r;
}

struct route *build_stale(struct route *base, int64_t expires_ms)
{
	struct route *r = mx_alloc(sizeof(*r));

	*r = *base;
	r->refs = 1;
	r->arena = (struct arena){ 0 };
	r->base = route_ref(base->base != NULL ? base->base : base);
	r->expires_ms = expires_ms;
	r->is_stale = true;
	return r;
}
