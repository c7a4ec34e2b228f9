/* What is wrong with an MX set. */
#include "daemon/check/mx.h"

enum { PREFERENCE_STEP = 10, PREFERENCE_MAX = 65535 };

/* ---- Remedies ---- */

static void publish(struct findings *f, const struct mx_set *m,
		    unsigned preference, struct span host)
{
	struct buf line = { 0 };

	mx_record(&line, m, preference, host);
	findings_remedy(f, "%s", buf_cstr(&line));
	buf_fini(&line);
}

static void withdraw(struct findings *f, const struct mx_set *m,
		     const struct mx_host *h)
{
	findings_remedy(f, "remove: %.*s. IN MX %u %.*s.",
			SPAN_ARG(m->domain), h->preference, SPAN_ARG(h->name));
}

/* Behind all the others. */
static unsigned last_preference(const struct mx_set *m)
{
	unsigned worst = 0;

	for (size_t i = 0; i < m->count; i++)
		if (!m->hosts[i].is_self && m->hosts[i].preference > worst)
			worst = m->hosts[i].preference;
	return worst + PREFERENCE_STEP > PREFERENCE_MAX
		       ? PREFERENCE_MAX
		       : worst + PREFERENCE_STEP;
}

/* ---- mx-listed, mx-null ---- */

static void judge_failure(struct findings *f, const struct mx_set *m)
{
	const struct answer *a = &m->answer;

	findings_add(f, CHECK_MX_LISTED, SEVERITY_ERROR,
		     "the MX records of %.*s cannot be looked up: %s%s%.*s",
		     SPAN_ARG(m->domain), dns_status_name(a->status),
		     a->why.n > 0 ? ": " : "", SPAN_ARG(a->why));
	if (a->status == DNS_BOGUS)
		findings_remedy(f, "sign %.*s again, or withdraw its DS record",
				SPAN_ARG(m->domain));
	else
		findings_remedy(f, "see whether its name servers answer: dig "
				   "+trace MX %.*s",
				SPAN_ARG(m->domain));
}

static void judge_absence(struct findings *f, const struct mx_set *m,
			  const struct mx_views *v)
{
	findings_add(f, CHECK_MX_LISTED, SEVERITY_ERROR,
		     m->answer.status == DNS_NXDOMAIN
			     ? "%.*s does not exist in DNS (NXDOMAIN)"
			     : "%.*s has no MX record: nobody comes here when "
			       "its host is away",
		     SPAN_ARG(m->domain));
	findings_remedy(f, "%.*s. %d IN MX %d <the primary>.",
			SPAN_ARG(m->domain), MX_TTL_GOOD_S, PREFERENCE_STEP);
	publish(f, m, 2 * PREFERENCE_STEP, v->own_name);
}

static void judge_stranger(struct findings *f, const struct mx_set *m,
			   const struct mx_views *v)
{
	findings_add(f, CHECK_MX_LISTED, SEVERITY_ERROR,
		     "this host (%.*s) is not in the MX set of %.*s: no mail "
		     "comes here",
		     SPAN_ARG(v->own_name), SPAN_ARG(m->domain));
	publish(f, m, last_preference(m), v->own_name);
}

/* Found by its address alone: RFC 5321 section 5.1 is obeyed, but what is
 * named elsewhere (a policy, a certificate) is another name. */
static void judge_name(struct findings *f, const struct mx_set *m,
		       const struct mx_views *v)
{
	const struct span name = m->self->name;

	if (self_is_name(v->self, name))
		return;
	findings_add(f, CHECK_MX_LISTED, SEVERITY_INFO,
		     "this host is listed as %.*s, which is neither its "
		     "hostname nor one of its aliases",
		     SPAN_ARG(name));
	findings_remedy(f, "aliases = [ \"%.*s\" ];", SPAN_ARG(name));
}

static void judge_listed(struct findings *f, const struct mx_set *m,
			 const struct mx_views *v)
{
	if (dns_failed(m->answer.status))
		judge_failure(f, m);
	else if (m->answer.status != DNS_OK)
		judge_absence(f, m, v);
	else if (m->self != NULL)
		judge_name(f, m, v);
	else if (m->count > 0)
		judge_stranger(f, m, v);
	else
		findings_add(f, CHECK_MX_LISTED, SEVERITY_INFO,
			     "%.*s says that it takes no mail: see mx-null",
			     SPAN_ARG(m->domain));
	if (m->self != NULL)
		findings_ok(f, CHECK_MX_LISTED, "listed as %.*s, preference %u",
			    SPAN_ARG(m->self->name), m->self->preference);
}

