/* What the outcome of a job says of the host: refusals.c decides. */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "daemon/drain/deferral.h"
#include "daemon/drain/deferral_priv.h"
#include "daemon/drain/drain_priv.h"

enum { RECORDED_AT_ONCE = 256 }; /* domains */

/* FNV-1a: who it is matters to nobody else; never 0. */
static uint64_t hash_of(struct span path)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < path.n; i++)
		h = (h ^ (unsigned char)path.p[i]) * UINT64_C(0x100000001b3);
	return h | 1;
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
			      clock_wall_ms() - (now - since) -
				      DEFERRAL_SLACK_MS);
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
	deferral_note(a->domain, r->began_ms);
	(void)deferral_add_pilot(dst, a->key.id, a->domain);
	if (r->temper == HOST_REFUSES)
		deferral_record(a->domain);
	return is_all;
}

static size_t count(const struct delivery_job *job, enum outcome o)
{
	size_t n = 0;

	for (size_t i = 0; i < job->count; i++)
		n += job->set[i].outcome == o;
	return n;
}

static void record_all(struct dest *dst)
{
	struct domain *dom;
	int left = RECORDED_AT_ONCE;

	TAILQ_FOREACH (dom, &dst->deferred, late) {
		if (left-- == 0)
			return;
		deferral_record(dom);
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
	if (count(job, OUTCOME_DELIVERED) == 0)
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
