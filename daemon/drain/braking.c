#include "daemon/drain/braking.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/log.h"
#include "common/smtp/address.h"
#include "config/allow/domains.h"
#include "daemon/drain/brake.h"
#include "daemon/drain/canary.h"
#include "daemon/drain/drain_priv.h"

/* What a domain or destination refused of late. */
struct watch {
	struct brake brake;
	struct braked seen;
	int64_t refused_ms; /* monotonic: the last time */
};

static struct brake_params params_of(const struct drain *d)
{
	return (struct brake_params){
		.window_ms = d->config->drain.brake_window_ms,
		.share = d->config->drain.brake_share,
		.least = d->config->drain.brake_least,
	};
}

static void drop_watch(struct flow *f)
{
	free(f->watch);
	f->watch = NULL;
}

void braking_sweep(struct drain *d, struct flow *f)
{
	const struct brake_params p = params_of(d);

	if (f->watch == NULL ||
	    !brake_is_idle(&f->watch->brake, &p, clock_mono_ms()))
		return;
	drop_watch(f);
}

static bool is_shared(const struct dest *dst)
{
	const struct domain *first = LIST_FIRST(&dst->domains);

	return first != NULL && LIST_NEXT(first, member) != NULL;
}

/* ---- Pulling it ---- */

/* What a connection has not begun with comes back. */
static void leave_links(struct dest *dst)
{
	struct link *l, *next;

	for (l = LIST_FIRST(&dst->links); l != NULL; l = next) {
		next = LIST_NEXT(l, entry);
		link_leave(l);
	}
}

static void say_pulled(const char *what, struct span name,
		       const struct braked *why, struct span release)
{
	struct buf remedy = { 0 };

	buf_adds(&remedy, "mend the primary, then mx20ctl release --domain ");
	buf_add(&remedy, release);
	log_warn(EV_BRAKE, LOG_SPAN(what, name), LOG_STR("state", "pulled"),
		 LOG_INT("refused", braked_refusals(why)),
		 LOG_SPAN("reply", braked_most(why)),
		 LOG_SPAN("remedy", buf_span(&remedy)));
	buf_fini(&remedy);
}

static void close_flow(struct flow *f, struct stop *s)
{
	drop_watch(f);
	f->is_canary = false;
	f->stop = s;
}

static void pull_domain(struct domain *dom)
{
	struct drain *d = dom->drain;
	struct braked why = dom->flow.watch->seen;

	why.since_ms = clock_wall_ms();
	close_flow(&dom->flow, stops_add_domain(d, domain_name(dom), &why));
	domain_leave_ring(dom);
	flow_unrefuse(d, domain_name(dom));
	say_pulled("domain", domain_name(dom), &why, domain_name(dom));
}

static void pull_dest(struct dest *dst)
{
	struct drain *d = dst->drain;
	struct braked why = dst->flow.watch->seen;
	struct domain *dom, *some = LIST_FIRST(&dst->domains);

	why.since_ms = clock_wall_ms();
	close_flow(&dst->flow, stops_add_route(d, dst->route->key, &why));
	LIST_FOREACH (dom, &dst->domains, member) {
		if (dom->flow.watch == NULL)
			continue;
		some = dom;
		drop_watch(&dom->flow);
		flow_unrefuse(d, domain_name(dom));
	}
	say_pulled("destination", dst->route->key, &why, domain_name(some));
}

/* ---- Watching ---- */

static struct watch *watch_need(struct drain *d, struct flow *f)
{
	struct watch *w = f->watch;
	int64_t now = clock_mono_ms();

	if (w == NULL)
		w = f->watch = mx_alloc(sizeof(*w));
	if (now - w->refused_ms > d->config->drain.brake_window_ms)
		w->seen = (struct braked){ 0 };
	w->refused_ms = now;
	return w;
}

static uint64_t hash_of(struct span name)
{
	return hash_keyed(name) | 1;
}