static void judge_null(struct findings *f, const struct mx_set *m,
		       const struct mx_views *v)
{
	if (!m->has_null) {
		findings_ok(f, CHECK_MX_NULL, "no null MX");
		return;
	}
	findings_add(f, CHECK_MX_NULL, SEVERITY_ERROR,
		     m->count == 0
			     ? "%.*s publishes a null MX: it takes no mail, "
			       "and nobody sends it any (RFC 7505)"
			     : "%.*s publishes a null MX beside others: some "
			       "senders give up at once (RFC 7505 section 3)",
		     SPAN_ARG(m->domain));
	findings_remedy(f, "remove: %.*s. IN MX 0 .", SPAN_ARG(m->domain));
	if (m->count == 0)
		publish(f, m, 2 * PREFERENCE_STEP, v->own_name);
}

/* ---- mx-order ---- */

static const struct mx_host *equal_of(const struct mx_set *m)
{
	for (size_t i = 0; i < m->count; i++)
		if (!m->hosts[i].is_self &&
		    m->hosts[i].preference == m->self->preference)
			return &m->hosts[i];
	return NULL;
}

static bool has_better(const struct mx_set *m)
{
	return m->hosts[0].preference < m->self->preference;
}

static void judge_equal(struct findings *f, const struct mx_set *m,
			const struct mx_host *equal, const struct mx_views *v)
{
	const bool is_kept = has_better(m) || v->has_primary;

	findings_add(f, CHECK_MX_ORDER,
		     is_kept ? SEVERITY_WARNING : SEVERITY_ERROR,
		     "this host has the same preference as %.*s (%u): half of "
		     "the mail comes here first%s",
		     SPAN_ARG(equal->name), equal->preference,
		     is_kept ? ", though that one is up"
			     : ", and is held, for no MX is better than this "
			       "host");
	publish(f, m, last_preference(m), m->self->name);
}

static void judge_first(struct findings *f, const struct mx_set *m,
			const struct mx_views *v)
{
	findings_add(f, CHECK_MX_ORDER,
		     v->has_primary ? SEVERITY_INFO : SEVERITY_ERROR,
		     v->has_primary
			     ? "this host (%.*s, %u) is the first MX: all mail "
			       "comes here and goes on by primary="
			     : "no MX is better than this host (%.*s, %u): all "
			       "mail comes here and is held",
		     SPAN_ARG(m->self->name), m->self->preference);
	publish(f, m, last_preference(m), m->self->name);
	if (m->count == 1)
		findings_remedy(f, "%.*s %.*s primary=<the primary>",
				SPAN_ARG(SPAN_LIT("domains:")),
				SPAN_ARG(m->domain));
}

static void judge_order(struct findings *f, const struct mx_set *m,
			const struct mx_views *v)
{
	const struct mx_host *equal;

	if (m->self == NULL) {
		findings_ok(f, CHECK_MX_ORDER, "nothing to compare with");
		return;
	}
	equal = equal_of(m);
	if (equal != NULL)
		judge_equal(f, m, equal, v);
	else if (!has_better(m))
		judge_first(f, m, v);
	findings_ok(f, CHECK_MX_ORDER, "%.*s (%u) comes before this host (%u)",
		    SPAN_ARG(m->hosts[0].name), m->hosts[0].preference,
		    m->self->preference);
}

/* ---- mx-target ---- */

static bool somebody_lives(const struct mx_set *m)
{
	for (size_t i = 0; i < m->count; i++)
		if (!m->hosts[i].is_self && !m->hosts[i].is_dead)
			return true;
	return false;
}

static void judge_text(struct findings *f, const struct mx_set *m,
		       const struct mx_host *h, enum severity s)
{
	struct net_addr a = { 0 };

	(void)net_addr_parse(h->name, &a);
	findings_add(f, CHECK_MX_TARGET, s,
		     "MX %u of %.*s is an address, %.*s: a host name belongs "
		     "there (RFC 5321 section 5.1)",
		     h->preference, SPAN_ARG(m->domain), SPAN_ARG(h->name));
	withdraw(f, m, h);
	findings_remedy(f, "mail.%.*s. %d IN %s %.*s", SPAN_ARG(m->domain),
			MX_TTL_GOOD_S, a.family == AF_INET6 ? "AAAA" : "A",
			SPAN_ARG(h->name));
	findings_remedy(f, "%.*s. %d IN MX %u mail.%.*s.", SPAN_ARG(m->domain),
			MX_TTL_GOOD_S, h->preference, SPAN_ARG(m->domain));
}

static void judge_alias(struct findings *f, const struct mx_set *m,
			const struct mx_host *h)
{
	findings_add(f, CHECK_MX_TARGET, SEVERITY_WARNING,
		     "MX host %.*s is an alias (CNAME) of %.*s, which RFC 2181 "
		     "section 10.3 forbids",
		     SPAN_ARG(h->name), SPAN_ARG(h->canon));
	publish(f, m, h->preference, h->canon);
}

