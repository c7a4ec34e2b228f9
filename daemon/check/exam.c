#include "daemon/check/exam.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "config/allow/domains.h"
#include "daemon/route/source.h"

enum {
	AGAIN_MS = 1200, /* a TTL in somebody's cache has become less by then */
	SPF_MS = 10000,
};

static struct exam *exam_of(struct gather *g)
{
	return CONTAINER_OF(g, struct exam, g);
}

/* ---- SPF: once our addresses are known ---- */

static void on_spf(const struct spf_verdict *v, int64_t ttl_s, void *arg)
{
	struct exam_spf *s = arg;
	struct arena *a = &s->exam->g.arena;

	(void)ttl_s;
	s->is_known = true;
	s->result = v->result;
	s->mechanism = arena_span(a, v->mechanism);
	s->problem = arena_span(a, v->problem);
	evaluation_free(&s->evaluation);
	gather_release(&s->exam->g);
}

static void start_spf(struct exam *e, const struct net_addr *addr)
{
	struct exam_spf *s = &e->spf[e->spf_count++];
	const struct proof_dns dns = proof_dns_of(e->g.resolver);
	struct buf sender = { 0 };
	struct spf_request request = { .client = *addr,
				       .helo = e->own->name,
				       .receiver = e->world->config->hostname,
				       .now_s = clock_wall_ms() / 1000 };

	s->exam = e;
	s->addr = *addr;
	buf_addf(&sender, "postmaster@%.*s", SPAN_ARG(e->domain));
	request.sender = buf_span(&sender);
	gather_hold(&e->g);
	s->evaluation = evaluation_new(e->g.loop, &dns, &request, SPF_MS,
				       on_spf, s);
	buf_fini(&sender);
}

static void on_own(struct gather *g)
{
	struct exam *e = exam_of(g);

	for (size_t i = 0; i < e->own->addr_count; i++)
		start_spf(e, &e->own->addrs[i].addr);
}

/* ---- The MX set ---- */

static void on_again(EV_P_ ev_timer *w, int revents)
{
	struct exam *e = w->data;
	struct world *world = e->world;
	struct buf why = { 0 };

	(void)loop;
	(void)revents;
	e->waits_again = false;
	if (world->fresh == NULL)
		(void)resolver_new(&world->fresh, world->loop, world->config,
				   RESOLVER_DOCTOR, &why);
	buf_fini(&why);
	if (world->fresh != NULL) {
		e->mx.has_again = true;
		gather_ask_of(&e->g, world->fresh, e->domain, DNS_MX,
			      &e->mx.again, NULL, NULL);
	}
	gather_release(&e->g);
}

static void wait_again(struct exam *e)
{
	e->waits_again = true;
	gather_hold(&e->g);
	ev_timer_set(&e->again, AGAIN_MS / 1000., 0.);
	ev_timer_start(e->g.loop, &e->again);
}

static void on_set(struct exam *e)
{
	const struct config *c = e->world->config;

	mx_settle(&e->mx, &e->world->self, c->drain.port);
	if (mx_wants_again(&e->mx))
		wait_again(e);
	e->own = own_get(e->world, e->mx.self != NULL ? e->mx.self->name
						      : c->hostname);
	own_await(e->own, &e->g, on_own);
}

static void on_host(struct gather *g, struct answer *a, void *arg)
{
	struct exam *e = exam_of(g);

	(void)a;
	(void)arg;
	if (--e->addrs_pending == 0)
		on_set(e);
}

static void on_mx(struct gather *g, struct answer *a, void *arg)
{
	struct exam *e = exam_of(g);

	(void)a;
	(void)arg;
	mx_read(&e->mx, &e->world->self, &g->arena);
	e->addrs_pending = 1;
	for (size_t i = 0; i < e->mx.count; i++) {
		struct mx_host *h = &e->mx.hosts[i];

		if (h->is_text)
			continue;
		e->addrs_pending += 2;
		gather_ask(g, h->name, DNS_A, &h->v4, on_host, NULL);
		gather_ask(g, h->name, DNS_AAAA, &h->v6, on_host, NULL);
	}
	on_host(g, a, NULL);
}

/* ---- The primary ---- */

static void visit(struct exam *e, const struct route_host *h,
		  const struct net_addr *addr, struct span recipient)
{
	struct exam_visit *x = &e->visits[e->visit_count++];

	x->host = h;
	x->addr = *addr;
	server_visit(e->world, h, addr, recipient, &e->g, &x->v);
}

static void visit_host(struct exam *e, const struct route_host *h,
		       struct span recipient)
{
	for (size_t i = 0; i < h->addr_count; i++) {
		if (e->visit_count == EXAM_VISITS_MAX)
			return;
		if (h->addrs[i].family == AF_INET6 &&
		    !e->world->self.has_ipv6 && h->addr_count > 1)
			e->has_skipped_v6 = true;
		else
			visit(e, h, &h->addrs[i], recipient);
	}
}

