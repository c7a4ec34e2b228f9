#include "daemon/route/lookup.h"

#include <stdlib.h>
#include <sys/random.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/route/build.h"
#include "daemon/route/choose.h"
#include "daemon/route/plan.h"

enum {
	LOOKUP_MAGIC = 0x100c0bad,
	TTL_FLOOR_S = 30,     /* nobody makes us ask more often */
	TTL_CEILING_S = 3600, /* or makes us miss a change for longer */
	TTL_FAILED_S = 30,    /* when nothing was learned */
	TTL_PARTLY_S = 60,    /* when one host of several could not be seen */
};

/* One DNS question of the round. */
struct question {
	struct lookup *lookup;
	struct candidate *host; /* NULL: about the domain */
	enum dns_type type;
	struct dns_query *query; /* NULL: answered */
};

/*
 *  mx ---all answered---> addresses ---all answered---> done
 *   \--NXDOMAIN, null MX, SERVFAIL ... (nothing to ask)--/
 */
enum round { ROUND_START, ROUND_MX, ROUND_ADDRESSES, ROUND_DONE };

struct lookup {
	unsigned magic;
	struct lookup_options opt;
	struct arena arena;
	struct span domain;
	ev_timer start; /* so that nothing happens before lookup_new returns */
	enum round round;
	struct question *questions;
	size_t question_count, pending;
	struct choice choice;
	bool is_settled; /* by the MX answer alone */
	enum route_result result;
	struct buf reason;
	enum route_dnssec mx_dnssec;
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

/* ---- Questions -------------------------------------------------------------
 */

static void take_mx(struct lookup *l, const struct dns_answer *a);

static void on_answer(const struct dns_answer *a, void *arg)
{
	struct question *q = arg;
	struct lookup *l = q->lookup;

	MX_ASSERT(l->magic == LOOKUP_MAGIC);
	q->query = NULL;
	l->pending--;
	note_ttl(l, a);
	if (q->type == DNS_MX)
		take_mx(l, a);
	else
		choice_read_addrs(q->type == DNS_A ? &q->host->v4
						   : &q->host->v6,
				  q->type, a, &l->arena);
	if (l->pending == 0)
		advance(l);
}

static void new_round(struct lookup *l, size_t most)
{
	l->questions =
		arena_alloc_array(&l->arena, most, sizeof(*l->questions));
	l->question_count = 0;
}

static void ask(struct lookup *l, struct span name, enum dns_type type,
		struct candidate *host)
{
	struct question *q = &l->questions[l->question_count++];

	*q = (struct question){ .lookup = l, .host = host, .type = type };
	l->pending++;
	q->query = resolver_ask(l->opt.resolver, name, type, on_answer, q);
}

/* ---- Rounds
 * ------------------------------------------------------------------ */

static void start_mx(struct lookup *l)
{
	l->choice = (struct choice){ .arena = &l->arena,
				     .self = l->opt.self,
				     .source = l->opt.source };
	if (l->opt.source != ROUTE_FROM_MX) {
		choice_read_hops(&l->choice, l->opt.hops, l->opt.hop_count);
		return;
	}
	new_round(l, 1);
	ask(l, l->domain, DNS_MX, NULL);
}

static void take_mx(struct lookup *l, const struct dns_answer *a)
{
	in_port_t port = l->opt.config->drain.port;

	l->mx_dnssec = a->secure ? ROUTE_SECURE : ROUTE_INSECURE;
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
	new_round(l, 2 * l->choice.count);
	for (size_t i = 0; i < l->choice.count; i++) {
		struct candidate *h = &l->choice.hosts[i];

		if (h->fate != ROUTE_USED || h->name.n == 0)
			continue;
		ask(l, h->name, DNS_A, h);
		ask(l, h->name, DNS_AAAA, h);
	}
}

static int64_t expiry(const struct lookup *l, enum route_result result)
{
	int64_t ttl_s = l->ttl_s;

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

static uint64_t random_seed(void)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		seed = (uint64_t)clock_mono_ms(); /* early boot: good enough */
	return seed;
}

static void finish(struct lookup *l)
{
	struct build_facts facts;
	struct route *route;
	lookup_cb *cb = l->cb;
	void *arg = l->arg;

	if (!l->is_settled) {
		choice_settle(&l->choice, random_seed());
		plan_tls(&l->choice, &(struct plan){ .level = l->opt.tls });
		l->result = choice_result(&l->choice, l->domain, &l->reason);
	}
	facts = (struct build_facts){
		.domain = l->domain,
		.result = l->result,
		.reason = buf_span(&l->reason),
		.mx_dnssec = l->mx_dnssec,
		.is_set_secure = l->opt.source != ROUTE_FROM_MX ||
				 l->mx_dnssec == ROUTE_SECURE,
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
	config_unref(&l->opt.config);
	buf_fini(&l->reason);
	arena_reset(&l->arena);
	l->magic = 0;
	free(l);
}
