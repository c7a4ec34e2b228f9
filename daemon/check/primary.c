/* primary-*: do the hosts that our mail goes to answer, and take it from us? */
#include "daemon/check/days.h"
#include "daemon/check/exam.h"
#include "daemon/check/refusal.h"

/* "mail.example.org ([192.0.2.1]:25)" */
static void add_where(struct buf *out, const struct exam_visit *x)
{
	buf_reset(out);
	if (x->host->name.n > 0) {
		buf_add(out, x->host->name);
		buf_adds(out, " (");
	}
	net_endpoint_add(out, &x->addr);
	if (x->host->name.n > 0)
		buf_addc(out, ')');
	(void)buf_cstr(out);
}

static const struct talk_facts *facts_of(const struct exam_visit *x)
{
	return &x->v.server->facts;
}

static bool somebody_answers(const struct exam *e)
{
	for (size_t i = 0; i < e->visit_count; i++)
		if (facts_of(&e->visits[i])->is_ready)
			return true;
	return false;
}

/* ---- What to write at the primary ---- */

/* clang-format off */
static const struct {
	enum severity severity;
	const char *what;
	/* 1: our addresses, 2: the domain */
	const char *remedy;
} refusals[] = {
	[REFUSAL_GREYLIST] = { SEVERITY_WARNING,
	  "greylists this host: after an outage the mail comes late",
	  "at the primary, Postfix: smtpd_client_restrictions = "
	  "check_client_access inline:{ { %1$s = OK } }\n"
	  "with postgrey: echo %1$s >> /etc/postgrey/whitelist_clients.local\n"
	  "rspamd, greylist.conf: whitelisted_ip = [ \"%1$s\" ];\n"
	  "Exim: hostlist backup_mx = %1$s, and \"!hosts = +backup_mx\" in the "
	  "condition that defers" },
	[REFUSAL_BLOCKLIST] = { SEVERITY_ERROR,
	  "refuses this host by a blocklist",
	  "at the primary, Postfix: smtpd_client_restrictions = "
	  "check_client_access inline:{ { %1$s = OK } }, reject_rbl_client ...\n"
	  "with postscreen: postscreen_access_list = permit_mynetworks, "
	  "cidr:{ { %1$s permit } }\n"
	  "Exim: \"!hosts = %1$s\" in the ACL with dnslists" },
	[REFUSAL_SPF] = { SEVERITY_ERROR,
	  "judges by SPF what comes from this host: it will refuse mail that "
	  "this host took for it",
	  "at the primary, policyd-spf.conf: Whitelist = %1$s\n"
	  "rspamd, options.inc: local_addrs = [ \"%1$s\" ]; or module "
	  "external_relay\n"
	  "Exim: \"!hosts = %1$s\" in the ACL with spf" },
	[REFUSAL_REVERSE] = { SEVERITY_ERROR,
	  "refuses this host for its reverse name",
	  "see own-ptr; at the primary, Postfix: smtpd_client_restrictions = "
	  "check_client_access inline:{ { %1$s = OK } }" },
	[REFUSAL_RATE] = { SEVERITY_WARNING,
	  "limits how much this host may send",
	  "at the primary, Postfix: smtpd_client_event_limit_exceptions = "
	  "$mynetworks %1$s" },
	[REFUSAL_TLS] = { SEVERITY_ERROR,
	  "takes nothing without TLS",
	  "in the allowlist: tls=must" },
	[REFUSAL_RELAY] = { SEVERITY_ERROR,
	  "does not know the domain as its own",
	  "at the primary, Postfix: virtual_mailbox_domains (or mydestination, "
	  "relay_domains) = ... %2$s\n"
	  "Exim: domainlist local_domains = @ : %2$s" },
	[REFUSAL_UNKNOWN] = { SEVERITY_WARNING,
	  "has no postmaster, which RFC 5321 section 4.5.1 wants",
	  "at the primary, /etc/aliases or the virtual map: "
	  "postmaster@%2$s  root" },
	[REFUSAL_SENDER] = { SEVERITY_ERROR,
	  "refuses the null sender <>: no report gets through (RFC 5321 "
	  "section 4.5.5)",
	  "at the primary: take \"MAIL FROM:<>\" from %1$s" },
	[REFUSAL_BUSY] = { SEVERITY_WARNING,
	  "does not take mail for postmaster now",
	  "at the primary, see why: journalctl -u postfix | grep -F '%1$s'" },
	[REFUSAL_OTHER] = { SEVERITY_ERROR,
	  "refuses mail for postmaster",
	  "at the primary, Postfix: smtpd_client_restrictions = "
	  "check_client_access inline:{ { %1$s = OK } }\n"
	  "(not mynetworks: whoever sends to this host could relay)" },
};
/* clang-format on */

