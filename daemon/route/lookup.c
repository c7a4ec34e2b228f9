#include "daemon/route/lookup.h"

#include <stdlib.h>
#include <sys/random.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/route/build.h"
#include "daemon/route/choose.h"
#include "daemon/route/plan.h"
#include "daemon/route/tlsa.h"

enum {
	LOOKUP_MAGIC = 0x100c0bad,
	TTL_FLOOR_S = 30,     /* nobody makes us ask more often */
	TTL_CEILING_S = 3600, /* or makes us miss a change for longer */
	TTL_FIXED_S = 10 * 366 * 86400, /* what the operator wrote down */
	TTL_FAILED_S = 30,		/* when nothing was learned */
	TTL_PARTLY_S = 60, /* when one host of several could not be seen */
};

/* One DNS question of the round. */
struct question {
	struct lookup *lookup;
	struct candidate *host; /* NULL: about the domain */
	enum dns_type type;
	struct span base;	 /* of TLSA */
	struct dns_query *query; /* NULL: answered */
};

/* One MTA-STS question; they run beside the rounds. */
struct sts_question {
	struct lookup *lookup;
	struct candidate *host;	 /* NULL: for all hosts */
	struct sts_query *query; /* NULL: answered */
	struct sts_known *known;
};

/*
 *  mx --> addresses --> aliases --> tlsa --> tlsa of the original name --> sts
 *   |                                                                       |
 *   \--NXDOMAIN, null MX, SERVFAIL (no host to ask about)--> done <---------/
 *
 * A round without questions is over at once: primary= has no mx, unsigned
 * zones have no tlsa, tls=none has no sts.
 */
enum round {
	ROUND_START,
	ROUND_MX,
	ROUND_ADDRESSES,
	ROUND_ALIASES,
	ROUND_TLSA,
	ROUND_TLSA_ORIGINAL,
	ROUND_STS,
	ROUND_DONE,
};

struct lookup {
	unsigned magic;
	struct lookup_options opt;
	struct arena arena;
	struct span domain;
	ev_timer start; /* so that nothing happens before lookup_new returns */
	enum round round;
	struct question *questions;
	size_t question_count, pending;
	struct sts_question *policies;
	size_t policy_count, policies_pending;
	struct choice choice;
	bool has_asked;	 /* DNS, about anything */
	bool is_settled; /* by the MX answer alone */
	enum route_result result;
	struct buf reason;
	enum route_dnssec mx_dnssec;
	struct span canon; /* where a CNAME of the domain led */
	int64_t ttl_s;
	lookup_cb *cb;
	void *arg;
};

static void advance(struct lookup *l);

static void note_ttl(struct lookup *l, const struct dns_answer *a)
{
	if (!dns_failed(a->status) && a->ttl_s < l->ttl_s)
		l->ttl_s = a->ttl_s;
}

static void settle(struct lookup *l, enum route_result result)
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
		choice_read_addrs(&q->host->v4, DNS_A, a, &l->arena);
		break;
	case DNS_AAAA:
		choice_read_addrs(&q->host->v6, DNS_AAAA, a, &l->arena);
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
		advance(l);
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

/* ---- MTA-STS, beside the rounds ---- */

static void on_policy(struct sts_known *known, struct span problem, void *arg)
{
	struct sts_question *q = arg;
	struct lookup *l = q->lookup;

	MX_ASSERT(l->magic == LOOKUP_MAGIC);
	q->query = NULL;
	q->known = known;
	l->policies_pending--;
	if (problem.n > 0)
		choice_note(&l->choice, l->domain, "MTA-STS: %.*s",
			    SPAN_ARG(problem));
	if (l->round == ROUND_STS && --l->pending == 0)
		advance(l);
}

static void ask_policy(struct lookup *l, struct span domain,
		       struct candidate *host)
{
	struct sts_question *q = &l->policies[l->policy_count++];

	*q = (struct sts_question){ .lookup = l, .host = host };
	l->policies_pending++;
	q->query = sts_ask(l->opt.sts, domain, on_policy, q);
}

/* The policy of the recipients' domain; of a host that the operator named,
 * the host's own (RFC 8461 section 3.4). */
static void ask_policies(struct lookup *l)
{
	size_t n = l->choice.count;

	if (l->opt.tls == TLS_LEVEL_NONE || l->opt.tls == TLS_LEVEL_DANE)
		return;
	l->policies = arena_alloc_array(&l->arena, n + 1, sizeof(*l->policies));
	if (l->opt.source == ROUTE_FROM_MX) {
		ask_policy(l, l->domain, NULL);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		struct candidate *h = &l->choice.hosts[i];

		if (h->name.n > 0)
			ask_policy(l, h->name, h);
	}
}

