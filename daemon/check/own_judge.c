/* What is wrong with this host, from what own.c has gathered. */
#include "common/base/clock.h"
#include "daemon/check/days.h"
#include "daemon/check/own.h"
#include "daemon/dns/shun.h"
#include "daemon/policy/dnsbl.h"
#include "daemon/route/tlsa.h"

enum { TTL_S = 3600 };

static void add_addr(struct buf *out, const struct own_addr *a)
{
	buf_reset(out);
	net_addr_add(out, &a->addr);
	(void)buf_cstr(out);
}

/* ---- What there is ---- */

static bool is_us(const struct own *o, const struct own_addr *a)
{
	return self_is_name(&o->world->self, span_str(a->facts.host));
}

static bool is_ours(const struct own_addr *a)
{
	return a->is_here || a->is_alias;
}

const struct own_addr *own_shown(const struct own *o)
{
	for (size_t i = 0; i < o->addr_count; i++)
		if (o->addrs[i].facts.is_shown && is_us(o, &o->addrs[i]))
			return &o->addrs[i];
	return NULL;
}

void own_add_addrs(struct buf *out, const struct own *o)
{
	for (size_t i = 0; o != NULL && i < o->addr_count; i++) {
		if (i > 0)
			buf_addc(out, ' ');
		net_addr_add(out, &o->addrs[i].addr);
	}
	if (o == NULL || o->addr_count == 0)
		buf_adds(out, "<our address>");
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
	const enum dns_status s =
		dns_failed(o->v4.status) ? o->v4.status : o->v6.status;

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
	findings_remedy(f, "%.*s. %d IN A %s", SPAN_ARG(o->name), TTL_S,
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
			SPAN_ARG(o->name), TTL_S, SPAN_ARG(c->hostname));
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
	else if (!is_us(o, a))
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
	findings_remedy(f, "%s. %d IN PTR %.*s.", buf_cstr(&name), TTL_S,
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

/* ---- own-tls ---- */

static void install_certificate(struct findings *f, const struct own *o)
{
	findings_remedy(f,
			"tls = { certificate = \"/etc/mx20/%.*s.pem\"; key = "
			"\"/etc/mx20/%.*s.key\"; };",
			SPAN_ARG(o->name), SPAN_ARG(o->name));
}

static void judge_end(struct findings *f, const struct own *o, int64_t end_ms)
{
	const int64_t days = days_left(end_ms);
	const enum severity s = days_severity(days);

	if (s == SEVERITY_OK)
		return;
	findings_add(f, CHECK_OWN_TLS, s,
		     days < 0 ? "the certificate of %.*s ended %lld days ago"
			      : "the certificate of %.*s ends in %lld days",
		     SPAN_ARG(o->name), (long long)(days < 0 ? -days : days));
	findings_remedy(f, "certbot renew --cert-name %.*s && systemctl "
			   "reload mx20",
			SPAN_ARG(o->name));
}

/* One that TLSA vouches for needs neither roots nor names (RFC 7672 section
 * 3.1.1): but who goes by an MTA-STS policy wants both. */
static void judge_shown(struct findings *f, const struct own *o,
			const struct tls_shown *s)
{
	const enum severity bad = o->dane_facts.is_ready ? SEVERITY_INFO
							 : SEVERITY_WARNING;

	judge_end(f, o, s->end_ms);
	if (!s->has_name) {
		findings_add(f, CHECK_OWN_TLS, bad,
			     "the certificate does not stand for %.*s",
			     SPAN_ARG(o->name));
		findings_remedy(f, "certbot certonly -d %.*s",
				SPAN_ARG(o->name));
	}
	if (!s->chains && days_left(s->end_ms) >= 0) {
		findings_add(f, CHECK_OWN_TLS, bad,
			     "the certificate of %.*s is not trusted: %s",
			     SPAN_ARG(o->name), s->why);
		install_certificate(f, o);
	}
}

/* mx20d is down: the files say what it will show. */
static void judge_files(struct findings *f, const struct own *o)
{
	const struct config *c = o->world->config;
	const char *certs[1], *keys[1];
	struct tls_server *server = NULL;
	struct buf why = { 0 };

	if (c->tls.pair_count == 0 || c->tls.key_count == 0)
		return;
	certs[0] = c->tls.certificates[0].p;
	keys[0] = c->tls.keys[0].p;
	if (tls_server_new(&server, certs, keys, 1, c->tls.ca_file.p, &why) !=
	    MX_OK) {
		findings_add(f, CHECK_OWN_TLS, SEVERITY_INFO,
			     "not seen: nobody answers, and %s",
			     buf_cstr(&why));
	} else {
		judge_end(f, o, tls_server_end_ms(server, 0));
		if (!tls_server_covers(server, 0, o->name)) {
			findings_add(f, CHECK_OWN_TLS, SEVERITY_WARNING,
				     "%s does not stand for %.*s", certs[0],
				     SPAN_ARG(o->name));
			findings_remedy(f, "certbot certonly -d %.*s",
					SPAN_ARG(o->name));
		}
	}
	tls_server_unref(&server);
	buf_fini(&why);
}

static bool was_reached(const struct own *o)
{
	for (size_t i = 0; i < o->addr_count; i++)
		if (is_us(o, &o->addrs[i]))
			return true;
	return false;
}

static void judge_no_tls(struct findings *f, const struct own *o)
{
	const struct config *c = o->world->config;

	if (c->tls.pair_count == 0) {
		findings_add(f, CHECK_OWN_TLS, SEVERITY_WARNING,
			     "no TLS: this host has no certificate");
		install_certificate(f, o);
	} else if (!was_reached(o)) {
		judge_files(f, o);
		findings_ok(f, CHECK_OWN_TLS, "by its file: nobody answers");
	} else {
		findings_add(f, CHECK_OWN_TLS, SEVERITY_WARNING,
			     "no TLS at any address of %.*s, though there is a "
			     "certificate",
			     SPAN_ARG(o->name));
		findings_remedy(f, "systemctl reload mx20");
	}
}

static void judge_tls(struct findings *f, const struct own *o)
{
	const struct own_addr *a = own_shown(o);

	if (a == NULL) {
		judge_no_tls(f, o);
		return;
	}
	judge_shown(f, o, &a->facts.shown);
	findings_ok(f, CHECK_OWN_TLS, "%s, %lld days left",
		    a->facts.tls_version,
		    (long long)days_left(a->facts.shown.end_ms));
}

/* ---- own-tlsa ---- */

void own_tlsa_record(struct buf *out, const struct own *o,
		     const struct tls_shown *shown)
{
	tlsa_name(out, o->world->config->drain.port, o->name);
	buf_addf(out, ". %d IN TLSA 3 1 1 ", TTL_S);
	for (size_t i = 0; i < sizeof(shown->spki); i++)
		buf_addf(out, "%02x", shown->spki[i]);
}

static void publish_tlsa(struct findings *f, const struct own *o)
{
	const struct own_addr *a = own_shown(o);
	struct buf line = { 0 };

	if (a != NULL) {
		own_tlsa_record(&line, o, &a->facts.shown);
		findings_remedy(f, "%s", buf_cstr(&line));
	}
	buf_fini(&line);
}

static void judge_records(struct findings *f, const struct own *o)
{
	if (!o->tlsa.secure) {
		findings_add(f, CHECK_OWN_TLSA, SEVERITY_INFO,
			     "the TLSA records of %.*s do not count: its zone "
			     "is not signed",
			     SPAN_ARG(o->name));
	} else if (o->record_count == 0) {
		findings_add(f, CHECK_OWN_TLSA, SEVERITY_WARNING,
			     "no TLSA record of %.*s can be used (RFC 7672 "
			     "section 3.1)",
			     SPAN_ARG(o->name));
		publish_tlsa(f, o);
	} else if (own_shown(o) == NULL) {
		findings_add(f, CHECK_OWN_TLSA,
			     was_reached(o) ? SEVERITY_ERROR : SEVERITY_INFO,
			     "%.*s has TLSA records, and shows no certificate",
			     SPAN_ARG(o->name));
	} else if (!o->dane_facts.is_ready) {
		findings_add(f, CHECK_OWN_TLSA, SEVERITY_ERROR,
			     "the TLSA records of %.*s do not match its "
			     "certificate (%.*s): careful senders do not come",
			     SPAN_ARG(o->name),
			     SPAN_ARG(buf_span(&o->dane_facts.error)));
		publish_tlsa(f, o);
	}
}

static void judge_tlsa(struct findings *f, const struct own *o)
{
	if (o->tlsa.status == DNS_OK)
		judge_records(f, o);
	else if (dns_failed(o->tlsa.status))
		findings_add(f, CHECK_OWN_TLSA, SEVERITY_WARNING,
			     "the TLSA records of %.*s cannot be looked up "
			     "(%s): careful senders do not come",
			     SPAN_ARG(o->name),
			     dns_status_name(o->tlsa.status));
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
	judge_tls(f, o);
	judge_tlsa(f, o);
	judge_blocked(f, o);
}