/* Is he on our list?  Where everybody is, nobody is known. */
static bool is_known(const struct domain *dom, struct span path)
{
	const struct domains *list = dom->drain->config->domains;
	const struct config_domain *row = domains_find(list, domain_name(dom));

	return row != NULL && !row->any_recipient &&
	       domains_has_recipient(list, row, domain_name(dom),
				     smtp_local_of(path));
}

/* The heaviest word that names no mailbox. */
static unsigned note_mailboxes(struct watch *w, const struct attempt *a,
			       uint32_t group, int64_t now)
{
	const struct delivery_job *job = a->job;
	unsigned heaviest = 0;

	for (size_t i = 0; i < job->count; i++) {
		const struct settlement *s = &job->set[i];
		struct span path = job->unit->rcpts[i].path;
		uint64_t who = hash_of(path);
		struct brake_word word;

		if (s->outcome == OUTCOME_DELIVERED)
			brake_mailbox(&w->brake, who, group, 0, now);
		if (s->outcome != OUTCOME_PERMANENT)
			continue;
		braked_add(&w->seen, s->reply);
		word = brake_word(job->failed_at, s->reply,
				  is_known(a->domain, path));
		if (!word.is_message)
			brake_mailbox(&w->brake, who, group, word.weight, now);
		else if (word.weight > heaviest)
			heaviest = word.weight;
	}
	return heaviest;
}

static void note(struct watch *w, const struct attempt *a)
{
	uint32_t group = (uint32_t)hash_of(domain_name(a->domain));
	int64_t now = clock_mono_ms();
	unsigned weight = note_mailboxes(w, a, group, now);

	if (delivery_job_count(a->job, OUTCOME_DELIVERED) > 0)
		brake_took(&w->brake, a->key.id, group, now);
	else
		brake_refused(&w->brake, a->key.id, group, weight, now);
}

/* Nobody needs to know whom it takes while it refuses nobody. */
static bool watch(struct drain *d, struct flow *f, const struct attempt *a,
		  struct brake_case c)
{
	const struct brake_params p = params_of(d);
	bool is_refused = delivery_job_count(a->job, OUTCOME_PERMANENT) > 0;

	if (is_refused)
		watch_need(d, f);
	if (f->watch != NULL)
		note(f->watch, a);
	return is_refused &&
	       brake_is_due(&f->watch->brake, &p, c, clock_mono_ms());
}

/* The domain first: if it is broken alone the others need not know. */
static void look(struct dest *dst, struct attempt *a)
{
	struct domain *dom = a->domain;
	bool is_canary = dst->flow.is_canary;
	struct brake_case alone = { false, is_canary || dom->flow.is_canary };
	struct brake_case all = { true, is_canary };
	bool has_others = is_shared(dst), is_due;

	is_due = has_others && watch(dst->drain, &dst->flow, a, all);
	if (watch(dst->drain, &dom->flow, a, alone)) {
		uint32_t group = (uint32_t)hash_of(domain_name(dom));

		pull_domain(dom);
		if (dst->flow.watch != NULL)
			brake_forget(&dst->flow.watch->brake, group);
	} else if (is_due) {
		pull_dest(dst);
	} else {
		return;
	}
	leave_links(dst);
}

static void undo(struct delivery_job *job)
{
	for (size_t i = 0; i < job->count; i++)
		if (job->set[i].outcome == OUTCOME_PERMANENT) {
			job->set[i].outcome = OUTCOME_UNTRIED;
			job->set[i].reply = span_of("", 0);
		}
}

/* Our own reports say nothing of the primary: they go where senders are. */
void braking_weigh(struct link *l, struct attempt *a)
{
	struct domain *dom = a->domain;
	bool is_watched = flow_is_watched(dom->drain) && !a->job->is_obstructed &&
			  !dom->is_stranger && dom->dest == l->dest &&
			  !a->job->unit->envelope.is_dsn;

	if (is_watched && flow_stopped_by(dom) == NULL &&
	    delivery_job_is_decided(a->job))
		look(l->dest, a);
	canary_back(l->dest, a);
	if (is_watched && flow_stopped_by(dom) != NULL)
		undo(a->job);
}
