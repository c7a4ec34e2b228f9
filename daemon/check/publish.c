/* What the domain publishes about its mail besides MX: the MTA-STS policy, TLSA
 * of this host beside those of the primary, SPF. */
#include "daemon/check/exam.h"

enum { TTL_S = 3600, TXT_MAX = 255, SHORT_AGE_S = 86400 };

/* ---- sts-policy ---- */

/* An MTA-STS record, well-formed or not; only the first. */
static bool find_text(struct exam *e, const struct answer *a, struct span tag,
		      struct span *out, size_t *count)
{
	struct span text;

	*count = 0;
	for (size_t i = 0; a->status == DNS_OK && i < a->count; i++) {
		if (!dns_read_txt(&e->g.arena, a->rdata[i], &text) ||
		    !span_istarts(text, tag) ||
		    (text.n > tag.n && text.p[tag.n] != ' ' &&
		     text.p[tag.n] != ';'))
			continue;
		if ((*count)++ == 0)
			*out = text;
	}
	return *count > 0;
}

static void judge_sts_host(struct exam *e, struct span host, bool is_us)
{
	const struct sts_policy *p = &e->sts->policy;

	if (sts_policy_has(p, host))
		return;
	findings_add(&e->findings, CHECK_STS_POLICY,
		     p->mode == STS_ENFORCE ? SEVERITY_ERROR
					    : SEVERITY_WARNING,
		     "the MTA-STS policy of %.*s (%s) does not name %s %.*s%s",
		     SPAN_ARG(e->domain), sts_mode_name(p->mode),
		     is_us ? "this host," : "MX host", SPAN_ARG(host),
		     p->mode == STS_ENFORCE ? ": careful senders do not go "
					      "there"
					    : "");
	findings_remedy(&e->findings, "mx: %.*s", SPAN_ARG(host));
}

/* Who goes by the policy wants a certificate that chains and has the name. */
static void judge_sts_certificate(struct exam *e)
{
	const struct own_addr *a =
		e->own != NULL ? own_shown(e->own) : NULL;
	const struct talk_facts *t = a != NULL ? &a->facts : NULL;
	bool was_reached = t != NULL;

	for (size_t i = 0; e->own != NULL && i < e->own->addr_count; i++)
		was_reached |= e->own->addrs[i].facts.is_ready;
	if (e->sts->policy.mode != STS_ENFORCE || !was_reached ||
	    (t != NULL && t->shown.chains && t->shown.has_name))
		return;
	findings_add(&e->findings, CHECK_STS_POLICY, SEVERITY_ERROR,
		     "the policy is enforced, and the certificate of %.*s does "
		     "not bear it (see own-tls): careful senders do not come",
		     SPAN_ARG(e->own->name));
	findings_remedy(&e->findings, "certbot certonly -d %.*s",
			SPAN_ARG(e->own->name));
}

static void judge_policy(struct exam *e)
{
	const struct sts_policy *p = &e->sts->policy;

	if (p->mode == STS_NONE) {
		findings_ok(&e->findings, CHECK_STS_POLICY, "mode: none");
		return;
	}
	for (size_t i = 0; i < e->mx.count; i++)
		judge_sts_host(e, e->mx.hosts[i].name,
			       e->mx.hosts[i].is_self);
	if (e->mx.self == NULL)
		judge_sts_host(e, e->world->config->hostname, true);
	judge_sts_certificate(e);
	if (p->max_age_s < SHORT_AGE_S)
		findings_add(&e->findings, CHECK_STS_POLICY, SEVERITY_INFO,
			     "max_age is %lld s: RFC 8461 section 3.2 advises "
			     "weeks",
			     (long long)p->max_age_s);
	findings_ok(&e->findings, CHECK_STS_POLICY, "mode: %s, names all hosts",
		    sts_mode_name(p->mode));
}

