/* Questions to primaries: in and out. */
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/drain/callout_priv.h"

/* It hangs: who asked is told, and the connection is of no use. */
static void take_back(struct callout *c)
{
	struct link *l = c->carrier;
	struct dest *dst = l->dest;

	delivery_job_cancel(l->delivery, &c->job);
	c->carrier = NULL;
	if (!l->is_leaving)
		link_uncount(l);
	l->is_leaving = true;
	link_free(l);
	turns_touch(dst);
}

static void withdraw(struct callout *c)
{
	if (c->state == OUT)
		take_back(c);
	else if (c->state == WAITS)
		TAILQ_REMOVE(callout_queue_of(c), c, link);
	if (c->domain != NULL && callout_first(c->domain) == NULL)
		callout_leave(c->domain);
}

static void on_deadline(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct callout *c = t->data;

	(void)loop;
	(void)revents;
	withdraw(c);
	callout_answer(c, SAID_NOTHING, SPAN_LIT("no answer in time"));
}

static void begin(struct callout *c)
{
	struct domain *dom = c->domain;

	TAILQ_INSERT_TAIL(callout_queue_of(c), c, link);
	if (domain_is_old(dom))
		domain_ask(dom); /* goes on in callout_enter or _no_route */
	else if (dom->dest != NULL)
		callout_enter(dom);
	else
		callout_no_route(dom);
}

static struct callout *callout_new(struct domain *dom, struct span mailbox,
				   int64_t deadline_ms)
{
	struct drain *d = dom->drain;
	struct callout *c = mx_alloc(sizeof(*c) + mailbox.n);

	c->drain = d;
	c->domain = dom;
	c->domain->callouts++;
	c->since_ms = clock_mono_ms();
	if (mailbox.n > 0)
		memcpy(c->mailbox, mailbox.p, mailbox.n);
	c->mailbox_len = mailbox.n;
	ev_timer_init(&c->deadline, on_deadline, (double)deadline_ms / 1000.,
		      0.);
	c->deadline.data = c;
	ev_timer_start(d->loop, &c->deadline);
	LIST_INSERT_HEAD(&d->callouts.all, c, all);
	d->callouts.count++;
	return c;
}

static struct callout *ask(struct drain *d, struct span domain,
			   struct span mailbox, int64_t deadline_ms,
			   known_said_cb *cb, void *arg)
{
	struct domain *dom;
	struct callout *c;

	if (!drain_is_at_work(d) || d->callouts.count >= CALLOUTS_MAX ||
	    (dom = domain_need_bounded(d, domain)) == NULL)
		return NULL;
	c = callout_new(dom, mailbox, deadline_ms);
	c->cb = cb;
	c->arg = arg;
	begin(c);
	return c;
}

struct callout *drain_ask(struct drain *d, struct span domain,
			  struct span mailbox, known_said_cb *cb, void *arg)
{
	MX_ASSERT(mailbox.n > 0);
	return ask(d, domain, mailbox, CALLOUT_MS, cb, arg);
}

struct callout *drain_hail(struct drain *d, struct span domain,
			   known_said_cb *cb, void *arg)
{
	return ask(d, domain, SPAN_LIT(""),
		   d->config->policy.verify_timeout_ms, cb, arg);
}

void drain_ask_cancel(struct callout *c)
{
	if (c->state == ANSWERED) {
		TAILQ_REMOVE(&c->drain->callouts.answered, c, link);
	} else {
		withdraw(c);
		callout_leave_domain(c);
	}
	callout_free(c);
}

void drain_destination(struct drain *d, struct span name, struct buf *out)
{
	const struct domain *dom = domain_find(d, name);
	struct route *r;

	if (dom != NULL && dom->dest != NULL) {
		buf_add(out, dom->dest->route->key);
		return;
	}
	r = router_cached(d->router, name);
	if (r != NULL && r->result == ROUTE_OK)
		buf_add(out, r->key);
	route_unref(&r);
}
