/* What is wrong with this host, from what own.c has gathered. */
#include "daemon/check/own.h"
#include "daemon/dns/shun.h"
#include "daemon/policy/dnsbl.h"

static void add_addr(struct buf *out, const struct own_addr *a)
{
	buf_reset(out);
	net_addr_add(out, &a->addr);
	(void)buf_cstr(out);
}

static bool is_ours(const struct own_addr *a)
{
	return a->is_here || a->is_alias;
}

/* ---- own-address ---- */

/* One that could be published, or a word for it. */
static void add_candidate(struct buf *out, const struct own *o)
{
	const struct self *self = &o->world->self;

	for (size_t i = 0; i < self->alias_count; i++)
		if (self->aliases[i].family == AF_INET) {
			net_addr_add(out, &self->aliases[i]);
			return;
		}
	for (size_t i = 0; i < self->host_count; i++)
		if (self->host[i].family == AF_INET &&
		    self->host[i].ip[0] != 127) {
			net_addr_add(out, &self->host[i]);
			return;
		}
	buf_adds(out, "<address>");
}

static void judge_no_address(struct findings *f, const struct own *o)
{
	struct buf addr = { 0 };
	const enum dns_status s = dns_failure_of(o->v4.status, o->v6.status);

	if (dns_failed(s)) {
		findings_add(f, CHECK_OWN_ADDRESS, SEVERITY_ERROR,
			     "the addresses of this host, %.*s, cannot be "
			     "looked up: %s",
			     SPAN_ARG(o->name), dns_status_name(s));
		return;
	}
	findings_add(f, CHECK_OWN_ADDRESS, SEVERITY_ERROR,
		     "this host's name, %.*s, has no address: nobody finds it",
		     SPAN_ARG(o->name));
	add_candidate(&addr, o);
	findings_remedy(f, "%.*s. %d IN A %s", SPAN_ARG(o->name), OWN_TTL_S,
			buf_cstr(&addr));
	buf_fini(&addr);
}

static void judge_foreign(struct findings *f, const struct own *o,
			  const char *addr, enum severity s)
{
	findings_add(f, CHECK_OWN_ADDRESS, s,
		     "%.*s leads to %s, which is no address of this host",
		     SPAN_ARG(o->name), addr);
	findings_remedy(f, "remove: %.*s. IN A %s", SPAN_ARG(o->name), addr);
	findings_remedy(f,
			"or, if it leads here (NAT): aliases = [ \"%s\" ];",
			addr);
}

/* A router may not lead back from inside what it leads in from outside, and a
 * listener behind a proxy wants to hear of it first. */
static void judge_silence(struct findings *f, const struct own *o,
			  const struct own_addr *a, const char *addr)
{
	if (!a->is_here || o->is_proxied) {
		findings_add(f, CHECK_OWN_ADDRESS, SEVERITY_INFO,
			     "%s cannot be tried from here: %s", addr,
			     a->facts.error.n > 0 ? a->facts.error.p
						  : "no answer");
		return;
	}
	findings_add(f, CHECK_OWN_ADDRESS, SEVERITY_ERROR,
		     "nobody answers at %s port %u, where %.*s leads: %.*s",
		     addr, a->addr.port, SPAN_ARG(o->name),
		     SPAN_ARG(buf_span(&a->facts.error)));
	findings_remedy(f, "systemctl start mx20");
	findings_remedy(f, "listen = ( { address = \"%s\"; port = %u; } );",
			addr, a->addr.port);
}

static void judge_impostor(struct findings *f, const struct own *o,
			   const struct own_addr *a, const char *addr)
{
	const struct config *c = o->world->config;

	findings_add(f, CHECK_OWN_ADDRESS, SEVERITY_ERROR,
		     "another server answers at %s, where %.*s leads: it calls "
		     "itself %s",
		     addr, SPAN_ARG(o->name), a->facts.host);
	findings_remedy(f, "%.*s. %d IN A <address of %.*s>",
			SPAN_ARG(o->name), OWN_TTL_S, SPAN_ARG(c->hostname));
}

/* As any other server sees it: a private network's address is no use to the
 * world, unless the operator says that his world ends there. */
static const char *why_private(const struct own *o, const struct net_addr *a)
{
	struct self nobody = { .allowed = o->world->self.allowed,
			       .allowed_count = o->world->self.allowed_count };

	return shun_why(&nobody, a);
}

static void judge_addr(struct findings *f, const struct own *o,
		       const struct own_addr *a)
{
	const struct talk_facts *t = &a->facts;
	const char *why = why_private(o, &a->addr);
	struct buf addr = { 0 };

	add_addr(&addr, a);
	if (why != NULL)
		findings_add(f, CHECK_OWN_ADDRESS, SEVERITY_ERROR,
			     "%.*s leads to %s, where the world cannot come: "
			     "%s",
			     SPAN_ARG(o->name), addr.p, why);
	else if (!is_ours(a))
		judge_foreign(f, o, addr.p,
			      t->is_ready && self_is_name(&o->world->self,
							  span_str(t->host))
				      ? SEVERITY_INFO
				      : SEVERITY_ERROR);
	else if (!t->is_ready)
		judge_silence(f, o, a, addr.p);
	else if (!own_answered(o, a))
		judge_impostor(f, o, a, addr.p);
	buf_fini(&addr);
}

