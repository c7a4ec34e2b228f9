/*
 * Which of a destination's targets is tried next, and how long each may take.
 */
#include <limits.h>

#include "common/base/clock.h"
#include "daemon/drain/machine_priv.h"

bool machine_may_try(const struct machine_target *t, int64_t now_ms)
{
	return !t->is_down || t->next_ms <= now_ms;
}

/* In order of trial; one that is up before one of its rank that is not. */
int machine_first_to_try(const struct machine *m, int64_t now_ms)
{
	int best = MACHINE_NONE;

	for (size_t i = 0; i < m->count; i++) {
		const struct machine_target *t = &m->targets[i];

		if (!machine_may_try(t, now_ms))
			continue;
		if (best != MACHINE_NONE && t->rank > m->targets[best].rank)
			break;
		if (best == MACHINE_NONE ||
		    (m->targets[best].is_down && !t->is_down))
			best = (int)i;
	}
	return best;
}

int machine_best_up(const struct machine *m)
{
	for (size_t i = 0; i < m->count; i++)
		if (m->targets[i].is_up)
			return (int)i;
	return MACHINE_NONE;
}

/* ---- Equals ----
 *
 * Hosts of one preference share the load (RFC 5321 section 5.1), and so do the
 * addresses of a host, as whoever publishes several expects.  Not its two
 * families: they are two ways to one server, and the second is for when the
 * first is closed.
 */

static bool are_one_host(const struct machine_target *a,
			 const struct machine_target *b)
{
	return a->host == b->host && a->rank == b->rank;
}

/* Of the host's families, is this the one that is used? */
static bool is_way_in(const struct machine *m, const struct machine_target *t)
{
	const struct machine_target *first = NULL;

	for (size_t i = 0; i < m->count; i++) {
		const struct machine_target *o = &m->targets[i];

		if (!are_one_host(o, t) || o->is_down)
			continue;
		if (first == NULL || (o->is_up && !first->is_up))
			first = o;
	}
	return first == NULL || first->family == t->family;
}

static unsigned host_links(const struct machine *m,
			   const struct machine_target *t)
{
	unsigned n = 0;

	for (size_t i = 0; i < m->count; i++)
		if (are_one_host(&m->targets[i], t))
			n += m->targets[i].links;
	return n;
}

/* Does a have less to do than b? */
static bool has_less(const struct machine *m, const struct machine_target *a,
		     const struct machine_target *b)
{
	unsigned of_a = host_links(m, a), of_b = host_links(m, b);

	return of_a != of_b ? of_a < of_b : a->links < b->links;
}

/* The equal with the least to do, and of those the one left alone for the
 * longest time. */
int machine_least_used(const struct machine *m, unsigned rank)
{
	const struct machine_target *best = NULL;

	for (size_t i = 0; i < m->count; i++) {
		const struct machine_target *t = &m->targets[i];

		if (t->rank != rank || t->is_down || !is_way_in(m, t))
			continue;
		if (best == NULL || has_less(m, t, best) ||
		    (!has_less(m, best, t) && t->started_ms < best->started_ms))
			best = t;
	}
	return best == NULL ? MACHINE_NONE : (int)(best - m->targets);
}

int machine_relief(const struct machine *m, int target)
{
	const struct machine_target *t = &m->targets[target];
	int other = machine_least_used(m, t->rank);

	if (other == MACHINE_NONE || !has_less(m, &m->targets[other], t))
		return MACHINE_NONE;
	return other;
}

/* Down, and better than what is in use, or as good. */
static bool is_missed(const struct machine *m, const struct machine_target *t,
		      unsigned rank)
{
	return t->is_down &&
	       (t->rank < rank || (t->rank == rank && is_way_in(m, t)));
}

/* When one of those may be asked. */
static int64_t earliest_missed(const struct machine *m, unsigned rank)
{
	int64_t at = 0;

	for (size_t i = 0; i < m->count; i++)
		if (is_missed(m, &m->targets[i], rank) &&
		    (at == 0 || m->targets[i].next_ms < at))
			at = m->targets[i].next_ms;
	return at;
}

