/*
 * ETRN (RFC 1985) is the larger part: who may ask, and an honest answer.
 *
 * A node may ask for a domain's mail from an address that this mail would be
 * delivered to anyway, from a network in the domain's etrn= option, or with a
 * verified client certificate of one of the domain's hosts.
 */
#include "daemon/hooks.h"

#include "config/allow/domains.h"

enum { STARTED = 253, NONE = 251, UNABLE = 458, NOT_ALLOWED = 459 };

/* As many subdomains with mail as one "@domain" looks at. */
enum { SUBDOMAIN_ROWS_MAX = 20000 };

/* ---- May it? ---- */

static bool is_in_etrn(const struct config_domain *row,
		       const struct net_addr *peer)
{
	for (size_t i = 0; i < row->etrn_count; i++)
		if (net_cidr_has(&row->etrn[i], peer))
			return true;
	return false;
}

static bool certificate_names(const struct tls_facts *tls, struct span host)
{
	struct span names = span_str(tls->peer_names);

	if (host.n == 0) /* a literal address has no name */
		return false;
	while (names.n > 0)
		if (span_ieq(span_cut(&names, ' '), host))
			return true;
	return false;
}

static bool is_host_of_row(const struct config_domain *row,
			   const struct net_addr *peer,
			   const struct tls_facts *tls)
{
	for (size_t i = 0; i < row->primary_count; i++) {
		const struct config_hop *hop = &row->primary[i];

		if (net_addr_eq(&hop->addr, peer))
			return true;
		if (tls != NULL && certificate_names(tls, hop->host))
			return true;
	}
	return false;
}

static bool is_host_of_route(const struct route *route,
			     const struct net_addr *peer,
			     const struct tls_facts *tls)
{
	for (size_t i = 0; i < route->host_count; i++) {
		const struct route_host *h = &route->hosts[i];

		if (tls != NULL && certificate_names(tls, h->name))
			return true;
		for (size_t k = 0; k < h->addr_count; k++)
			if (net_addr_eq(&h->addrs[k], peer))
				return true;
	}
	return false;
}

static bool may_etrn(struct hooks *h, struct span domain,
		     const struct net_addr *peer, const struct tls_facts *tls)
{
	const struct config_domain *row =
		domains_find(h->config->domains, domain);
	struct route *route;
	bool may;

	if (row == NULL)
		return false;
	if (tls != NULL && !tls->verified)
		tls = NULL;
	if (is_in_etrn(row, peer) || drain_is_target(h->drain, domain, peer) ||
	    is_host_of_row(row, peer, tls))
		return true;
	route = router_cached(h->router, domain);
	may = route != NULL && is_host_of_route(route, peer, tls);
	route_unref(&route);
	return may;
}

/* ---- How much is there? ---- */

static int etrn_one(struct hooks *h, struct span domain, uint64_t *count)
{
	struct spool_domain row;
	enum mx_err err = spool_domain_get(h->spool, domain, &row);

	*count = 0;
	if (err == MX_ENOENT)
		return NONE;
	if (err != MX_OK)
		return UNABLE;
	/* held by the operator, or since no route leads away from here */
	if (row.is_held || row.held == row.units)
		return row.units > 0 ? UNABLE : NONE;
	*count = row.ready + row.deferred;
	drain_flush(h->drain, domain);
	return STARTED;
}

/* ---- "@example.com": with its subdomains (section 5.1) ---- */

struct subdomains {
	struct span parent;
	struct buf names; /* one a line */
	size_t rows;
};

static bool is_below(struct span name, struct span parent)
{
	size_t cut = name.n - parent.n;

	return name.n > parent.n + 1 && name.p[cut - 1] == '.' &&
	       span_eq(span_skip(name, cut), parent);
}

static bool collect(const struct spool_domain *row, void *arg)
{
	struct subdomains *s = arg;

	if (is_below(span_str(row->name), s->parent)) {
		buf_adds(&s->names, row->name);
		buf_addc(&s->names, '\n');
	}
	return ++s->rows < SUBDOMAIN_ROWS_MAX;
}

