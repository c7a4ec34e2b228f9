/*
 * The state of a destination.
 *
 *  unknown --mail--> probing --ready--> up --last target fails--> down
 *                     ^    \--last target fails-------------------> |
 *                     +-----------due, trigger----------------------+
 *
 * A target that refuses everybody (refusals.c) is down as well; then ready
 * means that it took a message.
 *
 * Each target has its own clock, so that one that refuses at once and one
 * that is busy do not wait for each other; the destination is down when no
 * target may be tried now.  Example: a host went away at 0; it was tried at
 * 0 s, 1 s, 2 s .. 20 s (5 % of the outage is less than a second), then in
 * growing steps: 40 s into the outage after 2 s, 10 min into it after 30 s.
 */
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/random.h"
#include "daemon/drain/machine_priv.h"

enum machine_event {
	EVENT_MAIL,    /* something waits */
	EVENT_READY,   /* a target can be given mail */
	EVENT_NEXT,    /* a target failed, another may be tried now */
	EVENT_ALL,     /* a target failed, and no other may be tried now */
	EVENT_DUE,     /* a target may be tried again, and mail waits */
	EVENT_TRIGGER, /* somebody says it is back */
	EVENT_COUNT
};

enum { STATES = DRAIN_DOWN + 1, HINT_PAUSE_MS = 500 };

struct cell {
	enum drain_state next;
	void (*act)(struct machine *m, int64_t now_ms);
};

static void none(struct machine *m, int64_t now_ms)
{
	(void)m;
	(void)now_ms;
}

/* Slow start: a host that has just booted is not flooded. */
static void rise(struct machine *m, int64_t now_ms)
{
	m->limit = 1;
	m->streak = 0;
	m->latency_ms8 = 0;
	m->since_ms = now_ms;
}

/* Down since the last of its targets is: for a state read back from the spool
 * that may be long ago. */
static void fall(struct machine *m, int64_t now_ms)
{
	m->limit = 1;
	m->since_ms = 0;
	for (size_t i = 0; i < m->count; i++)
		if (m->targets[i].is_down &&
		    (m->since_ms == 0 || m->targets[i].since_ms > m->since_ms))
			m->since_ms = m->targets[i].since_ms;
	if (m->since_ms == 0)
		m->since_ms = now_ms;
}

/* clang-format off */
static const struct cell cells[STATES][EVENT_COUNT] = {
	[DRAIN_UNKNOWN] = {
		[EVENT_MAIL]    = { DRAIN_PROBING, none },
		[EVENT_READY]   = { DRAIN_UP,      rise },
		[EVENT_NEXT]    = { DRAIN_PROBING, none },
		[EVENT_ALL]     = { DRAIN_DOWN,    fall },
		[EVENT_DUE]     = { DRAIN_PROBING, none },
		[EVENT_TRIGGER] = { DRAIN_UNKNOWN, none },
	},
	[DRAIN_PROBING] = {
		[EVENT_MAIL]    = { DRAIN_PROBING, none },
		[EVENT_READY]   = { DRAIN_UP,      rise },
		[EVENT_NEXT]    = { DRAIN_PROBING, none },
		[EVENT_ALL]     = { DRAIN_DOWN,    fall },
		[EVENT_DUE]     = { DRAIN_PROBING, none },
		[EVENT_TRIGGER] = { DRAIN_PROBING, none },
	},
	[DRAIN_UP] = {
		[EVENT_MAIL]    = { DRAIN_UP,      none },
		[EVENT_READY]   = { DRAIN_UP,      none },
		[EVENT_NEXT]    = { DRAIN_PROBING, fall },
		[EVENT_ALL]     = { DRAIN_DOWN,    fall },
		[EVENT_DUE]     = { DRAIN_UP,      none },
		[EVENT_TRIGGER] = { DRAIN_UP,      none },
	},
	[DRAIN_DOWN] = {
		[EVENT_MAIL]    = { DRAIN_DOWN,    none },
		[EVENT_READY]   = { DRAIN_UP,      rise },
		[EVENT_NEXT]    = { DRAIN_PROBING, none },
		[EVENT_ALL]     = { DRAIN_DOWN,    none },
		[EVENT_DUE]     = { DRAIN_PROBING, none },
		[EVENT_TRIGGER] = { DRAIN_DOWN,    none },
	},
};
/* clang-format on */

static void raise_event(struct machine *m, enum machine_event ev,
			int64_t now_ms)
{
	const struct cell *c = &cells[m->state][ev];

	MX_ASSERT(c->act != NULL && m->limit > 0);
	m->state = c->next;
	c->act(m, now_ms);
}

