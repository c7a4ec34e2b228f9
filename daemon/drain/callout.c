/* Questions to primaries: the connections, and what is said over them. */
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "daemon/drain/answers.h"
#include "daemon/drain/callout_priv.h"

enum { TRIES_MAX = 2, IDLE_MS = 5000 };

static struct domain *next_asker(const struct dest *dst)
{
	struct domain *dom;

	TAILQ_FOREACH (dom, &dst->askers, asker)
		if (!TAILQ_EMPTY(&dom->waiting))
			return dom;
	return NULL;
}

/* Domains take turns. */
static struct callout *take(struct dest *dst)
{
	struct domain *dom = next_asker(dst);
	struct callout *c;

	if (dom == NULL || hold_of(dst) != NULL ||
	    !drain_is_at_work(dst->drain))
		return NULL;
	c = TAILQ_FIRST(&dom->waiting);
	TAILQ_REMOVE(&dom->waiting, c, link);
	callout_leave(dom);
	callout_enter(dom);
	return c;
}

/* ---- Asking ---- */

static struct unit *unit_for(const struct callout *c)
{
	const struct config *config = c->drain->config;
	struct unit *u = mx_alloc(sizeof(*u));
	struct span to = span_of(c->mailbox, c->mailbox_len);
	struct buf from = { 0 };

	if (c->is_from_us && config->postmaster.n > 0)
		buf_add(&from, config->postmaster);
	else if (c->is_from_us)
		buf_addf(&from, "postmaster@%.*s", SPAN_ARG(config->hostname));
	u->domain = arena_span(&u->arena, domain_name(c->domain));
	u->envelope.from = arena_span(&u->arena, buf_span(&from));
	u->rcpts = arena_alloc_array(&u->arena, 1, sizeof(*u->rcpts));
	u->rcpt_count = 1;
	u->rcpts[0].path = arena_span(&u->arena, to);
	u->rcpts[0].domain = u->domain;
	for (size_t i = 0; i < to.n; i++)
		u->envelope.smtputf8 |= (unsigned char)to.p[i] > 127;
	buf_fini(&from);
	return u;
}

static void give(struct link *l, struct callout *c)
{
	static const struct delivery_source none = { 0 };
	struct unit *u;

	c->is_from_us |= clock_mono_ms() < l->dest->null_refused_until_ms;
	u = unit_for(c);
	c->state = OUT;
	c->tries++;
	c->carrier = l;
	c->job = delivery_job_new(&u, none, l->dest->drain->callouts.listener,
				  c);
	delivery_give(l->delivery, c->job);
}

void callout_fill(struct link *l)
{
	struct ev_loop *loop = l->dest->drain->loop;
	struct callout *c;

	MX_ASSERT(l->kind == LINK_CALLOUT);
	if (l->is_leaving)
		return;
	if (delivery_jobs(l->delivery) == 0 && delivery_room(l->delivery) > 0 &&
	    (c = take(l->dest)) != NULL)
		give(l, c);
	if (delivery_jobs(l->delivery) > 0) {
		ev_timer_stop(loop, &l->idle);
	} else if (!ev_is_active(&l->idle)) {
		ev_timer_set(&l->idle, IDLE_MS / 1000., 0.);
		ev_timer_start(loop, &l->idle);
	}
}

/* ---- The answer ---- */

static void say(const struct callout *c, const struct link *l,
		enum known_said said, struct span reply)
{
	static const char *const names[] = {
		[SAID_YES] = "yes",
		[SAID_NO] = "no",
		[SAID_EARLY] = "no, early",
		[SAID_NOTHING] = "nothing",
		[SAID_DOWN] = "down",
	};

	log_debug(EV_CALLOUT,
		  LOG_PATH("to", span_of(c->mailbox, c->mailbox_len)),
		  LOG_STR("result", names[said]), LOG_STR("host", l->host),
		  LOG_INT("ms", clock_mono_ms() - c->since_ms),
		  LOG_SPAN("reply", reply));
}

static enum known_said said_by(const struct callout *c,
			       const struct delivery_job *job)
{
	const struct settlement *s = &job->set[0];

	if (job->is_obstructed || job->is_mail_refused)
		return SAID_NOTHING;
	if (s->outcome == OUTCOME_DELIVERED)
		return SAID_YES;
	if (s->outcome != OUTCOME_PERMANENT || !job->is_rcpt_refused[0])
		return SAID_NOTHING;
	if (known_meaning(s->reply) != SAID_NO)
		return SAID_NOTHING;
	return flow_knows_its_own(c->domain) ? SAID_NO : SAID_EARLY;
}

static bool is_once_more(struct callout *c, const struct delivery_job *job)
{
	if (!delivery_job_is_decided(job)) /* the connection was lost */
		return c->tries < TRIES_MAX;
	if (c->is_from_us || !job->is_mail_refused ||
	    job->set[0].outcome != OUTCOME_PERMANENT)
		return false;
	c->is_from_us = true;
	return true;
}

static void ask_again(struct callout *c)
{
	struct domain *dom = c->domain;

	c->state = WAITS;
	TAILQ_INSERT_HEAD(&dom->waiting, c, link);
	callout_enter(dom);
}