static uint64_t etrn_below(struct hooks *h, struct span parent,
			   const struct net_addr *peer,
			   const struct tls_facts *tls)
{
	struct subdomains s = { .parent = parent };
	uint64_t total = 0, count;

	spool_domains(h->spool, SPAN_LIT(""), collect, &s);
	for (struct span rest = buf_span(&s.names); rest.n > 0;) {
		struct span name = span_cut(&rest, '\n');

		if (may_etrn(h, name, peer, tls) &&
		    etrn_one(h, name, &count) == STARTED)
			total += count;
	}
	buf_fini(&s.names);
	return total;
}

static int on_etrn(struct span domain, bool subdomains,
		   const struct net_addr *peer, const struct tls_facts *tls,
		   uint64_t *count, void *arg)
{
	struct hooks *h = arg;
	uint64_t below;
	int code;

	*count = 0;
	if (!may_etrn(h, domain, peer, tls))
		return NOT_ALLOWED;
	code = etrn_one(h, domain, count);
	if (subdomains) {
		below = etrn_below(h, domain, peer, tls);
		*count = (code == STARTED ? *count : 0) + below;
		if (below > 0)
			code = STARTED;
	}
	return code;
}

/* ---- The small ones ---- */

static void on_heard_from(const struct net_addr *peer, void *arg)
{
	struct hooks *h = arg;

	drain_heard_from(h->drain, peer);
}

static bool flows(struct span domain, void *arg)
{
	struct hooks *h = arg;

	return drain_flows(h->drain, domain);
}

void hooks_fill(struct intake_hooks *out, struct hooks *h)
{
	*out = (struct intake_hooks){
		.heard_from = on_heard_from,
		.etrn = on_etrn,
		.flows = flows,
		.arg = h,
	};
}

/* ---- Questions to primaries ---- */

static void *ask(struct span domain, struct span mailbox, known_said_cb *cb,
		 void *cb_arg, void *arg)
{
	return drain_ask(arg, domain, mailbox, cb, cb_arg);
}

static void cancel(void *question, void *arg)
{
	(void)arg;
	drain_ask_cancel(question);
}

static void destination(struct span domain, struct buf *out, void *arg)
{
	drain_destination(arg, domain, out);
}

void hooks_ask(struct known *known, struct drain *drain)
{
	known_connect(known, &(struct known_hooks){
				     .ask = ask,
				     .cancel = cancel,
				     .destination = destination,
				     .arg = drain,
			     });
}

/* ---- Standby ---- */

static enum known_said answers(struct span domain, void *arg)
{
	static const enum known_said said[] = {
		[ANSWERS_NO] = SAID_DOWN,
		[ANSWERS_YES] = SAID_YES,
		[ANSWERS_UNKNOWN] = SAID_NOTHING,
	};

	return said[drain_answers(arg, domain)];
}

static void *hail(struct span domain, known_said_cb *cb, void *cb_arg,
		  void *arg)
{
	return drain_hail(arg, domain, cb, cb_arg);
}

struct policy_primary hooks_primary(struct drain *drain)
{
	return (struct policy_primary){
		.answers = answers,
		.hail = hail,
		.cancel = cancel,
		.arg = drain,
	};
}

/* ---- Relaying ---- */

static bool may_answer(struct span domain, void *arg)
{
	return drain_may_answer(arg, domain);
}

static struct lane *ask_lane(const struct lane_ask *what, void *arg)
{
	return drain_lane_ask(arg, what);
}

void hooks_door(struct relay_door *out, struct drain *drain)
{
	*out = (struct relay_door){
		.may_answer = may_answer,
		.ask = ask_lane,
		.more_rcpt = drain_lane_more_rcpt,
		.more_content = drain_lane_more_content,
		.close = drain_lane_close,
		.give_up = drain_lane_give_up,
		.arg = drain,
	};
}
