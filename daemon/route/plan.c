#include "daemon/route/plan.h"

#include "common/base/assert.h"

enum { NAMES_MOST = 4 };

#define ASKED(id, name) [TLS_LEVEL_##id] = "tls=" name,
static const char *const asked[] = { TLS_LEVELS(ASKED) };

static void add_name(struct route_tls *t, struct span name)
{
	for (size_t i = 0; i < t->name_count; i++) {
		if (span_ieq(t->names[i], name))
			return;
	}
	if (name.n > 0)
		t->names[t->name_count++] = name;
}

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

static void plan_dane(struct candidate *h, const struct plan *p)
{
	struct route_tls *t = &h->tls;

	t->level = TLS_LEVEL_DANE;
	t->is_dane = true;
	t->reason = "DANE";
	t->sni = h->tlsa_base;
	t->tlsa = h->tlsa;
	t->tlsa_count = h->tlsa_count;
	t->name_count = 0;
	add_name(t, h->tlsa_base);
	add_name(t, h->name);
	add_name(t, p->next_hop);
	add_name(t, p->next_hop_canon);
}

static void plan_host(struct choice *c, struct candidate *h,
		      const struct plan *p)
{
	struct route_tls *t = &h->tls;
	bool has_tlsa = h->tlsa_published > 0;

	*t = (struct route_tls){ .level = p->level,
				 .sni = h->name,
				 .reason = asked[p->level] };
	t->names = arena_alloc_array(c->arena, NAMES_MOST, sizeof(*t->names));
	add_name(t, own_name(c, h));
	if (p->level == TLS_LEVEL_NONE)
		return;
	if (h->tlsa_count > 0) {
		plan_dane(h, p);
	} else if (p->level == TLS_LEVEL_DANE) {
		choice_drop(
			c, h, ROUTE_NO_DANE,
			has_tlsa ? "not used: tls=dane, and none of its TLSA "
				   "records can be used"
				 : "not used: tls=dane, and it has no TLSA "
				   "records secured by DNSSEC");
	} else if (h->sts != NULL && h->sts->mode == STS_ENFORCE) {
		t->level = TLS_LEVEL_VERIFY;
		t->is_sts = true;
		t->reason = "MTA-STS";
	} else if (has_tlsa && p->level == TLS_LEVEL_MAY) {
		/* RFC 7672 section 2.2: encryption is owed all the same. */
		t->level = TLS_LEVEL_MUST;
		t->reason = "TLSA, but none usable";
	}
}

/* RFC 8461 section 4.1; DANE needs nobody's permission (section 2). */
static void filter_by_sts(struct choice *c, struct candidate *h,
			  const struct plan *p)
{
	if (p->level == TLS_LEVEL_NONE || h->tlsa_count > 0 || h->sts == NULL ||
	    h->sts->mode == STS_NONE || sts_policy_has(h->sts, h->name))
		return;
	if (h->sts->mode == STS_ENFORCE)
		choice_drop(c, h, ROUTE_NOT_IN_STS,
			    "not used: the domain's MTA-STS policy does not "
			    "name it");
	else
		choice_note(c, h->name,
			    "the domain's MTA-STS policy (testing) "
			    "does not name it");
}

void plan_tls(struct choice *c, const struct plan *p)
{
	MX_ASSERT(p->level != TLS_LEVEL_DEFAULT);
	for (size_t i = 0; i < c->count; i++) {
		struct candidate *h = &c->hosts[i];

		if (h->fate == ROUTE_USED)
			filter_by_sts(c, h, p);
		if (h->fate == ROUTE_USED)
			plan_host(c, h, p);
	}
}