static void judge_nowhere(struct findings *f, const struct mx_set *m,
			  const struct mx_host *h, enum severity s)
{
	const bool is_gone =
		h->v4.status == DNS_NXDOMAIN && h->v6.status == DNS_NXDOMAIN;
	const enum dns_status status =
		dns_failure_of(h->v4.status, h->v6.status);

	if (dns_failed(status)) {
		findings_add(f, CHECK_MX_TARGET, s,
			     "the addresses of MX host %.*s cannot be looked "
			     "up: %s",
			     SPAN_ARG(h->name), dns_status_name(status));
		return;
	}
	findings_add(f, CHECK_MX_TARGET, s, "MX host %.*s %s: a left-over?",
		     SPAN_ARG(h->name),
		     is_gone ? "does not exist (NXDOMAIN)" : "has no address");
	withdraw(f, m, h);
	findings_remedy(f, "or publish: %.*s. %d IN A <address>",
			SPAN_ARG(h->name), MX_TTL_GOOD_S);
}

static void judge_shunned(struct findings *f, const struct mx_set *m,
			  const struct mx_host *h, enum severity s)
{
	struct buf text = { 0 };

	net_addr_add(&text, &h->addrs[0]);
	findings_add(f, CHECK_MX_TARGET, s, "MX host %.*s, %s: %s",
		     SPAN_ARG(h->name), buf_cstr(&text), h->shunned);
	withdraw(f, m, h);
	findings_remedy(f,
			"or, if it is inside of your network: dns = { private "
			"= [ \"%s\" ]; };",
			buf_cstr(&text));
	buf_fini(&text);
}

static void judge_host(struct findings *f, const struct mx_set *m,
		       const struct mx_host *h, bool is_serious)
{
	const enum severity s = is_serious ? SEVERITY_ERROR : SEVERITY_WARNING;

	if (h->is_text)
		judge_text(f, m, h, s);
	else if (h->addr_count == 0 && !h->is_self)
		judge_nowhere(f, m, h, s);
	else if (h->shunned != NULL)
		judge_shunned(f, m, h, s);
	if (h->canon.n > 0)
		judge_alias(f, m, h);
}

static void judge_targets(struct findings *f, const struct mx_set *m,
			  const struct mx_views *v)
{
	const bool is_serious = !somebody_lives(m) && !v->has_primary;

	for (size_t i = 0; i < m->count; i++)
		judge_host(f, m, &m->hosts[i], is_serious);
	findings_ok(f, CHECK_MX_TARGET, "%zu MX host%s, each with an address",
		    m->count, m->count == 1 ? "" : "s");
}

/* ---- mx-ttl ---- */

static void judge_ttl(struct findings *f, const struct mx_set *m,
		      const struct mx_views *v)
{
	const int64_t ttl_s = m->answer.ttl_s;
	const bool is_short =
		ttl_s < MX_TTL_LEAST_S && m->has_again &&
		m->again.status == DNS_OK && m->again.ttl_s >= ttl_s &&
		m->again.ttl_s < MX_TTL_LEAST_S;

	(void)v;
	if (m->answer.status != DNS_OK) {
		findings_ok(f, CHECK_MX_TTL, "no MX record");
		return;
	}
	if (is_short)
		findings_add(f, CHECK_MX_TTL, SEVERITY_WARNING,
			     "the MX records of %.*s live for %lld s only: "
			     "who loses its name servers forgets this host at "
			     "once",
			     SPAN_ARG(m->domain), (long long)ttl_s);
	else if (ttl_s > MX_TTL_MOST_S)
		findings_add(f, CHECK_MX_TTL, SEVERITY_WARNING,
			     "the MX records of %.*s live for %lld days: no "
			     "change is seen sooner",
			     SPAN_ARG(m->domain), (long long)(ttl_s / 86400));
	for (size_t i = 0; (is_short || ttl_s > MX_TTL_MOST_S) && i < m->count;
	     i++)
		publish(f, m, m->hosts[i].preference, m->hosts[i].name);
	findings_ok(f, CHECK_MX_TTL, "%lld s%s", (long long)ttl_s,
		    ttl_s < MX_TTL_LEAST_S ? ", and more in the zone" : "");
}

void mx_judge(struct findings *f, const struct mx_set *m,
	      const struct mx_views *v)
{
	judge_listed(f, m, v);
	if (dns_failed(m->answer.status)) {
		for (enum check_id id = CHECK_MX_ORDER; id <= CHECK_MX_TTL;
		     id++)
			findings_add(f, id, SEVERITY_INFO,
				     "not known: see mx-listed");
		return;
	}
	judge_order(f, m, v);
	judge_targets(f, m, v);
	judge_null(f, m, v);
	judge_ttl(f, m, v);
}
