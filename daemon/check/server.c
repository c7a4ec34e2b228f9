#include "daemon/check/server.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"

enum {
	CONNECT_MS = 8000,
	REPLY_MS = 12000,
	IDLE_MS = 500,
	/* Servers slow down or send away who is refused ten or twenty times. */
	REFUSED_MAX = 8,
};

static void set_timer(struct server *s, int64_t ms)
{
	ev_timer_stop(s->world->loop, &s->timer);
	ev_timer_set(&s->timer, (double)ms / 1000., 0.);
	ev_timer_start(s->world->loop, &s->timer);
}

/* ---- Who asks ---- */

static void finish(struct server_visit *v)
{
	v->is_done = true;
	gather_release(v->g);
}

static void fail_all(struct server *s)
{
	struct server_visit *v;

	while ((v = TAILQ_FIRST(&s->visits)) != NULL) {
		TAILQ_REMOVE(&s->visits, v, link);
		finish(v);
	}
}

static bool has_failed(const struct server *s)
{
	return s->facts.is_known && !s->facts.is_ready;
}

/* ---- The talk ---- */

static void ask_next(struct server *s)
{
	struct server_visit *v = TAILQ_FIRST(&s->visits);

	if (v == NULL || s->refused >= REFUSED_MAX) {
		set_timer(s, v == NULL ? IDLE_MS : 0);
		return;
	}
	ev_timer_stop(s->world->loop, &s->timer);
	TAILQ_REMOVE(&s->visits, v, link);
	s->current = v;
	talk_ask(s->talk, v->recipient);
}

static bool may_be_laxer(const struct server *s)
{
	return s->facts.is_tls_fault && !s->is_clear;
}

static void on_known(struct talk *t, void *arg)
{
	struct server *s = arg;

	if (talk_is_idle(t))
		ask_next(s);
	else
		set_timer(s, 0);
}

static void on_reply(struct talk *t, bool is_mail, const struct smtp_reply *r,
		     void *arg)
{
	struct server *s = arg;
	struct server_visit *v = s->current;
	struct buf text = { 0 };

	(void)t;
	s->answered++;
	s->refused += r->code / 100 != 2;
	s->current = NULL;
	if (v == NULL)
		return;
	smtp_reply_print(&text, r);
	v->is_answered = true;
	v->is_mail = is_mail;
	v->code = r->code;
	memcpy(v->enhanced, r->enhanced, sizeof(v->enhanced));
	v->text = arena_span(&v->g->arena, buf_span(&text));
	buf_fini(&text);
	finish(v);
}

static void on_over(struct talk *t, void *arg)
{
	struct server *s = arg;

	(void)t;
	if (s->current != NULL)
		finish(s->current);
	s->current = NULL;
	s->is_lost = true;
	set_timer(s, 0);
}

static const struct talk_events events = { on_known, on_reply, on_over };

static enum tls_level level_now(const struct server *s)
{
	if (s->is_clear)
		return TLS_LEVEL_NONE;
	return s->is_lax ? TLS_LEVEL_MAY : s->level;
}

/* The operator may be less patient (0: he does not say). */
static int64_t least(int64_t ours, int64_t his)
{
	return his > 0 && his < ours ? his : ours;
}

static void start(struct server *s)
{
	const struct config *c = s->world->config;
	struct talk_options opt = {
		.loop = s->world->loop,
		.addr = s->addr,
		.helo = c->hostname,
		.ctx = c->tls_client,
		.level = level_now(s),
		.demand = &s->demand,
		.name = s->host,
		.connect_ms = least(CONNECT_MS, c->drain.connect_timeout_ms),
		.reply_ms = least(REPLY_MS, c->drain.reply_timeout_ms),
	};
	struct talk_facts *facts = &s->facts;

	if (s->facts.is_known) {
		facts = &s->later;
		talk_facts_fini(facts);
		*facts = (struct talk_facts){ 0 };
	}
	s->answered = s->refused = 0;
	s->is_lost = false;
	s->talk = talk_new(&opt, facts, &events, s);
}

static void be_laxer(struct server *s)
{
	s->is_clear = s->is_lax || s->level <= TLS_LEVEL_MAY;
	s->is_lax = true;
	s->demand.auth = TLS_AUTH_NONE;
	if (s->tls_error.n == 0)
		buf_add(&s->tls_error, buf_span(&s->facts.error));
	talk_facts_fini(&s->facts);
	s->facts = (struct talk_facts){ 0 };
	start(s);
}

/* The talk has failed, is lost, or has had nothing to do for a while.  One
 * that answered nobody is not tried again. */