static void judge_addresses(struct findings *f, const struct own *o)
{
	if (o->addr_count == 0)
		judge_no_address(f, o);
	for (size_t i = 0; i < o->addr_count; i++)
		judge_addr(f, o, &o->addrs[i]);
	findings_ok(f, CHECK_OWN_ADDRESS, "%.*s has %zu address%s, all here",
		    SPAN_ARG(o->name), o->addr_count,
		    o->addr_count == 1 ? "" : "es");
}

/* ---- own-ptr ---- */

static bool is_confirmed(const struct own_addr *a)
{
	struct net_addr addrs[OWN_ADDRS_MAX];

	for (size_t i = 0; i < a->name_count; i++) {
		size_t n = gather_addrs(&a->names[i].v4, &a->names[i].v6,
					addrs, OWN_ADDRS_MAX);

		while (n-- > 0)
			if (net_addr_eq(&addrs[n], &a->addr))
				return true;
	}
	return false;
}

static void publish_ptr(struct findings *f, const struct own *o,
			const struct own_addr *a)
{
	struct buf name = { 0 };

	dnsbl_name(&name, &a->addr,
		   a->addr.family == AF_INET6 ? SPAN_LIT("ip6.arpa")
					      : SPAN_LIT("in-addr.arpa"));
	findings_remedy(f, "%s. %d IN PTR %.*s.", buf_cstr(&name), OWN_TTL_S,
			SPAN_ARG(o->name));
	buf_fini(&name);
}

static void judge_ptr(struct findings *f, const struct own *o,
		      const struct own_addr *a)
{
	struct buf addr = { 0 };

	if (!is_ours(a)) /* whose it is, he knows */
		return;
	add_addr(&addr, a);
	if (dns_failed(a->ptr.status)) {
		findings_add(f, CHECK_OWN_PTR, SEVERITY_INFO,
			     "the reverse name of %s cannot be looked up: %s",
			     addr.p, dns_status_name(a->ptr.status));
	} else if (a->name_count == 0) {
		findings_add(f, CHECK_OWN_PTR, SEVERITY_WARNING,
			     "%s has no reverse name: many servers refuse such "
			     "clients",
			     addr.p);
		publish_ptr(f, o, a);
	} else if (!is_confirmed(a)) {
		findings_add(f, CHECK_OWN_PTR, SEVERITY_WARNING,
			     "the reverse name of %s, %.*s, does not lead back "
			     "to it",
			     addr.p, SPAN_ARG(a->names[0].name));
		publish_ptr(f, o, a);
	}
	buf_fini(&addr);
}

static void judge_ptrs(struct findings *f, const struct own *o)
{
	for (size_t i = 0; i < o->addr_count; i++)
		judge_ptr(f, o, &o->addrs[i]);
	findings_ok(f, CHECK_OWN_PTR,
		    o->addr_count > 0 ? "every address has a name that leads "
					"back to it"
				      : "not asked: see own-address");
}

/* ---- dnsbl ---- */

static void judge_lists(struct findings *f, const struct own *o,
			const struct own_addr *a)
{
	const struct config *c = o->world->config;
	struct buf addr = { 0 };

	if (!is_ours(a))
		return;
	add_addr(&addr, a);
	for (size_t i = 0; i < c->policy.dnsbl_count; i++) {
		const struct span zone = c->policy.dnsbl[i].zone;
		const struct dns_answer answer = {
			.status = a->listed[i].status,
			.rdata = a->listed[i].rdata,
			.count = a->listed[i].count,
		};

		if (!dnsbl_lists(&answer))
			continue;
		findings_add(f, CHECK_DNSBL, SEVERITY_ERROR,
			     "%s is listed by %.*s: primaries that ask it "
			     "refuse what comes from here",
			     addr.p, SPAN_ARG(zone));
		findings_remedy(f, "ask %.*s to take %s off its list",
				SPAN_ARG(zone), addr.p);
	}
	buf_fini(&addr);
}

static void judge_blocked(struct findings *f, const struct own *o)
{
	const size_t zones = o->world->config->policy.dnsbl_count;

	for (size_t i = 0; i < o->addr_count; i++)
		judge_lists(f, o, &o->addrs[i]);
	if (zones == 0)
		findings_ok(f, CHECK_DNSBL, "policy.dnsbl names no list");
	findings_ok(f, CHECK_DNSBL, "on none of %zu lists", zones);
}

void own_judge(struct own *o)
{
	struct findings *f = &o->findings;

	judge_addresses(f, o);
	judge_ptrs(f, o);
	own_judge_tls(f, o);
	own_judge_tlsa(f, o);
	judge_blocked(f, o);
}