static void on_done(struct delivery *dl, struct delivery_job *job, void *arg)
{
	struct link *l = arg;
	struct callout *c = job->arg;
	enum known_said said = said_by(c, job);

	(void)dl;
	MX_ASSERT(l->magic == LINK_MAGIC && c->job == job && c->carrier == l);
	c->job = NULL;
	c->carrier = NULL;
	l->jobs_done++;
	if (job->is_mail_refused && c->is_from_us == false &&
	    job->set[0].outcome == OUTCOME_PERMANENT)
		l->dest->null_refused_until_ms = clock_mono_ms() + HOURS(1);
	if (is_once_more(c, job)) {
		ask_again(c);
	} else {
		say(c, l, said, job->set[0].reply);
		callout_answer(c, said, job->set[0].reply);
	}
	delivery_job_free(&job);
}

static const struct delivery_listener listener = { .on_done = on_done };

/* ---- Connections ---- */

void callout_ready(struct link *l)
{
	l->is_asking = true;
	if (l->target != MACHINE_NONE)
		machine_greeted(&l->dest->machine, l->target, clock_mono_ms());
	turns_touch(l->dest);
	callout_fill(l);
}

/* One that works becomes one of ours: mail makes itself another. */
static void adopt(struct link *l)
{
	link_uncount(l);
	l->kind = LINK_CALLOUT;
	l->is_ready = false;
	l->dest->callout_links++;
	callout_ready(l);
}

static bool is_idle(const struct link *l)
{
	return l->is_ready && !l->is_leaving && l->kind != LINK_SINGLE &&
	       delivery_jobs(l->delivery) == 0 &&
	       delivery_room(l->delivery) > 0;
}

static struct link *idle_link(struct dest *dst)
{
	struct link *l;

	if (!TAILQ_EMPTY(&dst->ring))
		return NULL;
	LIST_FOREACH (l, &dst->links, entry)
		if (is_idle(l))
			return l;
	return NULL;
}

static void find_link(struct dest *dst)
{
	int64_t now = clock_mono_ms();
	struct link *l;
	int target;

	if (dst->callout_links >= CALLOUT_LINKS)
		return;
	l = idle_link(dst);
	if (l != NULL) {
		adopt(l);
		return;
	}
	if (dst->live + dst->callout_links == 0 ||
	    now < dst->callout_pause_ms || !slots_have_room(dst))
		return;
	target = machine_any(&dst->machine, now);
	if (target != MACHINE_NONE && dst->mtargets[target].is_up)
		link_new(dst, target, LINK_CALLOUT);
}

void callout_ended(struct link *l, const struct delivery_end *end)
{
	struct dest *dst = l->dest;
	bool is_refusal = end->why == DELIVERY_BUSY ||
			  end->why == DELIVERY_REFUSED;

	if (end->why != DELIVERY_CLOSED && l->jobs_done == 0)
		dst->callout_pause_ms =
			clock_mono_ms() +
			(is_refusal ? dst->machine.params.probe_busy_ms
				    : CALLOUT_PAUSE_MS);
	log_debug(EV_CALLOUT, LOG_STR("host", l->host),
		  LOG_STR("stage", end->stage),
		  LOG_SPAN("reply", buf_span(&end->reply.text)));
}

/* ---- What a destination has to do ---- */

static int64_t patience_ends_ms(const struct dest *dst)
{
	const struct domain *dom = TAILQ_FIRST(&dst->askers);
	const struct callout *c = dom != NULL ? callout_first(dom) : NULL;

	return c != NULL ? c->since_ms + CALLOUT_PATIENCE_MS : 0;
}

/* Nobody is on the way to find out, or it takes too long. */
static bool is_out_of_reach(const struct dest *dst)
{
	int64_t now = clock_mono_ms();

	if (!dest_is_down(dst) || dst->live + dst->callout_links > 0)
		return false;
	return (dst->trying == 0 && !machine_is_due(&dst->machine, now)) ||
	       now >= patience_ends_ms(dst);
}

void callout_run(struct dest *dst)
{
	struct link *l, *next;

	if (TAILQ_EMPTY(&dst->askers))
		return;
	if (dest_answers(dst) == ANSWERS_YES)
		callout_answer_hails(dst);
	if (is_out_of_reach(dst)) {
		callout_answer_all(dst, span_str(dst->last_reply));
		return;
	}
	for (l = LIST_FIRST(&dst->links); l != NULL; l = next) {
		next = LIST_NEXT(l, entry);
		if (l->kind == LINK_CALLOUT && l->is_asking)
			callout_fill(l);
	}
	if (!TAILQ_EMPTY(&dst->askers) && drain_is_at_work(dst->drain))
		find_link(dst);
}

bool callout_is_awaited(const struct dest *dst)
{
	return dst->machine.state != DRAIN_UP &&
	       clock_mono_ms() < dst->awaited_until_ms;
}

bool callout_wants(const struct dest *dst)
{
	if (dst->live + dst->trying + dst->callout_links > 0 ||
	    clock_mono_ms() < dst->callout_pause_ms)
		return false;
	return !TAILQ_EMPTY(&dst->askers) || callout_is_awaited(dst);
}

int64_t callout_timer(const struct dest *dst)
{
	if (TAILQ_EMPTY(&dst->askers))
		return 0;
	if (dest_is_down(dst))
		return patience_ends_ms(dst);
	return dst->callout_pause_ms > clock_mono_ms() ? dst->callout_pause_ms
						       : 0;
}

/* ---- In and out ---- */

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

void callout_start(struct drain *d)
{
	d->callouts.listener = &listener;
	callout_wait_start(d);
}
