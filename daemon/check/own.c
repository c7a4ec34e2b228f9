#include "daemon/check/own.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "daemon/policy/dnsbl.h"
#include "daemon/route/tlsa.h"

enum { TLSA_MOST = 32 };

struct own_wait {
	TAILQ_ENTRY(own_wait) link;
	struct gather *g;
	gather_fn *then;
};

static struct own *own_of(struct gather *g)
{
	return CONTAINER_OF(g, struct own, g);
}

/* ---- The listeners ---- */

static struct talk_options options_of(struct own *o,
				      const struct net_addr *addr,
				      enum tls_level level,
				      const struct tls_demand *demand)
{
	const struct config *c = o->world->config;

	return (struct talk_options){
		.loop = o->world->loop,
		.addr = *addr,
		.helo = c->hostname,
		.ctx = c->tls_client,
		.level = level,
		.demand = demand,
		.name = o->name,
		.connect_ms = 5000,
		.reply_ms = 10000,
	};
}

static void dane_known(struct talk *t, void *arg)
{
	struct own *o = arg;

	(void)t;
	gather_release(&o->g);
}

static void nothing(struct talk *t, void *arg)
{
	(void)t;
	(void)arg;
}

static const struct talk_events dane_events = { dane_known, NULL, nothing };

/* The TLSA records and a certificate are there: do they agree? */
static void try_dane(struct own *o)
{
	const struct own_addr *a = own_shown(o);
	struct talk_options opt;

	if (a == NULL || o->record_count == 0 || o->is_dane_tried)
		return;
	o->is_dane_tried = true;
	o->dane_demand = o->demand;
	o->dane_demand.auth = TLS_AUTH_DANE;
	o->dane_demand.tlsa = o->records;
	o->dane_demand.tlsa_count = o->record_count;
	gather_hold(&o->g);
	opt = options_of(o, &a->addr, TLS_LEVEL_DANE, &o->dane_demand);
	o->dane = talk_new(&opt, &o->dane_facts, &dane_events, o);
}

static void on_known(struct talk *t, void *arg)
{
	struct own *o = arg;

	(void)t;
	try_dane(o);
	gather_release(&o->g);
}

static const struct talk_events events = { on_known, NULL, nothing };

static void start_talk(struct own *o, struct own_addr *a)
{
	struct talk_options opt =
		options_of(o, &a->addr, TLS_LEVEL_MAY, &o->demand);

	gather_hold(&o->g);
	a->talk = talk_new(&opt, &a->facts, &events, o);
}

/* ---- Names and lists ---- */

static void on_ptr(struct gather *g, struct answer *p, void *arg)
{
	struct own_addr *a = arg;

	for (size_t i = 0; p->status == DNS_OK && i < p->count &&
			   a->name_count < OWN_NAMES_MAX;
	     i++) {
		struct own_name *n = &a->names[a->name_count];

		if (!dns_read_ptr(&g->arena, p->rdata[i], &n->name) ||
		    n->name.n == 0)
			continue;
		a->name_count++;
		gather_ask(g, n->name, DNS_A, &n->v4, NULL, NULL);
		gather_ask(g, n->name, DNS_AAAA, &n->v6, NULL, NULL);
	}
}

static void ask_ptr(struct own *o, struct own_addr *a)
{
	struct buf name = { 0 };

	/* the same order of digits as in a blocklist */
	dnsbl_name(&name, &a->addr,
		   a->addr.family == AF_INET6 ? SPAN_LIT("ip6.arpa")
					      : SPAN_LIT("in-addr.arpa"));
	gather_ask(&o->g, buf_span(&name), DNS_PTR, &a->ptr, on_ptr, a);
	buf_fini(&name);
}

static void ask_lists(struct own *o, struct own_addr *a)
{
	const struct config *c = o->world->config;
	struct buf name = { 0 };

	a->listed = arena_alloc_array(&o->g.arena, c->policy.dnsbl_count,
				      sizeof(*a->listed));
	for (size_t i = 0; i < c->policy.dnsbl_count; i++) {
		buf_reset(&name);
		dnsbl_name(&name, &a->addr, c->policy.dnsbl[i].zone);
		gather_ask(&o->g, buf_span(&name), DNS_A, &a->listed[i], NULL,
			   NULL);
	}
	buf_fini(&name);
}

static void on_addrs(struct gather *g, struct answer *unused, void *arg)
{
	struct own *o = own_of(g);
	const struct self *self = &o->world->self;
	struct net_addr addrs[OWN_ADDRS_MAX];

	(void)unused;
	(void)arg;
	if (--o->addrs_pending > 0)
		return;
	o->addr_count = gather_addrs(&o->v4, &o->v6, addrs, OWN_ADDRS_MAX);
	for (size_t i = 0; i < o->addr_count; i++) {
		struct own_addr *a = &o->addrs[i];

		a->addr = addrs[i];
		a->addr.port = o->port;
		a->is_here = self_has_addr(self, &a->addr) ||
			     self_is_listening(self, &a->addr);
		a->is_alias = self_is_addr(self, &a->addr);
		ask_ptr(o, a);
		ask_lists(o, a);
		start_talk(o, a);
	}
}

