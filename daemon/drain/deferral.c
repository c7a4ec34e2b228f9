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
#include "common/base/hash.h"
#include "common/base/log.h"
#include "daemon/drain/deferral.h"
#include "daemon/drain/deferral_priv.h"
#include "daemon/drain/drain_priv.h"

enum {
	EXCUSE_MAX = 256,	/* domains in one go */
	EXCUSE_NEXT_MS = 100,	/* and the next go */
	EXCUSE_PAUSE_MS = 5000, /* between two that find the same units again:
				   the spool walks along all it has parked */
	/* Two clocks, each cut to milliseconds, do not agree on when it was:
	 * a unit too many that is tried again does no harm. */
	SLACK_MS = 1000,
};

/* ---- Pilots ---- */

void deferral_drop_pilot(struct dest *dst, size_t i)
{
	MX_ASSERT(i < dst->pilot_count && dst->pilot_count <= PILOTS_MAX);
	dst->pilots[i] = dst->pilots[--dst->pilot_count];
}

/* False: there are enough. */
static bool pilot_add(struct dest *dst, uint64_t id, struct domain *dom)
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

static void record(struct domain *dom)
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
static void note_deferred(struct domain *dom, int64_t run_began_ms)
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

	spool_forgive(d->spool, domain_name(dom), dom->deferred_ms - SLACK_MS);
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
	note_deferred(a->domain, dst->is_owing ? 0 : dst->shaken_ms);
	dst->is_owing = true;
	record(a->domain);
	return !a->job->in_doubt && pilot_add(dst, a->key.id, a->domain);
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
			      strtoll(buf_cstr(&value), NULL, 10) - SLACK_MS);
		forget(d, name);
	}
	buf_fini(&key);
	buf_fini(&value);
}

/* ---- What the outcome of a job says of the host ---- */

/* Who it is matters to nobody else; never 0. */
static uint64_t hash_of(struct span path)
{
	return hash_keyed(path) | 1;
}

static void taken(struct dest *dst, struct refusals *r, struct attempt *a,
		  size_t i)
{
	const struct recipient *rcpt = &a->job->unit->rcpts[i];
	int64_t now = clock_mono_ms(), since;

	switch (refusals_end(r, hash_of(rcpt->path), rcpt->attempt_ms == 0, now,
			     &since)) {
	case EXCUSED_ALL:
		dst->is_owing = true;
		break;
	case EXCUSED_SAME:
		spool_forgive(dst->drain->spool, domain_name(a->domain),
			      clock_wall_ms() - (now - since) - SLACK_MS);
		break;
	case EXCUSED_NONE:
		break;
	}
}

/* True: with this one it refuses everybody. */
static bool refused(struct dest *dst, struct refusals *r, struct attempt *a,
		    size_t i, bool is_last)
{
	const struct refusal f = {
		.at = a->job->refused_at,
		.reply = a->job->set[i].reply,
		.who = hash_of(a->job->unit->rcpts[i].path),
		.unit = a->key.id,
		.is_last = is_last,
	};
	bool is_all = refusals_add(r, &f, clock_mono_ms());

	if (a->domain->dest != dst)
		return is_all;
	note_deferred(a->domain, r->began_ms);
	(void)pilot_add(dst, a->key.id, a->domain);
	if (r->temper == HOST_REFUSES)
		record(a->domain);
	return is_all;
}

static void record_all(struct dest *dst)
{
	struct domain *dom;
	int left = EXCUSE_MAX;

	TAILQ_FOREACH (dom, &dst->deferred, late) {
		if (left-- == 0)
			return;
		record(dom);
	}
}

static enum temper_news weigh_refused(struct dest *dst, struct refusals *r,
				      struct attempt *a, bool is_last)
{
	const struct delivery_job *job = a->job;
	bool is_all = false;
	enum host_temper was = r->temper;

	for (size_t i = 0; i < job->count; i++) {
		if (job->set[i].outcome != OUTCOME_TRANSIENT)
			continue;
		is_all |= refused(dst, r, a, i, is_last);
		if (job->refused_at == REFUSED_AT_MAIL)
			break; /* one reply, whatever the recipients */
	}
	if (r->temper == HOST_GREYLISTS && was != HOST_GREYLISTS)
		log_info(EV_STATE, LOG_SPAN("destination", dst->route->key),
			 LOG_STR("note", "it seems to greylist: each recipient "
					 "waits its own retry"));
	if (!is_all)
		return TEMPER_SAME;
	dst->is_owing = true;
	record_all(dst);
	return TEMPER_REFUSES;
}

/* A message that went through for some says that the host is well: whom it
 * refused beside them is his own matter. */
enum temper_news deferral_weigh(struct link *l, struct attempt *a, bool is_last)
{
	struct delivery_job *job = a->job;
	struct dest *dst = l->dest;
	struct refusals *r;

	if (l->target == MACHINE_NONE || job->is_obstructed)
		return TEMPER_SAME;
	r = &dst->mtargets[l->target].refusals;
	if (delivery_job_count(job, OUTCOME_DELIVERED) == 0)
		return job->refused_at != REFUSED_NOT
			       ? weigh_refused(dst, r, a, is_last)
			       : TEMPER_SAME;
	for (size_t i = 0; i < job->count; i++)
		if (job->set[i].outcome == OUTCOME_DELIVERED)
			taken(dst, r, a, i);
	dst->pilot_count = 0;
	deferral_look(dst);
	return TEMPER_TAKES;
}