static void hand_policies(struct lookup *l)
{
	for (size_t p = 0; p < l->policy_count; p++) {
		const struct sts_question *q = &l->policies[p];

		for (size_t i = 0; q->known != NULL && i < l->choice.count;
		     i++) {
			struct candidate *h = &l->choice.hosts[i];

			if (q->host == NULL || q->host == h)
				h->sts = &q->known->policy;
		}
	}
}

/* ---- Rounds ---- */

static void ask_mx(struct lookup *l)
{
	new_round(l, 1);
	ask(l, l->domain, DNS_MX, NULL);
}

static void start_mx(struct lookup *l)
{
	l->choice = (struct choice){ .arena = &l->arena,
				     .self = l->opt.self,
				     .source = l->opt.source };
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
		settle(l, ROUTE_NULL_MX);
		buf_addf(&l->reason, "%.*s takes no mail (null MX)",
			 SPAN_ARG(l->domain));
		return;
	case DNS_NODATA:
		choice_read_domain(&l->choice, l->domain, port);
		return;
	case DNS_NXDOMAIN:
		settle(l, ROUTE_PERMANENT);
		buf_addf(&l->reason, "NXDOMAIN for %.*s", SPAN_ARG(l->domain));
		return;
	case DNS_SERVFAIL:
	case DNS_BOGUS:
	case DNS_TIMEOUT:
	default:
		settle(l, ROUTE_TRANSIENT);
		l->mx_dnssec =
			a->status == DNS_BOGUS ? ROUTE_BOGUS : ROUTE_NO_ANSWER;
		buf_addf(&l->reason, "MX of %.*s: %s", SPAN_ARG(l->domain),
			 dns_status_name(a->status));
		if (a->why.n > 0)
			buf_addf(&l->reason, " (%.*s)", SPAN_ARG(a->why));
	}
}

static void start_addresses(struct lookup *l)
{
	ask_policies(l);
	new_round(l, 2 * l->choice.count);
	for (size_t i = 0; i < l->choice.count; i++) {
		struct candidate *h = &l->choice.hosts[i];

		if (h->fate != ROUTE_USED || h->name.n == 0)
			continue;
		ask(l, h->name, DNS_A, h);
		ask(l, h->name, DNS_AAAA, h);
	}
}

static uint64_t random_seed(void)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		seed = (uint64_t)clock_mono_ms(); /* early boot: good enough */
	return seed;
}

/* DANE begins with a list of hosts that can be trusted: signed MX records, or
 * the operator's word (RFC 7672 section 2.2). */
static bool is_set_secure(const struct lookup *l)
{
	return l->opt.source != ROUTE_FROM_MX || l->mx_dnssec == ROUTE_SECURE;
}

static bool wants_dane(const struct lookup *l, const struct candidate *h)
{
	return h->fate == ROUTE_USED && h->name.n > 0 && is_set_secure(l) &&
	       l->opt.tls != TLS_LEVEL_NONE;
}

/*
 * RFC 7672 section 2.2.2: insecure addresses behind an alias say nothing of
 * the alias itself.  When that is signed, the original name may have TLSA
 * records of its own.
 */
