/* What is wrong with this host's certificate and its TLSA records. */
#include "daemon/check/days.h"
#include "daemon/check/own.h"
#include "daemon/route/tlsa.h"

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
		if (own_answered(o, &o->addrs[i]))
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

void own_judge_tls(struct findings *f, const struct own *o)
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
	buf_addf(out, ". %d IN TLSA 3 1 1 ", OWN_TTL_S);
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

void own_judge_tlsa(struct findings *f, const struct own *o)
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
