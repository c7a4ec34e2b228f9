/*
 * Suspects set aside: the usual connections pass them over, and each has a
 * connection of its own, one at a time for a destination.  What is decided
 * here is carried out; the decisions are in suspect.c.
 *
 * Where nothing was answered between two losses it may be the primary: that is
 * an outage, as far as anybody can tell.  Then they are due together with what
 * hears 4yz from everybody (deferral.c), and a few are the probe meanwhile.
 *
 * They are known in memory only, a thousand at most: what is forgotten is an
 * ordinary unit again.
 */
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/drain/aside.h"
#include "daemon/drain/aside_priv.h"
#include "daemon/drain/deferral.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/slots.h"
#include "daemon/drain/suspect.h"

enum { OUTCASTS_MAX = 1024 };

static struct outcast *aside_find(struct drain *d,
				  const struct attempt_key *key)
{
	struct outcast *s;

	HASH_FIND_BYHASHVALUE(hh, d->outcasts, key, sizeof(*key),
			      attempt_hash(key), s);
	return s;
}

void aside_drop(struct drain *d, struct outcast *s)
{
	HASH_DEL(d->outcasts, s);
	free(s);
}

bool aside_has(struct drain *d, uint64_t id, const struct domain *dom)
{
	const struct attempt_key k = { id, dom };
	const struct outcast *s;

	if (d->outcasts == NULL)
		return false;
	s = aside_find(d, &k);
	return s != NULL && !s->is_usual;
}

/* In flight it has had its turn already. */
bool aside_is_of(const struct dest *dst, const struct outcast *s)
{
	return s->domain->dest == dst && s->domain->flow.stop == NULL &&
	       !s->is_usual &&
	       !attempt_has(dst->drain, s->key.id, s->domain);
}

static void forget_some(struct drain *d, const struct domain *dom)
{
	struct outcast *s, *tmp;

	HASH_ITER (hh, d->outcasts, s, tmp)
		if (dom == NULL || s->key.domain == dom)
			aside_drop(d, s);
}

void aside_forget(struct drain *d)
{
	forget_some(d, NULL);
}

void aside_forget_domain(struct domain *dom)
{
	forget_some(dom->drain, dom);
}

/* They are ordinary units again, and passed over no longer. */
static void make_room(struct drain *d)
{
	struct domain *dom, *tmp;

	forget_some(d, NULL);
	HASH_ITER (hh, d->domains, dom, tmp)
		if (dom->is_passing_over) {
			dom->is_passing_over = false;
			domain_rewind(dom);
		}
}

/* ---- What the end of a job says ---- */

static bool is_accident(const struct delivery_job *job)
{
	return job->was_head || job->in_doubt;
}

static struct outcast *need(struct attempt *a)
{
	struct drain *d = a->drain;
	struct outcast *s = aside_find(d, &a->key);

	if (s != NULL)
		return s;
	if (HASH_COUNT(d->outcasts) >= OUTCASTS_MAX)
		make_room(d);
	MX_ASSERT(HASH_COUNT(d->outcasts) < OUTCASTS_MAX);
	s = mx_alloc(sizeof(*s));
	s->key = a->key;
	s->domain = a->domain;
	HASH_ADD_BYHASHVALUE(hh, d->outcasts, key, sizeof(s->key),
			     attempt_hash(&a->key), s);
	return s;
}

/* At the pace of a host that answers, but does not want us. */
static void pace(struct attempt *a, struct outcast *s, int64_t now)
{
	int64_t busy_ms = a->drain->config->drain.probe_busy_ms;

	a->is_paced = true;
	a->is_trial = a->is_aside; /* it is in the log as a probe */
	if (s->suspect.due_ms < now + busy_ms)
		s->suspect.due_ms = now + busy_ms;
}

/* Each recipient's own retry counts, and wait_ms at least. */
static void defer(struct attempt *a, int64_t wait_ms)
{
	struct delivery_job *job = a->job;

	a->wait_ms = wait_ms;
	for (size_t i = 0; i < job->count; i++)
		if (job->set[i].outcome == OUTCOME_UNTRIED &&
		    job->set[i].reply.n > 0)
			job->set[i].outcome = OUTCOME_TRANSIENT;
}

static void shake(struct dest *dst, int64_t cost, int64_t now)
{
	if (!dst->is_shaken)
		dst->shaken_ms = now;
	dst->is_shaken = true;
	dst->wary_until_ms = now + cost;
}

void aside_mended(struct dest *dst)
{
	struct outcast *s, *tmp;

	HASH_ITER (hh, dst->drain->outcasts, s, tmp)
		if (s->is_excusable && s->domain->dest == dst) {
			s->is_excusable = false;
			s->suspect.due_ms = 0;
		}
}

void aside_judge(struct attempt *a)
{
	struct drain *d = a->drain;
	struct dest *dst = a->domain->dest;
	struct delivery_job *job = a->job;
	int64_t now = clock_mono_ms();
	int64_t cost = job->ended_ms - job->started_ms;
	struct outcast *s;

	if (!is_accident(job)) {
		s = aside_find(d, &a->key);
		if (s != NULL && delivery_job_is_decided(job))
			aside_drop(d, s); /* it had an answer */
		else if (s != NULL)
			s->is_usual = false;
		return;
	}
	if (dst != NULL && slots_is_strangers(dst)) {
		defer(a, 0); /* as many as they like would be outcasts */
		return;
	}
	s = need(a);
	s->is_usual = false;
	s->is_excusable = dst != NULL && dst->is_shaken;
	a->domain->is_passing_over = true;
	if (dst != NULL && !a->is_aside)
		shake(dst, cost, now);
	if (!suspect_lost(&s->suspect, cost, now))
		return;
	if (s->is_excusable && deferral_lost(a))
		pace(a, s, now);
	defer(a, s->suspect.due_ms - now);
}

/* Its connection could not be made: that is nobody's fault. */
void aside_failed(struct attempt *a)
{
	struct outcast *s = aside_find(a->drain, &a->key);

	if (s != NULL)
		s->suspect.due_ms =
			clock_mono_ms() + a->drain->config->drain.probe_busy_ms;
}

void aside_hurry(struct dest *dst)
{
	struct outcast *s, *tmp;

	HASH_ITER (hh, dst->drain->outcasts, s, tmp)
		if (s->domain->dest == dst)
			s->suspect.due_ms = 0;
}

int64_t aside_timer(const struct dest *dst)
{
	int64_t at = 0, now = clock_mono_ms();
	const struct outcast *s, *tmp;

	if (dst->aside != NULL)
		return 0;
	HASH_ITER (hh, dst->drain->outcasts, s, tmp)
		if (aside_is_of(dst, s) && s->suspect.due_ms > now &&
		    (at == 0 || s->suspect.due_ms < at))
			at = s->suspect.due_ms;
	return at;
}