/*
 * The jitter is 20 % either way around 5/6 of a twentieth, so that with it a
 * probe is still never later than a twentieth of the outage.
 */
int64_t machine_wait_ms(const struct machine_params *p, int64_t outage_ms,
			enum machine_fault fault, unsigned percent)
{
	int64_t wait = outage_ms / 24 * percent / 100;

	if (wait > p->probe_max_ms)
		wait = p->probe_max_ms;
	if (fault == FAULT_BUSY && wait < p->probe_busy_ms)
		return p->probe_busy_ms;
	if (wait < SECONDS(1))
		wait = SECONDS(1);
	return wait < p->probe_max_ms ? wait : p->probe_max_ms;
}

bool machine_wants_trial(const struct machine *m, int target)
{
	return m->targets[target].refusals.temper == HOST_REFUSES;
}

int machine_any(const struct machine *m, int64_t now_ms)
{
	int up = machine_best_up(m);

	return up != MACHINE_NONE ? machine_least_used(m, m->targets[up].rank)
				  : machine_first_to_try(m, now_ms);
}

bool machine_is_due(const struct machine *m, int64_t now_ms)
{
	return m->state != DRAIN_UP &&
	       machine_first_to_try(m, now_ms) != MACHINE_NONE;
}

bool machine_is_due_anew(const struct machine *m, int64_t now_ms)
{
	int target = machine_first_to_try(m, now_ms);

	return m->state != DRAIN_UP && target != MACHINE_NONE &&
	       !m->targets[target].is_down;
}

int machine_better(const struct machine *m, int64_t now_ms)
{
	int up = machine_best_up(m);

	if (m->state != DRAIN_UP || up == MACHINE_NONE || m->resume_ms != 0)
		return MACHINE_NONE;
	for (size_t i = 0; i < m->count; i++) {
		const struct machine_target *t = &m->targets[i];

		if (machine_may_try(t, now_ms) &&
		    (is_missed(m, t, m->targets[up].rank) ||
		     t->rank < m->targets[up].rank))
			return (int)i;
	}
	return MACHINE_NONE;
}

int64_t machine_timer(const struct machine *m)
{
	int up;

	if (m->resume_ms != 0)
		return m->resume_ms;
	switch (m->state) {
	case DRAIN_DOWN:
		return earliest_missed(m, UINT_MAX); /* any that is down */
	case DRAIN_UP:
		up = machine_best_up(m);
		return up == MACHINE_NONE
			       ? 0
			       : earliest_missed(m, m->targets[up].rank);
	case DRAIN_UNKNOWN:
	case DRAIN_PROBING:
		break;
	}
	return 0;
}

static bool has_another(const struct machine *m, int target)
{
	for (size_t i = 0; i < m->count; i++)
		if ((int)i != target && !m->targets[i].is_down)
			return true;
	return false;
}

/*
 * A host that drops packets answers nothing, and TCP's own retries grow
 * apart: 1 s, 3 s, 7 s, 15 s after the first.  For a host that is known to be
 * down it is better to give up early and ask again; and where another one may
 * do, mail need not wait out the whole time for the first.
 */
int64_t machine_connect_ms(const struct machine *m, int target)
{
	const struct machine_target *t = &m->targets[target];
	int64_t most = m->params.connect_timeout_ms;
	int64_t wait;

	if (t->is_down)
		wait = machine_wait_ms(&m->params, t->started_ms - t->since_ms,
				       FAULT_GONE, 100);
	else if (has_another(m, target))
		wait = SECONDS(5);
	else
		return most;
	if (wait < SECONDS(4))
		wait = SECONDS(4);
	return most > 0 && most < wait ? most : wait;
}

/*
 * RFC 5321 section 4.5.3.2.1 has five minutes for a greeting.  A host that
 * nothing is known of does not get them where another one may do: mail goes
 * there, and the slow one is asked beside it, with all the patience there is.
 */
int64_t machine_greeting_ms(const struct machine *m, int target)
{
	const struct machine_target *t = &m->targets[target];

	return t->is_up || t->is_down || !has_another(m, target) ? 0
								 : SECONDS(30);
}