static void mark_down(struct machine *m, struct machine_target *t,
		      enum machine_fault fault, int64_t now_ms)
{
	unsigned percent = 80 + (unsigned)(random_next(&m->seed) % 41);
	int64_t wait;

	if (!t->is_down) /* never seen up: since we first asked */
		t->since_ms = t->is_up ? now_ms : t->started_ms;
	t->heard_ms = now_ms;
	t->is_down = true;
	t->is_up = false;
	t->is_busy = fault != FAULT_GONE;
	wait = machine_wait_ms(&m->params, now_ms - t->since_ms, fault,
			       percent);
	if (fault == FAULT_BUSY) {
		t->next_ms = now_ms + wait;
		return;
	}
	/* The time it took is part of the wait; but leave a pause. */
	t->next_ms = t->started_ms + wait;
	if (t->next_ms < now_ms + SECONDS(1))
		t->next_ms = now_ms + (wait < SECONDS(1) ? wait : SECONDS(1));
}

/* ---- Slow start ---- */

static void halve(struct machine *m)
{
	m->limit = m->limit > 1 ? m->limit / 2 : 1;
	m->streak = 0;
}

static void grow(struct machine *m, int64_t now_ms)
{
	unsigned most = m->params.connections;

	if (now_ms < m->capped_until_ms && m->cap < most)
		most = m->cap;
	m->streak = 0;
	m->limit *= 2;
	if (m->limit > most)
		m->limit = most;
}

/* One connection more than it takes: stay below for a while, else each round
 * of successes would try again. */
static void cap(struct machine *m, unsigned live, int64_t now_ms)
{
	m->cap = live > 0 ? live : 1;
	m->capped_until_ms = now_ms + m->params.probe_busy_ms;
	if (m->limit > m->cap)
		m->limit = m->cap;
	m->streak = 0;
}

void machine_learn_good(struct machine *m, int target, int64_t smooth_ms)
{
	struct machine_target *t = &m->targets[target];

	if (t->good_ms == 0 || smooth_ms < t->good_ms)
		t->good_ms = smooth_ms > 0 ? smooth_ms : 1;
	else
		t->good_ms += (smooth_ms - t->good_ms) / 1024;
}

enum { SLOW_MS = 500, NORMAL_MS = 250 };

void machine_success(struct machine *m, int target, int64_t latency_ms,
		     int64_t now_ms)
{
	struct machine_target *t = &m->targets[target];
	int64_t smooth;

	t->heard_ms = now_ms;
	m->latency_ms8 += m->latency_ms8 == 0 ? latency_ms * 8
					      : latency_ms - m->latency_ms8 / 8;
	smooth = m->latency_ms8 / 8;
	machine_learn_good(m, target, smooth);
	m->streak++;
	if (smooth > 4 * t->good_ms + SLOW_MS) {
		if (m->streak < 2 * m->limit ||
		    now_ms - m->slowed_ms < SECONDS(1))
			return;
		m->slowed_ms = now_ms;
		halve(m);
	} else if (smooth <= 2 * t->good_ms + NORMAL_MS &&
		   m->streak >= m->limit) {
		grow(m, now_ms);
	}
}

/* ---- What happened ---- */

void machine_init(struct machine *m, const struct machine_params *params,
		  uint64_t seed)
{
	*m = (struct machine){ .params = *params, .limit = 1, .seed = seed };
}

void machine_set_targets(struct machine *m, struct machine_target *targets,
			 size_t count)
{
	m->targets = targets;
	m->count = count;
	if (m->state == DRAIN_UP && machine_best_up(m) == MACHINE_NONE)
		m->state = DRAIN_UNKNOWN;
}

static bool forget(struct machine_target *t, int64_t before_ms)
{
	if (t->links > 0 || t->heard_ms > before_ms ||
	    !(t->is_up || t->is_down))
		return false;
	t->is_up = t->is_down = t->is_busy = false;
	t->since_ms = t->next_ms = 0;
	return true;
}

void machine_forget(struct machine *m, int64_t age_ms, int64_t now_ms)
{
	bool any = false, in_use = false;

	for (size_t i = 0; i < m->count; i++) {
		any |= forget(&m->targets[i], now_ms - age_ms);
		in_use |= m->targets[i].links > 0;
	}
	if (in_use || !any || machine_best_up(m) != MACHINE_NONE)
		return;
	m->state = DRAIN_UNKNOWN;
	m->since_ms = 0;
	m->limit = 1;
	m->streak = 0;
}

void machine_started(struct machine *m, int target, int64_t now_ms)
{
	MX_ASSERT((size_t)target < m->count);
	m->targets[target].started_ms = now_ms;
}