static void start_aliases(struct lookup *l)
{
	choice_settle(&l->choice, random_seed());
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
static void start_tlsa(struct lookup *l)
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

static void start_tlsa_original(struct lookup *l)
{
	new_round(l, l->choice.count);
	for (size_t i = 0; i < l->choice.count; i++) {
		struct candidate *h = &l->choice.hosts[i];

		if (wants_dane(l, h) && h->addr_dnssec == ROUTE_SECURE &&
		    h->canon.n > 0 && h->tlsa_base.n == 0)
			ask_tlsa(l, h, h->name);
	}
}

/* Hosts with DANE need no policy: do not wait for one. */
static void start_sts(struct lookup *l)
{
	bool is_needed = false;

	for (size_t i = 0; i < l->choice.count; i++) {
		const struct candidate *h = &l->choice.hosts[i];

		if (h->fate == ROUTE_USED && h->tlsa_count == 0)
			is_needed = true;
	}
	if (is_needed)
		l->pending = l->policies_pending;
}

/* ---- The end ---- */

static int64_t expiry(const struct lookup *l, enum route_result result)
{
	int64_t ttl_s = l->ttl_s;

	if (!l->has_asked && l->policy_count == 0)
		return clock_mono_ms() + SECONDS(TTL_FIXED_S);
	for (size_t i = 0; i < l->choice.count; i++) {
		if (l->choice.hosts[i].fate == ROUTE_UNKNOWN_NOW &&
		    ttl_s > TTL_PARTLY_S)
			ttl_s = TTL_PARTLY_S;
	}
	if (result == ROUTE_TRANSIENT)
		ttl_s = TTL_FAILED_S;
	if (ttl_s < TTL_FLOOR_S)
		ttl_s = TTL_FLOOR_S;
	return clock_mono_ms() + SECONDS(ttl_s);
}

static struct route_sts policy_facts(const struct lookup *l)
{
	for (size_t i = 0; i < l->policy_count; i++) {
		const struct sts_known *k = l->policies[i].known;

		if (k != NULL)
			return (struct route_sts){
				.mode = k->policy.mode,
				.domain = k->domain,
				.id = k->id,
				.max_age_s = k->policy.max_age_s,
				.fetched_ms = k->fetched_ms,
			};
	}
	return (struct route_sts){ 0 };
}

/* Many domains share a primary=, whose certificate is not about them. */
static struct span next_hop(const struct lookup *l)
{
	return l->opt.source == ROUTE_FROM_MX ? l->domain : SPAN_LIT("");
}

static void finish(struct lookup *l)
{
	struct build_facts facts;
	struct route *route;
	lookup_cb *cb = l->cb;
	void *arg = l->arg;

	if (!l->is_settled) {
		hand_policies(l);
		plan_tls(&l->choice,
			 &(struct plan){ .level = l->opt.tls,
					 .next_hop = next_hop(l),
					 .next_hop_canon = l->canon });
		l->result = choice_result(&l->choice, l->domain, &l->reason);
	}
	facts = (struct build_facts){
		.domain = l->domain,
		.result = l->result,
		.reason = buf_span(&l->reason),
		.mx_dnssec = l->mx_dnssec,
		.is_set_secure = is_set_secure(l),
		.sts = policy_facts(l),
		.tls = l->opt.tls,
		.expires_ms = expiry(l, l->result),
	};
	route = build_route(&l->choice, &facts);
	lookup_free(&l);
	cb(route, arg);
}

static const struct {
	const char *name;
	void (*start)(struct lookup *l);
} rounds[] = {
	[ROUND_START] = { "start", NULL },
	[ROUND_MX] = { "mx", start_mx },
	[ROUND_ADDRESSES] = { "addresses", start_addresses },
	[ROUND_ALIASES] = { "aliases", start_aliases },
	[ROUND_TLSA] = { "tlsa", start_tlsa },
	[ROUND_TLSA_ORIGINAL] = { "tlsa-original", start_tlsa_original },
	[ROUND_STS] = { "sts", start_sts },
};

static void advance(struct lookup *l)
{
	while (l->pending == 0) {
		l->round = l->is_settled ? ROUND_DONE : l->round + 1;
		if (l->round == ROUND_DONE) {
			finish(l); /* frees l: nothing may follow */
			return;
		}
		rounds[l->round].start(l);
	}
}

static void on_start(EV_P_ ev_timer *w, int revents)
{
	struct lookup *l = w->data;

	(void)loop;
	(void)revents;
	MX_ASSERT(l->magic == LOOKUP_MAGIC);
	advance(l);
}

struct lookup *lookup_new(const struct lookup_options *opt, lookup_cb *cb,
			  void *arg)
{
	struct lookup *l = mx_alloc(sizeof(*l));

	l->magic = LOOKUP_MAGIC;
	l->opt = *opt;
	l->opt.config = config_ref(opt->config);
	l->domain = arena_span(&l->arena, opt->domain);
	l->ttl_s = TTL_CEILING_S;
	l->cb = cb;
	l->arg = arg;
	ev_timer_init(&l->start, on_start, 0., 0.);
	l->start.data = l;
	ev_timer_start(opt->loop, &l->start);
	return l;
}

void lookup_free(struct lookup **lp)
{
	struct lookup *l = *lp;

	*lp = NULL;
	if (l == NULL)
		return;
	MX_ASSERT(l->magic == LOOKUP_MAGIC);
	ev_timer_stop(l->opt.loop, &l->start);
	for (size_t i = 0; i < l->question_count; i++)
		resolver_cancel(&l->questions[i].query);
	for (size_t i = 0; i < l->policy_count; i++) {
		sts_cancel(&l->policies[i].query);
		sts_known_unref(&l->policies[i].known);
	}
	config_unref(&l->opt.config);
	buf_fini(&l->reason);
	arena_reset(&l->arena);
	l->magic = 0;
	free(l);
}
