#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/drain/drain_priv.h"

enum { RUN_MS = 2 }; /* of a turn: then sessions have theirs */

/* The next ones; those that leave are stepped over. */
struct visit {
	TAILQ_ENTRY(visit) link;
	const struct visit_ops *ops;
	char name[SCOPE_DESTINATION_MAX + 1];
	struct domain *domain;
	struct dest *dest;
	bool again;
};

static bool has_more(const struct turns *t)
{
	return !TAILQ_EMPTY(&t->dirty) || !TAILQ_EMPTY(&t->visits);
}

static void go_on(struct drain *d)
{
	struct turns *t = &d->turns;

	if (ev_is_active(&t->timer) || !has_more(t))
		return;
	ev_timer_set(&t->timer, 0., 0.);
	ev_timer_start(d->loop, &t->timer);
}

/* ---- Destinations that have something to do ---- */

static void clean(struct dest *dst)
{
	if (!dst->is_dirty)
		return;
	MX_ASSERT(!TAILQ_EMPTY(&dst->drain->turns.dirty));
	dst->is_dirty = false;
	TAILQ_REMOVE(&dst->drain->turns.dirty, dst, dirty);
}

void turns_touch(struct dest *dst)
{
	if (dst->is_dirty)
		return;
	dst->is_dirty = true;
	TAILQ_INSERT_TAIL(&dst->drain->turns.dirty, dst, dirty);
	go_on(dst->drain);
}

/* One that is touched meanwhile stands behind the others. */
static void run_dirty(struct turns *t)
{
	struct dest *dst, *last = TAILQ_LAST(&t->dirty, dest_queue);
	int64_t until = clock_mono_ms() + RUN_MS;
	bool is_last = last == NULL;

	while (!is_last && (dst = TAILQ_FIRST(&t->dirty)) != NULL) {
		is_last = dst == last || clock_mono_ms() >= until;
		clean(dst);
		t->run(dst);
	}
}

/* ---- Visits ---- */

static bool visit_one(struct visit *v)
{
	struct domain *dom = v->domain;
	struct dest *dst = v->dest;

	if (dom != NULL) {
		v->domain = TAILQ_NEXT(dom, all);
		v->ops->domain(dom);
	} else if (dst != NULL) {
		v->dest = TAILQ_NEXT(dst, all);
		v->ops->dest(dst, span_str(v->name));
	}
	return v->domain != NULL || v->dest != NULL;
}

static void visit_begin(struct turns *t, struct visit *v)
{
	v->again = false;
	v->domain = v->ops->domain != NULL ? TAILQ_FIRST(&t->domains) : NULL;
	v->dest = v->ops->dest != NULL ? TAILQ_FIRST(&t->dests) : NULL;
	TAILQ_INSERT_TAIL(&t->visits, v, link);
}

static void visit_end(struct turns *t, struct visit *v)
{
	TAILQ_REMOVE(&t->visits, v, link);
	if (v->again)
		visit_begin(t, v);
	else
		free(v);
}

static void visit_some(struct turns *t)
{
	struct visit *v;

	for (int n = 0; n < VISITED_A_TURN; n++) {
		v = TAILQ_FIRST(&t->visits);
		if (v == NULL)
			return;
		if (!visit_one(v))
			visit_end(t, v);
	}
}

void turns_visit(struct drain *d, const struct visit_ops *ops, struct span name)
{
	struct turns *t = &d->turns;
	struct visit *v;

	MX_ASSERT(name.n <= SCOPE_DESTINATION_MAX);
	TAILQ_FOREACH (v, &t->visits, link)
		if (v->ops == ops && span_eq(span_str(v->name), name)) {
			v->again = true;
			return;
		}
	v = mx_alloc(sizeof(*v));
	v->ops = ops;
	memcpy(v->name, name.p, name.n);
	visit_begin(t, v);
	go_on(d);
}

/* ---- Who there is ---- */

void turns_enter_domain(struct domain *dom)
{
	TAILQ_INSERT_TAIL(&dom->drain->turns.domains, dom, all);
}

void turns_enter_dest(struct dest *dst)
{
	TAILQ_INSERT_TAIL(&dst->drain->turns.dests, dst, all);
}

void turns_leave_domain(struct domain *dom)
{
	struct turns *t = &dom->drain->turns;
	struct visit *v;

	TAILQ_FOREACH (v, &t->visits, link)
		if (v->domain == dom)
			v->domain = TAILQ_NEXT(dom, all);
	TAILQ_REMOVE(&t->domains, dom, all);
}

void turns_leave_dest(struct dest *dst)
{
	struct turns *t = &dst->drain->turns;
	struct visit *v;

	clean(dst);
	TAILQ_FOREACH (v, &t->visits, link)
		if (v->dest == dst)
			v->dest = TAILQ_NEXT(dst, all);
	TAILQ_REMOVE(&t->dests, dst, all);
}

static void on_turn(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct drain *d = w->data;

	(void)loop;
	(void)revents;
	run_dirty(&d->turns);
	visit_some(&d->turns);
	go_on(d);
}

void turns_start(struct drain *d, void (*run)(struct dest *dst))
{
	struct turns *t = &d->turns;

	t->run = run;
	TAILQ_INIT(&t->dirty);
	TAILQ_INIT(&t->visits);
	TAILQ_INIT(&t->domains);
	TAILQ_INIT(&t->dests);
	ev_timer_init(&t->timer, on_turn, 0., 0.);
	t->timer.data = d;
}

void turns_stop(struct drain *d)
{
	struct turns *t = &d->turns;
	struct visit *v;

	MX_ASSERT(TAILQ_EMPTY(&t->domains) && TAILQ_EMPTY(&t->dests));
	MX_ASSERT(TAILQ_EMPTY(&t->dirty));
	while ((v = TAILQ_FIRST(&t->visits)) != NULL) {
		v->again = false;
		visit_end(t, v);
	}
	ev_timer_stop(d->loop, &t->timer);
}