/* Fill in the two: a table's format is no literal. */
static void add_filled(struct buf *out, const char *text, struct span addrs,
		       struct span domain)
{
	for (; *text != '\0'; text++) {
		if (strncmp(text, "%1$s", 4) == 0)
			buf_add(out, addrs);
		else if (strncmp(text, "%2$s", 4) == 0)
			buf_add(out, domain);
		else {
			buf_addc(out, *text);
			continue;
		}
		text += 3;
	}
}

static void remedy_refusal(struct exam *e, enum refusal why)
{
	struct buf addrs = { 0 }, text = { 0 };

	own_add_addrs(&addrs, e->own);
	add_filled(&text, refusals[why].remedy, buf_span(&addrs), e->domain);
	findings_remedy(&e->findings, "%s", buf_cstr(&text));
	buf_fini(&addrs);
	buf_fini(&text);
}

/* ---- primary-answers ---- */

static void remedy_silence(struct exam *e, const struct exam_visit *x)
{
	struct buf ours = { 0 };

	own_add_addrs(&ours, e->own);
	findings_remedy(&e->findings,
			"at the primary: let %.*s in to port %u; or take the "
			"address out of DNS",
			SPAN_ARG(buf_span(&ours)), x->addr.port);
	buf_fini(&ours);
}

static void judge_answer(struct exam *e, const struct exam_visit *x)
{
	const struct talk_facts *t = facts_of(x);
	const enum severity s = somebody_answers(e) ? SEVERITY_WARNING
						    : SEVERITY_ERROR;
	struct buf where = { 0 };

	if (t->is_ready)
		return;
	add_where(&where, x);
	if (!t->is_known)
		findings_add(&e->findings, CHECK_PRIMARY_ANSWERS, s,
			     "%s is slower than this check", where.p);
	else if (t->is_starved)
		findings_add(&e->findings, CHECK_PRIMARY_ANSWERS,
			     SEVERITY_INFO, "%s was not tried: %.*s", where.p,
			     SPAN_ARG(buf_span(&t->error)));
	else
		findings_add(&e->findings, CHECK_PRIMARY_ANSWERS, s,
			     "%s: %s: %.*s", where.p,
			     talk_stage_name(t->stage),
			     SPAN_ARG(buf_span(&t->error)));
	if (t->code == 0)
		remedy_silence(e, x);
	else
		remedy_refusal(e, refusal_of(false, t->code, "",
					     buf_span(&t->error)));
	buf_fini(&where);
}

static void judge_answers(struct exam *e)
{
	for (size_t i = 0; i < e->visit_count; i++)
		judge_answer(e, &e->visits[i]);
	findings_ok(&e->findings, CHECK_PRIMARY_ANSWERS, "%zu address%s%s",
		    e->visit_count, e->visit_count == 1 ? "" : "es",
		    e->has_skipped_v6 ? ", without IPv6, which this host lacks"
				      : "");
}

/* ---- primary-tls ---- */

/* What a DANE host should publish for what it shows. */
static void remedy_tlsa(struct exam *e, const struct exam_visit *x)
{
	const struct talk_facts *t = facts_of(x);
	struct buf hex = { 0 };

	for (size_t i = 0; i < sizeof(t->shown.spki); i++)
		buf_addf(&hex, "%02x", t->shown.spki[i]);
	findings_remedy(&e->findings,
			"_%u._tcp.%.*s. 3600 IN TLSA 3 1 1 %s", x->addr.port,
			SPAN_ARG(x->host->tls.sni), buf_cstr(&hex));
	buf_fini(&hex);
}