static void on_route(struct route *route, void *arg)
{
	struct exam *e = arg;
	struct buf recipient = { 0 };
	struct span kept;

	e->lookup = NULL;
	e->route = route;
	buf_addf(&recipient, "postmaster@%.*s", SPAN_ARG(e->domain));
	kept = arena_span(&e->g.arena, buf_span(&recipient));
	buf_fini(&recipient);
	e->visits = arena_alloc_array(&e->g.arena, EXAM_VISITS_MAX,
				      sizeof(*e->visits));
	for (size_t i = 0; i < route->host_count; i++)
		visit_host(e, &route->hosts[i], kept);
	gather_release(&e->g);
}

static void ask_route(struct exam *e)
{
	struct world *w = e->world;
	struct lookup_options opt = { .loop = w->loop,
				      .resolver = w->resolver,
				      .sts = w->sts,
				      .self = &w->self,
				      .hosts = &w->hosts,
				      .config = w->config };

	source_choose(&opt, e->domain);
	if (opt.source == ROUTE_FROM_RELAY) { /* by MX, as if it were listed */
		opt.source = ROUTE_FROM_MX;
		opt.hop_count = 0;
	}
	gather_hold(&e->g);
	e->lookup = lookup_new(&opt, on_route, e);
}

/* ---- MTA-STS ---- */

static void on_sts(struct sts_known *known, struct span problem, void *arg)
{
	struct exam *e = arg;

	e->sts_query = NULL;
	e->has_sts = true;
	e->sts = known;
	e->sts_problem = arena_span(&e->g.arena, problem);
	gather_release(&e->g);
}

static void ask_sts(struct exam *e)
{
	struct buf name = { 0 };

	buf_addf(&name, "_mta-sts.%.*s", SPAN_ARG(e->domain));
	gather_ask(&e->g, buf_span(&name), DNS_TXT, &e->sts_record, NULL,
		   NULL);
	buf_fini(&name);
	gather_hold(&e->g);
	e->sts_query = sts_ask(e->world->sts, e->domain, on_sts, e);
}

/* ---- Life ---- */

static void stop(struct gather *g)
{
	struct exam *e = exam_of(g);

	ev_timer_stop(g->loop, &e->again);
	if (e->own != NULL)
		own_leave(e->own, g);
	lookup_free(&e->lookup);
	sts_cancel(&e->sts_query);
	for (size_t i = 0; i < e->visit_count; i++)
		server_leave(&e->visits[i].v);
	for (size_t i = 0; i < e->spf_count; i++)
		evaluation_free(&e->spf[i].evaluation);
}

static void judge_mx(struct exam *e)
{
	const struct mx_views views = {
		.own_name = e->own != NULL ? e->own->name
					   : e->world->config->hostname,
		.has_primary = e->row != NULL && e->row->primary_count > 0,
		.self = &e->world->self,
	};

	if (e->own == NULL) /* time was over before all was there */
		mx_settle(&e->mx, &e->world->self,
			  e->world->config->drain.port);
	mx_judge(&e->findings, &e->mx, &views);
}

static void judge_own(struct exam *e)
{
	const bool is_done = e->own != NULL && e->own->is_done;

	if (is_done)
		findings_join(&e->findings, &e->own->findings);
	for (enum check_id id = 0; !is_done && id < CHECKS; id++)
		if (check_is_of_host(id) && id != CHECK_SPOOL_ROOM)
			findings_add(&e->findings, id, SEVERITY_INFO,
				     "not known: this host was not looked at in "
				     "time");
}

static void over(struct gather *g)
{
	struct exam *e = exam_of(g);

	if (!span_starts(e->domain, SPAN_LIT("*."))) {
		judge_mx(e);
		judge_own(e);
		tlsa_judge(e);
		sts_judge(e);
		primary_judge(e);
		spf_judge(e);
	}
	recipients_judge(e);
	room_judge(&e->findings, e->world->opt->room);
	mirror_judge(&e->findings, e->world->opt->mirror);
	findings_sort(&e->findings);
	e->done(e, e->arg);
}

/* A pattern has no records of its own. */
static void ask(struct exam *e)
{
	gather_hold(&e->g);
	if (!span_starts(e->domain, SPAN_LIT("*."))) {
		gather_ask(&e->g, e->domain, DNS_MX, &e->mx.answer, on_mx,
			   NULL);
		gather_ask(&e->g, e->domain, DNS_TXT, &e->txt, NULL, NULL);
		ask_sts(e);
		ask_route(e);
	}
	gather_release(&e->g);
}

struct exam *exam_new(struct world *w, struct span domain,
		      void (*done)(struct exam *e, void *arg), void *arg)
{
	struct exam *e = mx_alloc(sizeof(*e));

	e->g.loop = w->loop;
	e->g.resolver = w->resolver;
	e->g.stop = stop;
	e->g.over = over;
	e->world = w;
	e->domain = arena_span(&e->g.arena, domain);
	e->mx.domain = e->domain;
	e->row = domains_find(w->config->domains, domain);
	e->done = done;
	e->arg = arg;
	e->findings.arena = &e->g.arena;
	ev_timer_init(&e->again, on_again, 0., 0.);
	e->again.data = e;
	gather_begin(&e->g, CHECK_DOMAIN_MS);
	ask(e);
	return e;
}

void exam_free(struct exam **ep)
{
	struct exam *e = *ep;

	*ep = NULL;
	if (e == NULL)
		return;
	stop(&e->g);
	route_unref(&e->route);
	sts_known_unref(&e->sts);
	gather_end(&e->g);
	free(e);
}
