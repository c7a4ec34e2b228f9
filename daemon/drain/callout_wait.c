/* Questions that wait, and answers on their way. */
#include <stdlib.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/drain/callout_priv.h"

/* ---- Answers: in the next turn of the loop ---- */

void callout_free(struct callout *c)
{
	LIST_REMOVE(c, all);
	c->drain->callouts.count--;
	ev_timer_stop(c->drain->loop, &c->deadline);
	buf_fini(&c->reply);
	free(c);
}

static void on_answers(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct drain *d = t->data;
	struct callout *c, *last = TAILQ_LAST(&d->callouts.answered,
					      callout_queue);
	bool is_last = last == NULL;

	(void)loop;
	(void)revents;
	while (!is_last && (c = TAILQ_FIRST(&d->callouts.answered)) != NULL) {
		is_last = c == last;
		TAILQ_REMOVE(&d->callouts.answered, c, link);
		c->cb(c->said, buf_span(&c->reply), c->arg);
		callout_free(c);
	}
}

void callout_leave_domain(struct callout *c)
{
	MX_ASSERT(c->domain->callouts > 0);
	c->domain->callouts--;
	c->domain->idle_ms = clock_mono_ms();
	c->domain = NULL;
}

void callout_answer(struct callout *c, enum known_said said, struct span reply)
{
	struct drain *d = c->drain;

	callout_leave_domain(c);
	c->state = ANSWERED;
	c->said = said;
	buf_reset(&c->reply);
	buf_add(&c->reply, reply);
	ev_timer_stop(d->loop, &c->deadline);
	TAILQ_INSERT_TAIL(&d->callouts.answered, c, link);
	if (!ev_is_active(&d->callouts.timer)) {
		ev_timer_set(&d->callouts.timer, 0., 0.);
		ev_timer_start(d->loop, &d->callouts.timer);
	}
}

static void answer_queue(struct callout_queue *q, enum known_said said,
			 struct span reply)
{
	struct callout *c;

	while ((c = TAILQ_FIRST(q)) != NULL) {
		TAILQ_REMOVE(q, c, link);
		callout_answer(c, said, reply);
	}
}

static void answer_domain(struct domain *dom, struct span reply)
{
	answer_queue(&dom->waiting, SAID_DOWN, reply);
	answer_queue(&dom->hails, SAID_DOWN, reply);
	callout_leave(dom);
}

void callout_answer_hails(struct dest *dst)
{
	struct domain *dom, *next;

	for (dom = TAILQ_FIRST(&dst->askers); dom != NULL; dom = next) {
		next = TAILQ_NEXT(dom, asker);
		answer_queue(&dom->hails, SAID_YES, SPAN_LIT(""));
		if (TAILQ_EMPTY(&dom->waiting))
			callout_leave(dom);
	}
}

void callout_answer_all(struct dest *dst, struct span reply)
{
	struct domain *dom;

	while ((dom = TAILQ_FIRST(&dst->askers)) != NULL)
		answer_domain(dom, reply);
}

void callout_held(struct dest *dst)
{
	callout_answer_all(dst, SPAN_LIT("held by the operator"));
}

/* ---- Where they wait: domains take turns ---- */

struct callout_queue *callout_queue_of(const struct callout *c)
{
	return c->mailbox_len > 0 ? &c->domain->waiting : &c->domain->hails;
}

const struct callout *callout_first(const struct domain *dom)
{
	const struct callout *a = TAILQ_FIRST(&dom->waiting);
	const struct callout *b = TAILQ_FIRST(&dom->hails);

	return a == NULL || (b != NULL && b->since_ms < a->since_ms) ? b : a;
}

void callout_enter(struct domain *dom)
{
	struct dest *dst = dom->dest;

	if (dom->in_askers || dst == NULL || callout_first(dom) == NULL)
		return;
	TAILQ_INSERT_TAIL(&dst->askers, dom, asker);
	dom->in_askers = true;
	dst->awaited_until_ms = clock_mono_ms() + CALLOUT_WAKE_MS;
	turns_touch(dst);
}

void callout_leave(struct domain *dom)
{
	if (!dom->in_askers)
		return;
	TAILQ_REMOVE(&dom->dest->askers, dom, asker);
	dom->in_askers = false;
}

void callout_no_route(struct domain *dom)
{
	answer_domain(dom, SPAN_LIT("no route"));
}

/* ---- Life ---- */

void callout_wait_start(struct drain *d)
{
	LIST_INIT(&d->callouts.all);
	TAILQ_INIT(&d->callouts.answered);
	ev_timer_init(&d->callouts.timer, on_answers, 0., 0.);
	d->callouts.timer.data = d;
}

void callout_stop(struct drain *d)
{
	struct callout *c;

	ev_timer_stop(d->loop, &d->callouts.timer);
	while ((c = LIST_FIRST(&d->callouts.all)) != NULL)
		callout_free(c);
}