static void remedy_tls(struct exam *e, const struct exam_visit *x)
{
	const enum tls_level level = x->v.server->level;

	if (level == TLS_LEVEL_DANE && facts_of(x)->is_shown)
		remedy_tlsa(e, x);
	else if (facts_of(x)->is_shown)
		findings_remedy(&e->findings,
				"at the primary: certbot certonly -d %.*s; "
				"Postfix: smtpd_tls_chain_files = <key and "
				"certificate>",
				SPAN_ARG(x->host->name));
	else
		findings_remedy(&e->findings,
				"at the primary, Postfix: "
				"smtpd_tls_security_level = may, "
				"smtpd_tls_chain_files = <key and "
				"certificate>");
}

static void judge_tls_fault(struct exam *e, const struct exam_visit *x,
			    const char *where)
{
	const struct server *s = x->v.server;
	const bool is_optional = s->level <= TLS_LEVEL_MAY;

	findings_add(&e->findings, CHECK_PRIMARY_TLS,
		     is_optional ? SEVERITY_WARNING : SEVERITY_ERROR,
		     "%s: %.*s: %s", where, SPAN_ARG(buf_span(&s->tls_error)),
		     is_optional ? "mail goes there in clear"
				 : x->host->tls.reason != NULL
					   ? x->host->tls.reason
					   : "no mail goes there");
	remedy_tls(e, x);
}

/* Where nothing is verified an end changes nothing for us. */
static void judge_end(struct exam *e, const struct exam_visit *x,
		      const char *where)
{
	const struct talk_facts *t = facts_of(x);
	const int64_t days = days_left(t->shown.end_ms);
	enum severity s = days_severity(days);

	if (s == SEVERITY_OK || x->v.server->level == TLS_LEVEL_DANE)
		return;
	if (x->v.server->level != TLS_LEVEL_VERIFY)
		s = days < 0 ? SEVERITY_WARNING : SEVERITY_INFO;
	if (days < 0)
		findings_add(&e->findings, CHECK_PRIMARY_TLS, s,
			     "%s: its certificate has ended", where);
	else
		findings_add(&e->findings, CHECK_PRIMARY_TLS, s,
			     "%s: its certificate ends in %lld days", where,
			     (long long)days);
	findings_remedy(&e->findings,
			"at the primary: certbot renew --cert-name %.*s",
			SPAN_ARG(x->host->name));
}

static void judge_tls(struct exam *e, const struct exam_visit *x)
{
	const struct talk_facts *t = facts_of(x);
	struct buf where = { 0 };

	add_where(&where, x);
	if (x->v.server->tls_error.n > 0) {
		judge_tls_fault(e, x, where.p);
	} else if (t->is_ready && t->is_shown) {
		judge_end(e, x, where.p);
	} else if (t->is_ready && x->v.server->level == TLS_LEVEL_MAY) {
		findings_add(&e->findings, CHECK_PRIMARY_TLS, SEVERITY_INFO,
			     "%s offers no TLS: mail goes there in clear",
			     where.p);
		remedy_tls(e, x);
	}
	buf_fini(&where);
}

/* ---- primary-recipient ---- */

static void judge_recipient(struct exam *e, const struct exam_visit *x)
{
	const struct server_visit *v = &x->v;
	const enum refusal why =
		refusal_of(v->is_mail, v->code, v->enhanced, v->text);
	struct buf where = { 0 };

	if (!facts_of(x)->is_ready || (v->is_answered && why == REFUSAL_NONE))
		return;
	add_where(&where, x);
	if (!v->is_answered) {
		findings_add(&e->findings, CHECK_PRIMARY_RECIPIENT,
			     SEVERITY_WARNING,
			     "%s did not answer to %s", where.p,
			     v->server->current == v ? "RCPT" : "the question");
	} else {
		findings_add(&e->findings, CHECK_PRIMARY_RECIPIENT,
			     refusals[why].severity, "%s %s: %.*s", where.p,
			     refusals[why].what, SPAN_ARG(v->text));
		remedy_refusal(e, why);
	}
	buf_fini(&where);
}

