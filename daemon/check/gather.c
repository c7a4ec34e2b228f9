#include "daemon/check/gather.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"

struct gather_question {
	TAILQ_ENTRY(gather_question) link;
	struct gather *gather;
	struct dns_query *query;
	struct answer *to;
	gather_then *then;
	void *arg;
};

static void set_timer(struct gather *g, int64_t ms)
{
	ev_timer_stop(g->loop, &g->timer);
	ev_timer_set(&g->timer, (double)ms / 1000., 0.);
	ev_timer_start(g->loop, &g->timer);
}

static void drop_questions(struct gather *g)
{
	struct gather_question *q;

	while ((q = TAILQ_FIRST(&g->questions)) != NULL) {
		TAILQ_REMOVE(&g->questions, q, link);
		resolver_cancel(&q->query);
		free(q);
	}
}

static void on_timer(EV_P_ ev_timer *w, int revents)
{
	struct gather *g = w->data;

	(void)loop;
	(void)revents;
	MX_ASSERT(!g->is_over);
	g->is_over = true;
	drop_questions(g);
	if (g->stop != NULL)
		g->stop(g);
	g->over(g);
}

void gather_begin(struct gather *g, int64_t most_ms)
{
	TAILQ_INIT(&g->questions);
	ev_timer_init(&g->timer, on_timer, 0., 0.);
	g->timer.data = g;
	ev_now_update(g->loop);
	set_timer(g, most_ms);
}

void gather_end(struct gather *g)
{
	g->is_over = true;
	ev_timer_stop(g->loop, &g->timer);
	drop_questions(g);
	arena_reset(&g->arena);
}

void gather_hold(struct gather *g)
{
	g->pending++;
}

/* Judged from the loop, not from within whoever was waited for. */
void gather_release(struct gather *g)
{
	MX_ASSERT(g->pending > 0);
	if (--g->pending == 0 && !g->is_over)
		set_timer(g, 0);
}

static const struct span *copy_rdata(struct arena *a,
				     const struct dns_answer *from)
{
	struct span *rdata = arena_alloc_array(a, from->count, sizeof(*rdata));

	for (size_t i = 0; i < from->count; i++)
		rdata[i] = arena_span(a, from->rdata[i]);
	return rdata;
}

/* It is shown, and asked about: no more than a host name may hold. */
static struct span copy_name(struct arena *a, struct span name)
{
	char *text = arena_str(a, name);

	for (size_t i = 0; i < name.n; i++)
		if (strchr("abcdefghijklmnopqrstuvwxyz"
			   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.",
			   text[i]) == NULL)
			text[i] = '?';
	return span_of(text, name.n);
}

static void on_answer(const struct dns_answer *a, void *arg)
{
	struct gather_question *q = arg;
	struct gather *g = q->gather;

	*q->to = (struct answer){
		.status = a->status,
		.secure = a->secure,
		.ttl_s = a->ttl_s,
		.canon = copy_name(&g->arena, a->canon),
		.rdata = copy_rdata(&g->arena, a),
		.count = a->count,
		.why = arena_span(&g->arena, a->why),
	};
	TAILQ_REMOVE(&g->questions, q, link);
	if (q->then != NULL)
		q->then(g, q->to, q->arg);
	free(q);
	gather_release(g);
}

void gather_ask_of(struct gather *g, struct resolver *r, struct span name,
		   enum dns_type type, struct answer *to, gather_then *then,
		   void *arg)
{
	struct gather_question *q = mx_alloc(sizeof(*q));

	*to = (struct answer){ .status = DNS_TIMEOUT };
	q->gather = g;
	q->to = to;
	q->then = then;
	q->arg = arg;
	TAILQ_INSERT_TAIL(&g->questions, q, link);
	gather_hold(g);
	q->query = resolver_ask(r, name, type, on_answer, q);
}

void gather_ask(struct gather *g, struct span name, enum dns_type type,
		struct answer *to, gather_then *then, void *arg)
{
	gather_ask_of(g, g->resolver, name, type, to, then, arg);
}

static size_t add_addrs(const struct answer *a, enum dns_type type,
			struct net_addr *addrs, size_t n, size_t max)
{
	for (size_t i = 0; a->status == DNS_OK && i < a->count && n < max; i++)
		if (dns_read_addr(type, a->rdata[i], &addrs[n]))
			n++;
	return n;
}

size_t gather_addrs(const struct answer *v4, const struct answer *v6,
		    struct net_addr *addrs, size_t max)
{
	size_t n = add_addrs(v4, DNS_A, addrs, 0, max);

	return add_addrs(v6, DNS_AAAA, addrs, n, max);
}