static void judge_no_policy(struct exam *e, size_t records)
{
	if (e->sts_problem.n > 0) {
		findings_add(&e->findings, CHECK_STS_POLICY, SEVERITY_WARNING,
			     "a policy is announced, and cannot be had: %.*s",
			     SPAN_ARG(e->sts_problem));
		findings_remedy(&e->findings,
				"serve https://mta-sts.%.*s/.well-known/"
				"mta-sts.txt, or withdraw the record "
				"_mta-sts.%.*s",
				SPAN_ARG(e->domain), SPAN_ARG(e->domain));
		return;
	}
	findings_add(&e->findings, CHECK_STS_POLICY, SEVERITY_WARNING,
		     records > 1 ? "_mta-sts.%.*s has several records: none "
				   "counts (RFC 8461 section 3.1)"
				 : "the record at _mta-sts.%.*s is malformed: "
				   "it does not count",
		     SPAN_ARG(e->domain));
	findings_remedy(&e->findings,
			"_mta-sts.%.*s. %d IN TXT \"v=STSv1; id=20260101\"",
			SPAN_ARG(e->domain), TTL_S);
}

void sts_judge(struct exam *e)
{
	const struct answer *a = &e->sts_record;
	struct span text;
	size_t records;
	bool has_record =
		find_text(e, a, SPAN_LIT("v=STSv1"), &text, &records);

	if (e->sts != NULL)
		judge_policy(e);
	else if (has_record && e->has_sts)
		judge_no_policy(e, records);
	else if (dns_failed(a->status) || has_record)
		findings_add(&e->findings, CHECK_STS_POLICY, SEVERITY_INFO,
			     "not known: no answer about _mta-sts.%.*s in time "
			     "(%s)",
			     SPAN_ARG(e->domain), dns_status_name(a->status));
	findings_ok(&e->findings, CHECK_STS_POLICY, "no policy is published");
}

/* ---- own-tlsa: is the backup the weak one? ---- */

static const struct route_host *protected_host(const struct exam *e)
{
	const struct route *r = e->route;

	for (size_t i = 0; r != NULL && i < r->host_count; i++)
		if (r->hosts[i].tls.is_dane)
			return &r->hosts[i];
	return NULL;
}

static void judge_unprotected(struct exam *e, const struct route_host *h)
{
	const struct own_addr *a = own_shown(e->own);
	const bool is_signed = e->own->tlsa.secure;
	struct buf line = { 0 };

	findings_add(&e->findings, CHECK_OWN_TLSA,
		     is_signed ? SEVERITY_WARNING : SEVERITY_INFO,
		     "%.*s is protected by DANE, and this host (%.*s) is not: "
		     "%s",
		     SPAN_ARG(h->name), SPAN_ARG(e->own->name),
		     is_signed ? "it has no TLSA record"
			       : "its zone is not signed");
	if (a != NULL) {
		own_tlsa_record(&line, e->own, &a->facts.shown);
		findings_remedy(&e->findings, "%s", buf_cstr(&line));
	}
	buf_fini(&line);
}

void tlsa_judge(struct exam *e)
{
	const struct route_host *h = protected_host(e);
	const bool has_none = e->own != NULL && e->own->is_done &&
			      !dns_failed(e->own->tlsa.status) &&
			      e->own->tlsa.status != DNS_OK;

	if (has_none && h != NULL)
		judge_unprotected(e, h);
	if (e->own == NULL || !e->own->is_done)
		findings_add(&e->findings, CHECK_OWN_TLSA, SEVERITY_INFO,
			     "not known: this host's name was not looked up in "
			     "time");
	findings_ok(&e->findings, CHECK_OWN_TLSA,
		    has_none ? "no TLSA record, and no primary has one"
			     : "the TLSA records match the certificate");
}

/* ---- spf ---- */

