/* The MTA-STS questions of a look-up. */
#include "common/base/assert.h"
#include "daemon/route/lookup_priv.h"

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
		l->advance(l);
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
void lookup_ask_policies(struct lookup *l)
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

void lookup_hand_policies(struct lookup *l)
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

/* Hosts with DANE need no policy: do not wait for one. */
void lookup_start_sts(struct lookup *l)
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

struct route_sts lookup_policy_facts(const struct lookup *l)
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