static void on_timer(EV_P_ ev_timer *w, int revents)
{
	struct server *s = w->data;
	const bool is_over = s->is_lost && s->answered == 0;

	(void)loop;
	(void)revents;
	talk_free(&s->talk);
	if (may_be_laxer(s))
		be_laxer(s);
	else if (has_failed(s) || is_over || (s->later.is_known &&
					      !s->later.is_ready))
		fail_all(s);
	else if (!TAILQ_EMPTY(&s->visits))
		start(s);
}

/* ---- Servers ---- */

static enum tls_auth auth_of(enum tls_level level)
{
	if (level == TLS_LEVEL_VERIFY)
		return TLS_AUTH_PKIX;
	return level == TLS_LEVEL_DANE ? TLS_AUTH_DANE : TLS_AUTH_NONE;
}

static void add_key(struct buf *key, const struct route_host *h,
		    const struct net_addr *addr)
{
	buf_add(key, h->name);
	buf_addc(key, '|');
	net_endpoint_add(key, addr);
	buf_addf(key, "|%d|", (int)h->tls.level);
	for (size_t i = 0; i < h->tls.name_count; i++) {
		buf_add(key, h->tls.names[i]);
		buf_addc(key, '|');
	}
	for (size_t i = 0; i < h->tls.tlsa_count; i++) {
		buf_addf(key, "%d%d%d", h->tls.tlsa[i].usage,
			 h->tls.tlsa[i].selector, h->tls.tlsa[i].matching);
		buf_add(key, h->tls.tlsa[i].data);
	}
}

static void copy_demand(struct server *s, const struct route_tls *tls)
{
	struct span *names = arena_alloc_array(&s->arena, tls->name_count,
					       sizeof(*names));
	struct tls_tlsa *tlsa = arena_alloc_array(&s->arena, tls->tlsa_count,
						  sizeof(*tlsa));

	for (size_t i = 0; i < tls->name_count; i++)
		names[i] = arena_span(&s->arena, tls->names[i]);
	for (size_t i = 0; i < tls->tlsa_count; i++) {
		tlsa[i] = tls->tlsa[i];
		tlsa[i].data = arena_span(&s->arena, tls->tlsa[i].data);
	}
	s->demand = (struct tls_demand){ .auth = auth_of(tls->level),
					 .has_sans_only = tls->is_sts,
					 .sni = arena_span(&s->arena, tls->sni),
					 .names = names,
					 .name_count = tls->name_count,
					 .tlsa = tlsa,
					 .tlsa_count = tls->tlsa_count,
					 .session_key = s->host,
					 .is_fresh = true };
}

static struct server *server_new(struct world *w, const struct route_host *h,
				 const struct net_addr *addr, struct span key)
{
	struct server *s = mx_alloc(sizeof(*s) + key.n);

	s->world = w;
	s->host = arena_span(&s->arena, h->name);
	s->addr = *addr;
	s->level = h->tls.level;
	copy_demand(s, &h->tls);
	TAILQ_INIT(&s->visits);
	ev_timer_init(&s->timer, on_timer, 0., 0.);
	s->timer.data = s;
	s->key_len = key.n;
	memcpy(s->key, key.p, key.n);
	HASH_ADD(hh, w->servers, key, s->key_len, s);
	return s;
}

static struct server *server_get(struct world *w, const struct route_host *h,
				 const struct net_addr *addr)
{
	struct buf key = { 0 };
	struct server *s;

	add_key(&key, h, addr);
	HASH_FIND(hh, w->servers, key.p, key.n, s);
	if (s == NULL)
		s = server_new(w, h, addr, buf_span(&key));
	buf_fini(&key);
	return s;
}

void server_visit(struct world *w, const struct route_host *host,
		  const struct net_addr *addr, struct span recipient,
		  struct gather *g, struct server_visit *v)
{
	struct server *s = server_get(w, host, addr);

	*v = (struct server_visit){ .server = s,
				    .recipient = recipient,
				    .g = g };
	gather_hold(g);
	TAILQ_INSERT_TAIL(&s->visits, v, link);
	if (s->talk == NULL)
		set_timer(s, 0); /* it starts, or has failed for good */
	else if (talk_is_idle(s->talk))
		ask_next(s);
}

void server_leave(struct server_visit *v)
{
	struct server *s = v->server;

	if (s == NULL || v->is_done)
		return;
	if (s->current == v)
		s->current = NULL;
	else
		TAILQ_REMOVE(&s->visits, v, link);
	v->is_done = true;
}

void server_free_all(struct world *w)
{
	struct server *s, *next;

	HASH_ITER (hh, w->servers, s, next) {
		MX_ASSERT(TAILQ_EMPTY(&s->visits));
		HASH_DEL(w->servers, s);
		ev_timer_stop(w->loop, &s->timer);
		talk_free(&s->talk);
		talk_facts_fini(&s->facts);
		talk_facts_fini(&s->later);
		buf_fini(&s->tls_error);
		arena_reset(&s->arena);
		free(s);
	}
}
