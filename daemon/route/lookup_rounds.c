/* The rounds of a look-up: what is asked, and what the answers change. */

#include "common/base/assert.h"
#include "common/base/random.h"
#include "common/base/clock.h"
#include "daemon/route/lookup_priv.h"
#include "daemon/route/tlsa.h"

/*
 * An answer is kept for its TTL at most.  A denial beside it (of a second
 * address family, of TLSA) has none to go by: libunbound is told to forget
 * denials after seconds, so that a zone that is back is seen to be.
 */
enum { TTL_DENIED_S = 60 };

static void note_ttl(struct lookup *l, const struct dns_answer *a)
{
	int64_t ttl_s = a->status == DNS_OK ? a->ttl_s : TTL_DENIED_S;

	if (!dns_failed(a->status) && ttl_s < l->ttl_s)
		l->ttl_s = ttl_s;
}

static void conclude(struct lookup *l, enum route_result result)
{
	l->is_settled = true;
	l->result = result;
}

/* ---- Questions ---- */

static void take_mx(struct lookup *l, const struct dns_answer *a);
static void take_alias(struct lookup *l, struct candidate *h,
		       const struct dns_answer *a);

static void take(struct question *q, const struct dns_answer *a)
{
	struct lookup *l = q->lookup;

	switch (q->type) {
	case DNS_MX:
		take_mx(l, a);
		break;
	case DNS_A:
	case DNS_AAAA:
		choice_read_addrs(&l->choice, q->host, q->type, a);
		break;
	case DNS_CNAME:
		take_alias(l, q->host, a);
		break;
	case DNS_TLSA:
		tlsa_take(&l->choice, q->host, q->base, a);
		break;
	case DNS_NS:
	case DNS_TXT:
	default:
		MX_ASSERT(false);
	}
}

static void on_answer(const struct dns_answer *a, void *arg)
{
	struct question *q = arg;
	struct lookup *l = q->lookup;

	MX_ASSERT(l->magic == LOOKUP_MAGIC);
	q->query = NULL;
	l->pending--;
	note_ttl(l, a);
	take(q, a);
	if (l->pending == 0)
		l->advance(l);
}

static void new_round(struct lookup *l, size_t most)
{
	l->questions =
		arena_alloc_array(&l->arena, most, sizeof(*l->questions));
	l->question_count = 0;
}

static struct question *question(struct lookup *l, enum dns_type type,
				 struct candidate *host)
{
	struct question *q = &l->questions[l->question_count++];

	*q = (struct question){ .lookup = l, .host = host, .type = type };
	l->pending++;
	l->has_asked = true;
	return q;
}

static void ask(struct lookup *l, struct span name, enum dns_type type,
		struct candidate *host)
{
	struct question *q = question(l, type, host);

	q->query = resolver_ask(l->opt.resolver, name, type, on_answer, q);
}

static void ask_tlsa(struct lookup *l, struct candidate *h, struct span base)
{
	struct question *q = question(l, DNS_TLSA, h);
	struct buf name = { 0 };

	q->base = base;
	tlsa_name(&name, h->port, base);
	q->query = resolver_ask(l->opt.resolver, buf_span(&name), DNS_TLSA,
				on_answer, q);
	buf_fini(&name);
}

/* ---- Rounds ---- */

static void ask_mx(struct lookup *l)
{
	new_round(l, 1);
	ask(l, l->domain, DNS_MX, NULL);
}

void lookup_start_mx(struct lookup *l)
{
	l->choice = (struct choice){ .arena = &l->arena,
				     .self = l->opt.self,
				     .source = l->opt.source,
				     .is_brief = l->opt.is_brief };
	if (l->opt.source != ROUTE_FROM_MX)
		choice_read_hops(&l->choice, l->opt.hops, l->opt.hop_count);
	else
		ask_mx(l);
}

static void take_mx(struct lookup *l, const struct dns_answer *a)
{
	in_port_t port = l->opt.config->drain.port;

	l->mx_dnssec = a->secure ? ROUTE_SECURE : ROUTE_INSECURE;
	l->canon = arena_span(&l->arena, a->canon);
	switch (a->status) {
	case DNS_OK:
		if (choice_read_mx(&l->choice, a, port))
			return;
		conclude(l, ROUTE_NULL_MX);
		buf_addf(&l->reason, "%.*s takes no mail (null MX)",
			 SPAN_ARG(l->domain));
		return;
	case DNS_NXDOMAIN: /* some servers say so of a type: ask for others */
	case DNS_NODATA:
		choice_read_domain(&l->choice, l->domain, port);
		return;
	case DNS_SERVFAIL:
	case DNS_BOGUS:
	case DNS_TIMEOUT:
	default:
		conclude(l, ROUTE_TRANSIENT);
		l->mx_dnssec =
			a->status == DNS_BOGUS ? ROUTE_BOGUS : ROUTE_NO_ANSWER;
		buf_addf(&l->reason, "MX of %.*s: %s", SPAN_ARG(l->domain),
			 dns_status_name(a->status));
		if (a->why.n > 0)
			buf_addf(&l->reason, " (%.*s)", SPAN_ARG(a->why));
	}
}