void machine_ready(struct machine *m, int target, int64_t now_ms)
{
	struct machine_target *t = &m->targets[target];

	MX_ASSERT((size_t)target < m->count);
	if (!t->is_up)
		t->since_ms = now_ms;
	t->heard_ms = now_ms;
	t->is_up = true;
	t->is_down = t->is_busy = false;
	t->next_ms = 0;
	raise_event(m, EVENT_READY, now_ms);
}

void machine_greeted(struct machine *m, int target, int64_t now_ms)
{
	MX_ASSERT((size_t)target < m->count);
	if (m->targets[target].is_up)
		m->targets[target].heard_ms = now_ms;
}

bool machine_has_heard(const struct machine *m, int64_t since_ms)
{
	for (size_t i = 0; i < m->count; i++)
		if (m->targets[i].is_up && m->targets[i].heard_ms >= since_ms)
			return true;
	return false;
}

void machine_failed(struct machine *m, int target, enum machine_fault fault,
		    unsigned live_here, unsigned live, int64_t now_ms)
{
	MX_ASSERT((size_t)target < m->count);
	/* It works for others: one connection too many, not an outage. */
	if (live_here > 0) {
		cap(m, live, now_ms);
		return;
	}
	mark_down(m, &m->targets[target], fault, now_ms);
	if (live > 0)
		return;
	if (m->state == DRAIN_UP && machine_best_up(m) != MACHINE_NONE) {
		m->limit = 1; /* another serves, but slowly at first */
		m->streak = 0;
		return;
	}
	raise_event(m,
		    machine_first_to_try(m, now_ms) == MACHINE_NONE
			    ? EVENT_ALL
			    : EVENT_NEXT,
		    now_ms);
}

/* Down since it first refused, not since the third time or so. */
void machine_refused(struct machine *m, int target, unsigned live,
		     int64_t now_ms)
{
	struct machine_target *t = &m->targets[target];

	t->is_down = true;
	t->since_ms = t->refusals.since_ms;
	machine_failed(m, target, FAULT_REFUSES, 0, live, now_ms);
}

void machine_starved(struct machine *m, int64_t now_ms)
{
	m->resume_ms = now_ms + SECONDS(1);
}

/*
 * A server may limit what one connection carries, by 421 or by closing: as
 * long as each gets something done, the next may follow at once, but alone.
 */
void machine_ended(struct machine *m, int target, enum machine_fault fault,
		   bool has_progressed, unsigned live_here, unsigned live,
		   int64_t now_ms)
{
	if (fault == FAULT_NONE)
		return;
	if (!has_progressed || target == MACHINE_NONE) {
		if (target != MACHINE_NONE)
			machine_failed(m, target, fault, live_here, live,
				       now_ms);
		return;
	}
	halve(m);
	if (live == 0)
		m->limit = 1;
}

void machine_trigger(struct machine *m, int64_t now_ms)
{
	for (size_t i = 0; i < m->count; i++)
		m->targets[i].next_ms = now_ms;
	raise_event(m, EVENT_TRIGGER, now_ms);
}

/*
 * A peer that connects often must not make us connect often.  A hint that
 * comes too early is not lost, it only waits.  That a busy host lives is no
 * news.
 */
bool machine_heard(struct machine *m, int target, int64_t now_ms)
{
	struct machine_target *t = &m->targets[target];
	int64_t at = t->started_ms + HINT_PAUSE_MS;

	if (at < now_ms)
		at = now_ms;
	if (!t->is_down || t->is_busy || t->next_ms <= at)
		return false;
	t->next_ms = at;
	raise_event(m, EVENT_TRIGGER, now_ms);
	return true;
}

/* ---- What to do ---- */

/* Where this connection goes while the destination is up. */
static int next_up(const struct machine *m, unsigned live, unsigned trying)
{
	int up = machine_best_up(m);

	if (live + trying >= m->limit || up == MACHINE_NONE)
		return MACHINE_NONE;
	return machine_least_used(m, m->targets[up].rank);
}

int machine_next(struct machine *m, bool has_mail, unsigned live,
		 unsigned trying, int64_t now_ms)
{
	int target;

	if (now_ms < m->resume_ms)
		return MACHINE_NONE;
	m->resume_ms = 0;
	if (!has_mail)
		return MACHINE_NONE;
	if (m->state == DRAIN_UP)
		return next_up(m, live, trying);
	if (trying > 0) /* one probe at a time */
		return MACHINE_NONE;
	target = machine_first_to_try(m, now_ms);
	raise_event(m, EVENT_MAIL, now_ms);
	if (target != MACHINE_NONE)
		raise_event(m, EVENT_DUE, now_ms);
	else if (m->state == DRAIN_PROBING)
		raise_event(m, EVENT_ALL, now_ms);
	return target;
}