static void judge_recipients(struct exam *e)
{
	for (size_t i = 0; i < e->visit_count; i++)
		judge_recipient(e, &e->visits[i]);
	if (somebody_answers(e))
		findings_ok(&e->findings, CHECK_PRIMARY_RECIPIENT,
			    "postmaster is accepted from here");
	else
		findings_ok(&e->findings, CHECK_PRIMARY_RECIPIENT,
			    "not asked: see primary-answers");
}

/* ---- primary-trust ---- */

static void judge_trust(struct exam *e, const struct exam_visit *x)
{
	const struct talk_facts *t = facts_of(x);
	struct buf where = { 0 }, ours = { 0 };

	if (!t->is_ready || t->offers_xclient || t->offers_xforward)
		return;
	add_where(&where, x);
	own_add_addrs(&ours, e->own);
	findings_add(&e->findings, CHECK_PRIMARY_TRUST, SEVERITY_INFO,
		     "%s offers neither XCLIENT nor XFORWARD to this host: its "
		     "SPF and blocklists judge us instead of the sender, "
		     "unless its filter trusts our Received line",
		     where.p);
	findings_remedy(&e->findings,
			"at the primary, Postfix: "
			"smtpd_authorized_xforward_hosts = %.*s",
			SPAN_ARG(buf_span(&ours)));
	findings_remedy(&e->findings,
			"SpamAssassin: trusted_networks %.*s\n"
			"internal_networks %.*s",
			SPAN_ARG(buf_span(&ours)), SPAN_ARG(buf_span(&ours)));
	findings_remedy(&e->findings,
			"rspamd, external_relay.conf: enabled = true; rules { "
			"MX20 { strategy = \"hostname_map\"; hostname_map = "
			"[ \"%.*s\" ]; } }",
			SPAN_ARG(e->world->config->hostname));
	buf_fini(&where);
	buf_fini(&ours);
}

/* ---- Without a route ---- */

static void judge_no_route(struct exam *e)
{
	const struct route *r = e->route;

	if (r == NULL) {
		findings_add(&e->findings, CHECK_PRIMARY_ANSWERS,
			     SEVERITY_ERROR,
			     "its hosts could not be looked up in time");
	} else if (r->result == ROUTE_SELF || r->result == ROUTE_NULL_MX) {
		findings_add(&e->findings, CHECK_PRIMARY_ANSWERS,
			     SEVERITY_INFO, "nobody to ask: %.*s",
			     SPAN_ARG(r->reason));
	} else {
		findings_add(&e->findings, CHECK_PRIMARY_ANSWERS,
			     SEVERITY_ERROR, "mail has no way on: %.*s",
			     SPAN_ARG(r->reason));
		if (r->source == ROUTE_FROM_PRIMARY)
			findings_remedy(&e->findings,
					"in the allowlist: %.*s "
					"primary=[<address>]:25",
					SPAN_ARG(e->domain));
	}
}

void primary_judge(struct exam *e)
{
	static const char *const none = "not asked: see primary-answers";

	if (e->visit_count == 0)
		judge_no_route(e);
	judge_answers(e);
	for (size_t i = 0; i < e->visit_count; i++)
		judge_tls(e, &e->visits[i]);
	judge_recipients(e);
	for (size_t i = 0; i < e->visit_count; i++)
		judge_trust(e, &e->visits[i]);
	findings_ok(&e->findings, CHECK_PRIMARY_TLS, "%s",
		    somebody_answers(e) ? "as safe as the route demands"
					: none);
	findings_ok(&e->findings, CHECK_PRIMARY_TRUST, "%s",
		    somebody_answers(e) ? "it takes our word for the client"
					: none);
}