/* The file may change: it is looked at again like any answer. */
enum { TTL_HOSTS_S = 60 };

/* Without DNSSEC: no DANE for such a host. */
static bool take_hosts(struct lookup *l, struct candidate *h)
{
	struct net_addr addrs[CHOOSE_ADDRS_MAX];
	size_t n = 0;

	if (l->opt.source != ROUTE_FROM_MX)
		n = hosts_find(l->opt.hosts, h->name, addrs, COUNT(addrs));
	if (n == 0)
		return false;
	h->v4.status = h->v6.status = DNS_NODATA;
	for (size_t i = 0; i < n; i++) {
		struct choice_addrs *to =
			addrs[i].family == AF_INET6 ? &h->v6 : &h->v4;

		to->status = DNS_OK;
		to->addrs[to->count++] = addrs[i];
	}
	choice_note(&l->choice, h->name, "addresses from " HOSTS_FILE);
	l->has_asked = true;
	if (l->ttl_s > TTL_HOSTS_S)
		l->ttl_s = TTL_HOSTS_S;
	return true;
}

void lookup_start_addresses(struct lookup *l)
{
	lookup_ask_policies(l);
	new_round(l, 2 * l->choice.count);
	for (size_t i = 0; i < l->choice.count; i++) {
		struct candidate *h = &l->choice.hosts[i];

		if (h->fate != ROUTE_USED || h->name.n == 0 ||
		    take_hosts(l, h))
			continue;
		ask(l, h->name, DNS_A, h);
		ask(l, h->name, DNS_AAAA, h);
	}
}

/* DANE begins with a list of hosts that can be trusted: signed MX records, or
 * the operator's word (RFC 7672 section 2.2). */
bool lookup_is_set_secure(const struct lookup *l)
{
	return l->opt.source != ROUTE_FROM_MX || l->mx_dnssec == ROUTE_SECURE;
}

static bool wants_dane(const struct lookup *l, const struct candidate *h)
{
	return h->fate == ROUTE_USED && h->name.n > 0 &&
	       lookup_is_set_secure(l) && l->opt.tls != TLS_LEVEL_NONE;
}

/*
 * RFC 7672 section 2.2.2: insecure addresses behind an alias say nothing of
 * the alias itself.  When that is signed, the original name may have TLSA
 * records of its own.
 */
void lookup_start_aliases(struct lookup *l)
{
	choice_settle(&l->choice, random_secret());
	new_round(l, l->choice.count);
	for (size_t i = 0; i < l->choice.count; i++) {
		struct candidate *h = &l->choice.hosts[i];

		if (wants_dane(l, h) && h->canon.n > 0 &&
		    h->addr_dnssec == ROUTE_INSECURE)
			ask(l, h->name, DNS_CNAME, h);
	}
}

static void take_alias(struct lookup *l, struct candidate *h,
		       const struct dns_answer *a)
{
	h->is_alias_secure = a->status == DNS_OK && a->secure;
	if (dns_failed(a->status))
		choice_drop(&l->choice, h, ROUTE_UNKNOWN_NOW,
			    "not used now: no answer about its alias");
}

/* The end of a chain that is secure throughout comes first. */
void lookup_start_tlsa(struct lookup *l)
{
	new_round(l, l->choice.count);
	for (size_t i = 0; i < l->choice.count; i++) {
		struct candidate *h = &l->choice.hosts[i];

		if (!wants_dane(l, h))
			continue;
		if (h->addr_dnssec == ROUTE_SECURE)
			ask_tlsa(l, h, h->canon.n > 0 ? h->canon : h->name);
		else if (h->is_alias_secure)
			ask_tlsa(l, h, h->name);
	}
}

void lookup_start_tlsa_original(struct lookup *l)
{
	new_round(l, l->choice.count);
	for (size_t i = 0; i < l->choice.count; i++) {
		struct candidate *h = &l->choice.hosts[i];

		if (wants_dane(l, h) && h->addr_dnssec == ROUTE_SECURE &&
		    h->canon.n > 0 && h->tlsa_base.n == 0)
			ask_tlsa(l, h, h->name);
	}
}
