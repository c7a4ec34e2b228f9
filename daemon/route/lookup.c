#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/route/build.h"
#include "daemon/route/found.h"
#include "daemon/route/lookup_priv.h"
#include "daemon/route/plan.h"

enum {
	TTL_FLOOR_S = 5,      /* nobody makes us ask more often */
	TTL_CEILING_S = 3600, /* or makes us miss a change for longer */
	TTL_FIXED_S = 10 * 366 * 86400, /* what the operator wrote down */
	/* Denials and failures, which DNS itself forgets soon: equal questions
	 * of a moment are one; of a foreign domain that is all there is to say.
	 */
	TTL_FAILED_S = 1,
	TTL_FINAL_S = 60,
	TTL_PARTLY_S = 60, /* when one host of several could not be seen */
};

static int64_t expiry(const struct lookup *l, bool is_final)
{
	int64_t ttl_s = l->ttl_s;

	if (l->result != ROUTE_OK && l->result != ROUTE_NULL_MX)
		return clock_mono_ms() +
		       SECONDS(is_final ? TTL_FINAL_S : TTL_FAILED_S);
	if (!l->has_asked && l->policy_count == 0)
		return clock_mono_ms() + SECONDS(TTL_FIXED_S);
	if (l->opt.self->found_count > 0 && ttl_s > FOUND_FOR_MS / 1000)
		ttl_s = FOUND_FOR_MS / 1000;
	for (size_t i = 0; i < l->choice.count; i++) {
		if (l->choice.hosts[i].fate == ROUTE_UNKNOWN_NOW &&
		    ttl_s > TTL_PARTLY_S)
			ttl_s = TTL_PARTLY_S;
	}
	if (ttl_s < TTL_FLOOR_S)
		ttl_s = TTL_FLOOR_S;
	return clock_mono_ms() + SECONDS(ttl_s);
}

/* Many domains share a primary=, whose certificate is not about them. */
static struct span next_hop(const struct lookup *l)
{
	return l->opt.source == ROUTE_FROM_MX ? l->domain : SPAN_LIT("");
}

static bool is_denial(enum route_result r)
{
	return r == ROUTE_PERMANENT || r == ROUTE_NULL_MX;
}

static void finish(struct lookup *l)
{
	bool is_final;
	struct build_facts facts;
	struct route *route;
	lookup_cb *cb = l->cb;
	void *arg = l->arg;

	if (!l->is_settled) {
		lookup_hand_policies(l);
		plan_tls(&l->choice,
			 &(struct plan){ .level = l->opt.tls,
					 .next_hop = next_hop(l),
					 .next_hop_canon = l->canon });
		l->result = choice_result(&l->choice, l->domain, &l->reason);
	}
	is_final = is_denial(l->result) && !l->opt.is_ours;
	if (is_denial(l->result) && !is_final)
		buf_adds(&l->reason,
			 "; it is a domain of ours: its mail waits");
	facts = (struct build_facts){
		.domain = l->domain,
		.result = l->result,
		.is_final = is_final,
		.reason = buf_span(&l->reason),
		.mx_dnssec = l->mx_dnssec,
		.is_set_secure = lookup_is_set_secure(l),
		.sts = lookup_policy_facts(l),
		.tls = l->opt.tls,
		.expires_ms = expiry(l, is_final),
		.findings = l->findings,
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
	[ROUND_MX] = { "mx", lookup_start_mx },
	[ROUND_ADDRESSES] = { "addresses", lookup_start_addresses },
	[ROUND_ALIASES] = { "aliases", lookup_start_aliases },
	[ROUND_TLSA] = { "tlsa", lookup_start_tlsa },
	[ROUND_TLSA_ORIGINAL] = { "tlsa-original", lookup_start_tlsa_original },
	[ROUND_STS] = { "sts", lookup_start_sts },
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

static void copy_hops(struct lookup *l)
{
	size_t n = l->opt.hop_count;
	struct config_hop *hops =
		arena_alloc_array(&l->arena, n, sizeof(*hops));

	for (size_t i = 0; i < n; i++) {
		hops[i] = l->opt.hops[i];
		hops[i].host = arena_span(&l->arena, hops[i].host);
	}
	l->opt.hops = hops;
}

struct lookup *lookup_new(const struct lookup_options *opt, lookup_cb *cb,
			  void *arg)
{
	struct lookup *l = mx_alloc(sizeof(*l));

	l->magic = LOOKUP_MAGIC;
	l->opt = *opt;
	l->opt.config = config_ref(opt->config);
	l->domain = arena_span(&l->arena, opt->domain);
	copy_hops(l);
	l->ttl_s = TTL_CEILING_S;
	l->findings = opt->self->findings;
	l->advance = advance;
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
