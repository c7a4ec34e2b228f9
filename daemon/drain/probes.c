#include "daemon/drain/probes.h"

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "daemon/drain/drain_priv.h"

enum { LATE_MS = 10000 };
static const double turn_s = 0.01;

static void refill(struct probes *p, int64_t now_ms)
{
	int64_t left = p->left + (now_ms - p->counted_ms) * PROBES_A_MS;

	if (now_ms <= p->counted_ms)
		return;
	p->left = left < PROBES_AT_ONCE ? (unsigned)left : PROBES_AT_ONCE;
	p->counted_ms = now_ms;
}

void probes_spend(struct dest *dst)
{
	dst->is_admitted = dst->is_called = false;
}

void probes_forget(struct dest *dst)
{
	struct probes *p = &dst->drain->probes;

	if (dst->probe_in == NULL)
		return;
	MX_ASSERT(p->count > 0);
	TAILQ_REMOVE(dst->probe_in, dst, probe);
	dst->probe_in = NULL;
	p->count--;
}

static void enter(struct dest *dst, enum probe_class class, int64_t now_ms)
{
	struct probes *p = &dst->drain->probes;

	if (dst->probe_in == NULL)
		dst->probe_due_ms = now_ms;
	else if (dst->probe_in <= &p->waiting[class])
		return;
	probes_forget(dst);
	dst->probe_in = &p->waiting[class];
	TAILQ_INSERT_TAIL(dst->probe_in, dst, probe);
	p->count++;
	if (!ev_is_active(&p->timer)) {
		ev_timer_set(&p->timer, turn_s, turn_s);
		ev_timer_start(dst->drain->loop, &p->timer);
	}
}

/* Is nobody of the class, or of one before it, waiting? */
static bool is_first(const struct probes *p, enum probe_class class)
{
	for (size_t i = 0; i <= class; i++)
		if (!TAILQ_EMPTY(&p->waiting[i]))
			return false;
	return true;
}

bool probes_admit(struct dest *dst, enum probe_class class, int64_t now_ms)
{
	struct probes *p = &dst->drain->probes;

	if (dst->is_admitted)
		return true;
	refill(p, now_ms);
	if (p->left == 0 || !is_first(p, class)) {
		enter(dst, class, now_ms);
		return false;
	}
	probes_forget(dst);
	p->left--;
	dst->is_admitted = true;
	return true;
}

/* Each class begins a turn now and then; the others follow in order. */
static struct dest *next(struct probes *p)
{
	static const enum probe_class begins[] = { PROBE_ASKED, PROBE_NEWS,
						   PROBE_ASKED, PROBE_ROUTINE };
	enum probe_class class = begins[p->turn++ % COUNT(begins)];
	struct dest *dst = TAILQ_FIRST(&p->waiting[class]);

	for (size_t i = 0; i < PROBE_CLASSES && dst == NULL; i++)
		dst = TAILQ_FIRST(&p->waiting[i]);
	return dst;
}

/* Said when it begins: then again an hour later. */
static void say(struct probes *p, int64_t late_ms, int64_t now_ms)
{
	if (late_ms < LATE_MS ||
	    (p->said_ms != 0 && now_ms - p->said_ms < HOURS(1)))
		return;
	p->said_ms = now_ms;
	log_warn(EV_PROBE, LOG_STR("result", "late"),
		 LOG_INT("late_s", late_ms / 1000),
		 LOG_INT("waiting", (int64_t)p->count),
		 LOG_STR("reason", "many hosts are down"));
}

void probes_serve(struct drain *d, int64_t now_ms)
{
	struct probes *p = &d->probes;
	struct dest *dst;

	refill(p, now_ms);
	for (unsigned n = p->left; n > 0 && p->left > 0 && p->count > 0; n--) {
		dst = next(p);
		p->left--;
		probes_forget(dst);
		dst->is_admitted = true;
		say(p, now_ms - dst->probe_due_ms, now_ms);
		d->turns.run(dst);
	}
	if (p->count == 0)
		ev_timer_stop(d->loop, &p->timer);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	probes_serve(w->data, clock_mono_ms());
}

void probes_start(struct drain *d)
{
	struct probes *p = &d->probes;

	for (size_t i = 0; i < PROBE_CLASSES; i++)
		TAILQ_INIT(&p->waiting[i]);
	p->left = PROBES_AT_ONCE;
	p->counted_ms = clock_mono_ms();
	ev_timer_init(&p->timer, on_timer, 0., 0.);
	p->timer.data = d;
}

void probes_stop(struct drain *d)
{
	MX_ASSERT(d->probes.count == 0);
	ev_timer_stop(d->loop, &d->probes.timer);
}