/* The record with our term in front of its end. */
static void add_repaired(struct buf *out, struct span record, struct span name)
{
	size_t at = record.n;

	while (at > 0 && record.p[at - 1] != ' ')
		at--;
	if (at == 0 || record.n - at < 3 ||
	    !span_ieq(span_of(record.p + record.n - 3, 3), SPAN_LIT("all")))
		at = record.n;
	buf_add(out, span_of(record.p, at));
	if (at == record.n)
		buf_addc(out, ' ');
	buf_addf(out, "a:%.*s", SPAN_ARG(name));
	if (at < record.n) {
		buf_addc(out, ' ');
		buf_add(out, span_skip(record, at));
	}
}

/* It is pasted into a zone: nothing that means something else there. */
static bool is_plain(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < ' ' || s.p[i] > '~' || s.p[i] == '"' ||
		    s.p[i] == '\\')
			return false;
	return s.n <= TXT_MAX;
}

static void remedy_spf(struct exam *e, struct span record)
{
	struct buf text = { 0 };

	add_repaired(&text, record, e->own->name);
	if (is_plain(buf_span(&text)))
		findings_remedy(&e->findings, "%.*s. %d IN TXT \"%.*s\"",
				SPAN_ARG(e->domain), TTL_S,
				SPAN_ARG(buf_span(&text)));
	else
		findings_remedy(&e->findings, "a:%.*s", SPAN_ARG(e->own->name));
	buf_fini(&text);
}

static void judge_spf(struct exam *e, const struct exam_spf *s,
		      struct span record)
{
	struct buf addr = { 0 };

	net_addr_add(&addr, &s->addr);
	(void)buf_cstr(&addr);
	if (!s->is_known || s->result == SPF_TEMPERROR) {
		findings_add(&e->findings, CHECK_SPF, SEVERITY_INFO,
			     "SPF of %.*s could not be evaluated: %.*s",
			     SPAN_ARG(e->domain), SPAN_ARG(s->problem));
	} else if (s->result == SPF_PERMERROR) {
		findings_add(&e->findings, CHECK_SPF, SEVERITY_WARNING,
			     "SPF of %.*s is broken: %.*s",
			     SPAN_ARG(e->domain), SPAN_ARG(s->problem));
		findings_remedy(&e->findings,
				"%.*s. %d IN TXT \"v=spf1 mx a:%.*s -all\"",
				SPAN_ARG(e->domain), TTL_S,
				SPAN_ARG(e->own->name));
	} else if (s->result != SPF_PASS && s->result != SPF_NONE) {
		findings_add(&e->findings, CHECK_SPF,
			     s->result == SPF_NEUTRAL ? SEVERITY_INFO
						      : SEVERITY_WARNING,
			     "SPF of %.*s says %s of %s, this host: %.*s",
			     SPAN_ARG(e->domain), spf_result_name(s->result),
			     addr.p, SPAN_ARG(s->mechanism));
		remedy_spf(e, record);
	}
	buf_fini(&addr);
}

/* A domain that sends nothing says so; nothing of ours bears its name. */
static bool sends_nothing(struct span record)
{
	return span_ieq(span_trim(record), SPAN_LIT("v=spf1 -all"));
}

void spf_judge(struct exam *e)
{
	struct span record = { NULL, 0 };
	size_t records;
	bool has_record =
		find_text(e, &e->txt, SPAN_LIT("v=spf1"), &record, &records);

	for (size_t i = 0; !sends_nothing(record) && i < e->spf_count; i++)
		judge_spf(e, &e->spf[i], record);
	if (dns_failed(e->txt.status))
		findings_add(&e->findings, CHECK_SPF, SEVERITY_INFO,
			     "not known: %s", dns_status_name(e->txt.status));
	else if (!has_record)
		findings_ok(&e->findings, CHECK_SPF, "no SPF record");
	else if (e->spf_count == 0)
		findings_ok(&e->findings, CHECK_SPF, "no address to ask about");
	else
		findings_ok(&e->findings, CHECK_SPF, "%.*s", SPAN_ARG(record));
}