/* RFC 7672 section 2.2: what is not signed does not count. */
static void on_tlsa(struct gather *g, struct answer *t, void *arg)
{
	struct own *o = own_of(g);

	(void)arg;
	if (t->status != DNS_OK || !t->secure)
		return;
	o->records = arena_alloc_array(&g->arena, TLSA_MOST,
				       sizeof(*o->records));
	for (size_t i = 0; i < t->count && o->record_count < TLSA_MOST; i++) {
		struct tls_tlsa *r = &o->records[o->record_count];

		if (dns_read_tlsa(&g->arena, t->rdata[i], r) &&
		    tlsa_is_usable(r))
			o->record_count++;
	}
	try_dane(o);
}

/* ---- Life ---- */

static void stop(struct gather *g)
{
	struct own *o = own_of(g);

	for (size_t i = 0; i < o->addr_count; i++)
		talk_free(&o->addrs[i].talk);
	talk_free(&o->dane);
}

static void over(struct gather *g)
{
	struct own *o = own_of(g);
	struct own_wait *w;

	own_judge(o);
	o->is_done = true;
	while ((w = TAILQ_FIRST(&o->waits)) != NULL) {
		TAILQ_REMOVE(&o->waits, w, link);
		w->then(w->g);
		gather_release(w->g);
		free(w);
	}
}

static void ask(struct own *o)
{
	struct buf name = { 0 };

	o->addrs_pending = 2;
	gather_ask(&o->g, o->name, DNS_A, &o->v4, on_addrs, NULL);
	gather_ask(&o->g, o->name, DNS_AAAA, &o->v6, on_addrs, NULL);
	tlsa_name(&name, o->world->config->drain.port, o->name);
	gather_ask(&o->g, buf_span(&name), DNS_TLSA, &o->tlsa, on_tlsa, NULL);
	buf_fini(&name);
}

/*
 * The world comes to the port of MX hosts.  Who does not listen there has it
 * led somewhere else, which cannot be seen from inside: then our own is tried.
 */
static void choose_port(struct own *o)
{
	const struct config *c = o->world->config;
	in_port_t other = 0;

	o->port = c->drain.port;
	for (size_t i = 0; i < c->listen_count; i++) {
		const struct config_listen *l = &c->listen[i];

		o->is_proxied |= l->proxy;
		if (l->proxy || l->implicit_tls)
			continue;
		if (l->port == c->drain.port)
			return;
		if (other == 0)
			other = l->port;
	}
	if (other != 0)
		o->port = other;
}

static struct own *own_new(struct world *w, struct span name)
{
	struct own *o = mx_alloc(sizeof(*o));

	o->g.loop = w->loop;
	o->g.resolver = w->resolver;
	o->g.stop = stop;
	o->g.over = over;
	o->world = w;
	o->name = arena_span(&o->g.arena, name);
	o->demand = (struct tls_demand){ .auth = TLS_AUTH_NONE,
					 .sni = o->name,
					 .names = &o->name,
					 .name_count = 1,
					 .session_key = o->name,
					 .is_fresh = true };
	o->findings.arena = &o->g.arena;
	choose_port(o);
	TAILQ_INIT(&o->waits);
	TAILQ_INSERT_TAIL(&w->owns, o, link);
	gather_begin(&o->g, OWN_MS);
	ask(o);
	return o;
}

struct own *own_get(struct world *w, struct span name)
{
	struct own *o;

	TAILQ_FOREACH (o, &w->owns, link)
		if (span_ieq(o->name, name))
			return o;
	return own_new(w, name);
}

void own_await(struct own *o, struct gather *g, gather_fn *then)
{
	struct own_wait *wait;

	if (o->is_done) {
		then(g);
		return;
	}
	wait = mx_alloc(sizeof(*wait));
	wait->g = g;
	wait->then = then;
	TAILQ_INSERT_TAIL(&o->waits, wait, link);
	gather_hold(g);
}

void own_leave(struct own *o, struct gather *g)
{
	struct own_wait *w, *next;

	for (w = TAILQ_FIRST(&o->waits); w != NULL; w = next) {
		next = TAILQ_NEXT(w, link);
		if (w->g != g)
			continue;
		TAILQ_REMOVE(&o->waits, w, link);
		free(w);
	}
}

void own_free_all(struct world *w)
{
	struct own *o;

	while ((o = TAILQ_FIRST(&w->owns)) != NULL) {
		MX_ASSERT(TAILQ_EMPTY(&o->waits));
		TAILQ_REMOVE(&w->owns, o, link);
		stop(&o->g);
		for (size_t i = 0; i < o->addr_count; i++)
			talk_facts_fini(&o->addrs[i].facts);
		talk_facts_fini(&o->dane_facts);
		gather_end(&o->g);
		free(o);
	}
}
