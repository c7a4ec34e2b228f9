/*
 * Mail that heard 4yz: what that says of the host (refusals.c), and how what
 * was deferred comes back when the host is well again.
 *
 * A connection that is lost with each is the same outage in other words
 * (aside.c), and ends with the first answer.
 *
 * Each refused unit is deferred to its own retry.  When the host turns out to
 * refuse everybody it is down; a few of its units, the pilots, are tried again
 * and again at the pace of its probes, in turn with others.  With the first
 * success the domains that have deferred mail are forgiven: it is ready at
 * once, and its tries do not count.  Each is told to the spool as a fact, so
 * that a restart in between does the same:
 *
 *   put-off:example.com    the wall time since when, as text
 */
#include <stdlib.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "daemon/drain/deferral.h"
#include "daemon/drain/deferral_priv.h"
#include "daemon/drain/drain_priv.h"

enum {
	EXCUSE_MAX = 256,	/* domains in one go */
	EXCUSE_NEXT_MS = 100,	/* and the next go */
	EXCUSE_PAUSE_MS = 5000, /* between two that find the same units again:
				   the spool walks along all it has parked */
};

/* ---- Pilots ---- */

void deferral_drop_pilot(struct dest *dst, size_t i)
{
	MX_ASSERT(i < dst->pilot_count && dst->pilot_count <= PILOTS_MAX);
	dst->pilots[i] = dst->pilots[--dst->pilot_count];
}

/* False: there are enough. */
bool deferral_add_pilot(struct dest *dst, uint64_t id, struct domain *dom)
{
	for (size_t i = 0; i < dst->pilot_count; i++)
		if (dst->pilots[i].id == id && dst->pilots[i].domain == dom)
			return true;
	if (dst->pilot_count == PILOTS_MAX)
		return false;
	dst->pilots[dst->pilot_count++] = (struct pilot){ id, dom };
	return true;
}

static bool is_refused_everybody(const struct dest *dst)
{
	for (size_t i = 0; i < dst->target_count; i++)
		if (machine_wants_trial(&dst->machine, (int)i))
			return true;
	return false;
}

/* Two trials of three are of others than the pilots, if there are any: one
 * that no host will ever take must not speak for all. */
static bool is_pilots_turn(const struct dest *dst)
{
	return dst->turn % 3 == 0 || TAILQ_EMPTY(&dst->ring);
}

int64_t deferral_call_at(const struct dest *dst)
{
	int64_t at = machine_timer(&dst->machine);

	if (dst->pilot_count == 0 || dst->machine.state != DRAIN_DOWN ||
	    !is_refused_everybody(dst) || !is_pilots_turn(dst))
		return 0;
	/* what was called takes a moment to come */
	return at < dst->called_ms + SECONDS(1) ? dst->called_ms + SECONDS(1)
						: at;
}

/* ---- What was deferred ---- */

static struct span fact_key(struct buf *b, struct span domain)
{
	buf_adds(b, "put-off:");
	buf_add(b, domain);
	return buf_span(b);
}

void deferral_record(struct domain *dom)
{
	struct buf key = { 0 }, value = { 0 };

	if (dom->is_deferral_known)
		return;
	dom->is_deferral_known = true;
	buf_addf(&value, "%lld", (long long)dom->deferred_ms);
	spool_fact_put(dom->drain->spool, fact_key(&key, domain_name(dom)),
		       buf_span(&value));
	buf_fini(&key);
	buf_fini(&value);
}

static void forget(struct drain *d, struct span name)
{
	struct buf key = { 0 };

	spool_fact_put(d->spool, fact_key(&key, name), span_of("", 0));
	buf_fini(&key);
}

/* What was refused before this run of refusals is another story. */
void deferral_note(struct domain *dom, int64_t run_began_ms)
{
	if (dom->deferred_ms == 0)
		TAILQ_INSERT_TAIL(&dom->dest->deferred, dom, late);
	else if (dom->deferred_run_ms >= run_began_ms)
		return;
	dom->deferred_ms = clock_wall_ms();
	dom->deferred_run_ms = clock_mono_ms();
}

static void unlist(struct domain *dom)
{
	MX_ASSERT(dom->dest != NULL && dom->deferred_ms != 0);
	TAILQ_REMOVE(&dom->dest->deferred, dom, late);
	dom->deferred_ms = 0;
	dom->is_deferral_known = false;
}

static void excuse(struct domain *dom)
{
	struct drain *d = dom->drain;

	spool_forgive(d->spool, domain_name(dom),
		      dom->deferred_ms - DEFERRAL_SLACK_MS);
	if (dom->is_deferral_known)
		forget(d, domain_name(dom));
	unlist(dom);
}

/* Bounded: a destination may be a hundred thousand domains. */
static void excuse_some(struct dest *dst)
{
	int64_t now = clock_mono_ms();
	struct domain *dom;

	for (int n = 0; n < EXCUSE_MAX; n++) {
		dom = TAILQ_FIRST(&dst->deferred);
		if (dom == NULL)
			break;
		excuse(dom);
	}
	dst->is_owing = !TAILQ_EMPTY(&dst->deferred);
	dst->excuse_ms =
		now + (dst->is_owing ? EXCUSE_NEXT_MS : EXCUSE_PAUSE_MS);
}

static bool is_excusing(const struct dest *dst)
{
	return dst->is_owing && !dst->is_shaken &&
	       dst->machine.state == DRAIN_UP;
}

void deferral_look(struct dest *dst)
{
	if (is_excusing(dst) && clock_mono_ms() >= dst->excuse_ms)
		excuse_some(dst);
}

/* One that may have arrived is not sent again more often than it has to be. */
bool deferral_lost(struct attempt *a)
{
	struct dest *dst = a->domain->dest;

	MX_ASSERT(dst != NULL && dst->is_shaken);
	deferral_note(a->domain, dst->is_owing ? 0 : dst->shaken_ms);
	dst->is_owing = true;
	deferral_record(a->domain);
	return !a->job->in_doubt &&
	       deferral_add_pilot(dst, a->key.id, a->domain);
}

/* Also over a connection of its own, which the machine knows nothing of. */
void deferral_mended(struct dest *dst)
{
	if (!dst->is_owing || is_refused_everybody(dst))
		return;
	dst->pilot_count = 0;
	excuse_some(dst);
}

int64_t deferral_timer(const struct dest *dst)
{
	return is_excusing(dst) ? dst->excuse_ms : deferral_call_at(dst);
}

void deferral_leave(struct domain *dom)
{
	struct dest *dst = dom->dest;

	for (size_t i = dst->pilot_count; i-- > 0;)
		if (dst->pilots[i].domain == dom)
			deferral_drop_pilot(dst, i);
	if (dom->deferred_ms == 0)
		return;
	if (dom->drain->is_stopping) /* the next run does it */
		unlist(dom);
	else
		excuse(dom);
}

void deferral_recall(struct drain *d, struct span name)
{
	struct buf key = { 0 }, value = { 0 };

	if (spool_fact_get(d->spool, fact_key(&key, name), &value) == MX_OK) {
		spool_forgive(d->spool, name,
			      strtoll(buf_cstr(&value), NULL, 10) -
				      DEFERRAL_SLACK_MS);
		forget(d, name);
	}
	buf_fini(&key);
	buf_fini(&value);
}
