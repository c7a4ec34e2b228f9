#include "daemon/drain/outages.h"


#include "daemon/drain/drain_priv.h"

enum { COUNTED_MAX = 1000 /* domains that are looked up when it is up */ };

/* Of strangers there is none: nobody watches over them here. */
static struct history *history_of(const struct dest *dst)
{
	return dst->listed > 0 ? dst->drain->history : NULL;
}

static int64_t to_wall(int64_t mono_ms)
{
	return clock_wall_ms() - (clock_mono_ms() - mono_ms);
}

static int64_t heard_ms(const struct dest *dst)
{
	int64_t last_ms = dst->machine.since_ms;

	for (size_t i = 0; i < dst->target_count; i++)
		if (dst->mtargets[i].heard_ms > last_ms)
			last_ms = dst->mtargets[i].heard_ms;
	return last_ms;
}

static void name_domains(const struct dest *dst, struct buf *out)
{
	const struct domain *dom;
	size_t left = OUTAGE_DOMAINS_MAX;

	LIST_FOREACH (dom, &dst->domains, member) {
		if (dom->is_stranger)
			continue;
		if (left-- == 0)
			return;
		if (out->n > 0)
			buf_addc(out, ' ');
		buf_add(out, domain_name(dom));
	}
}

static void say_down(struct dest *dst, struct history *h)
{
	struct buf names = { 0 };

	name_domains(dst, &names);
	history_down(h,
		     &(struct history_down){
			     .destination = dst->route->key,
			     .reply = span_str(dst->last_reply),
			     .domains = buf_span(&names),
			     .domain_count = dst->listed,
			     .since_ms = to_wall(dst->machine.since_ms),
			     .seen_ms = to_wall(heard_ms(dst)),
		     },
		     clock_wall_ms());
	buf_fini(&names);
}

/* What waits, held mail aside.  Of very many domains the last are left out:
 * their mail counts when it leaves. */
static uint64_t count_waiting(const struct dest *dst)
{
	const struct domain *dom;
	struct spool_domain row;
	unsigned left = COUNTED_MAX;
	uint64_t n = 0;

	LIST_FOREACH (dom, &dst->domains, member) {
		if (left-- == 0)
			break;
		if (!dom->is_stranger &&
		    spool_domain_get(dst->drain->spool, domain_name(dom),
				     &row) == MX_OK)
			n += row.ready + row.deferred;
	}
	return n;
}

void outages_note(struct dest *dst)
{
	struct history *h = history_of(dst);

	if (h == NULL)
		return;
	if (dst->logged == DRAIN_DOWN)
		say_down(dst, h);
	else
		history_up(h, dst->route->key, count_waiting(dst),
			   clock_wall_ms());
}

void outages_still(struct dest *dst)
{
	struct history *h = history_of(dst);

	if (h != NULL && dst->logged == DRAIN_DOWN &&
	    dst->machine.state != DRAIN_UNKNOWN)
		say_down(dst, h);
}

static bool is_refused(enum outcome o)
{
	return o == OUTCOME_PERMANENT || o == OUTCOME_HELD ||
	       o == OUTCOME_REFUSED || o == OUTCOME_SHELVED;
}

static bool has_left(enum outcome o)
{
	return o == OUTCOME_DELIVERED || o == OUTCOME_TAKEN || is_refused(o);
}

void outages_settled(const struct attempt *a)
{
	const struct dest *dst = a->domain->dest;
	struct history *h = dst != NULL ? history_of(dst) : NULL;
	const struct delivery_job *job = a->job;
	struct history_unit u;
	bool waited = false;

	if (h == NULL)
		return;
	u = (struct history_unit){
		.destination = dst->route->key,
		.arrived_ms = job->unit->envelope.arrived_ms,
	};
	for (size_t i = 0; i < job->count; i++) {
		const struct recipient *r = &job->unit->rcpts[i];
		enum outcome o = job->set[i].outcome;

		if (r->state != RECIPIENT_PENDING)
			continue; /* its wait was over before */
		waited = true;
		if (r->attempt_ms > u.tried_ms)
			u.tried_ms = r->attempt_ms;
		u.has_left |= has_left(o);
		u.refused += is_refused(o) && a->cause == REPORT_REFUSED;
	}
	if (waited) /* else it was counted when it was refused */
		history_settled(h, &u, clock_wall_ms());
}

static void note_wait(struct tally *t, const struct unit *u, size_t i,
		      int64_t now_ms)
{
	struct tally_slowest s = {
		.wait_s = (now_ms - u->envelope.arrived_ms) / 1000,
		.id = u->envelope.id,
	};

	span_copy(u->rcpts[i].path, s.to, sizeof(s.to));
	tally_delivered(t, &s);
}

void outages_left(const struct attempt *a, size_t i, const char *how)
{
	const struct unit *u = a->job->unit;
	const struct settlement *s = &a->job->set[i];

	if (a->drain == NULL || a->drain->traces == NULL)
		return;
	traces_add(a->drain->traces,
		   &(struct trace){
			   .left_ms = a->concluded_ms,
			   .arrived_ms = u->envelope.arrived_ms,
			   .id = u->envelope.id,
			   .how = span_str(how),
			   .from = u->envelope.from,
			   .to = u->rcpts[i].path,
			   .host = s->host.n > 0 ? s->host : span_str(a->host),
			   .reply = s->reply,
		   });
	if (a->drain->tally != NULL && s->outcome != OUTCOME_PERMANENT &&
	    !u->envelope.is_dsn)
		note_wait(a->drain->tally, u, i, a->concluded_ms);
}
