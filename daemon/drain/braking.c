#include "daemon/drain/braking.h"

#include "common/base/alloc.h"
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

void braking_sweep(struct drain *d, struct flow *f)
{
	const struct brake_params p = params_of(d);
	int64_t now = clock_mono_ms();

	if (now - f->refused_ms > p.window_ms)
		f->refused_ms = 0;
	if (f->watch != NULL && brake_is_idle(&f->watch->brake, &p, now))
		flow_drop_watch(d, f);
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

static void close_flow(struct drain *d, struct flow *f, struct stop *s)
{
	flow_drop_watch(d, f);
	f->refused_ms = 0;
	f->is_canary = false;
	f->stop = s;
}

/* Whom it has refused in the window it has refused as it was broken. */
static void doubt(const struct dest *dst, struct span domain)
{
	const struct drain *d = dst->drain;

	if (d->known != NULL)
		known_doubt(d->known, domain, dst->route->key,
			    clock_wall_ms() - d->config->drain.brake_window_ms);
}

static void pull_domain(struct domain *dom)
{
	struct drain *d = dom->drain;
	struct braked why = dom->flow.watch->seen;

	why.since_ms = clock_wall_ms();
	close_flow(d, &dom->flow, stops_add_domain(d, domain_name(dom), &why));
	domain_leave_ring(dom);
	flow_unrefuse(d, domain_name(dom));
	if (dom->dest != NULL)
		doubt(dom->dest, domain_name(dom));
	say_pulled("domain", domain_name(dom), &why, domain_name(dom));
}

static void pull_dest(struct dest *dst)
{
	struct drain *d = dst->drain;
	struct braked why = dst->flow.watch->seen;
	struct domain *dom, *some = LIST_FIRST(&dst->domains);

	why.since_ms = clock_wall_ms();
	close_flow(d, &dst->flow, stops_add_route(d, dst->route->key, &why));
	LIST_FOREACH (dom, &dst->domains, member) {
		if (dom->flow.refused_ms == 0)
			continue;
		some = dom;
		flow_drop_watch(d, &dom->flow);
		dom->flow.refused_ms = 0;
		flow_unrefuse(d, domain_name(dom));
	}
	doubt(dst, span_of("", 0));
	say_pulled("destination", dst->route->key, &why, domain_name(some));
}

/* ---- Watching ---- */

/* Under a "*." line strangers choose what domains there are. */
static bool is_strangers(const struct drain *d, struct span name)
{
	const struct config_domain *row =
		domains_find(d->config->domains, name);

	return row == NULL || span_starts(row->name, SPAN_LIT("*."));
}

/* name: of a domain; empty: a destination's.  NULL: there are too many. */
static struct watch *watch_need(struct drain *d, struct flow *f,
				struct span name)
{
	bool is_theirs = name.n > 0 && is_strangers(d, name);
	struct watch *w = f->watch;
	int64_t now = clock_mono_ms();

	f->refused_ms = now;
	if (w == NULL && is_theirs && d->watches >= BRAKING_STRANGERS)
		return NULL;
	if (w == NULL) {
		w = f->watch = mx_alloc(sizeof(*w));
		f->is_strangers = is_theirs;
		d->watches += is_theirs;
	}
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

/* What that refusal was the answer to. */
static enum refused_at refused_at(const struct delivery_job *job, size_t i)
{
	if (job->is_mail_refused)
		return REFUSED_AT_MAIL;
	return job->is_rcpt_refused[i] ? REFUSED_AT_RCPT : REFUSED_AT_CONTENT;
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
		word = brake_word(refused_at(job, i), s->reply,
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
	struct span name = c.is_shared ? SPAN_LIT("") : domain_name(a->domain);
	const struct brake_params p = params_of(d);
	bool is_refused = delivery_job_count(a->job, OUTCOME_PERMANENT) > 0;

	if (is_refused)
		watch_need(d, f, name);
	if (f->watch != NULL)
		note(f->watch, a);
	return is_refused && f->watch != NULL &&
	       brake_is_due(&f->watch->brake, &p, c, clock_mono_ms());
}

/* The domain first: if it is broken alone the others need not know. */
static void look(struct dest *dst, struct attempt *a)
{
	struct domain *dom = a->domain;
	bool is_canary = dst->flow.is_canary;
	int64_t took_ms = a->job->ended_ms - a->job->started_ms;
	struct brake_case alone = { .is_canary = is_canary ||
						 dom->flow.is_canary,
				    .took_ms = took_ms };
	struct brake_case all = { .is_shared = true,
				  .is_canary = is_canary,
				  .took_ms = took_ms };
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

/* ---- Trying ---- */

static bool is_time(const struct flow *f, int64_t now_ms)
{
	return f->stop != NULL && !f->is_trial && now_ms >= f->stop->next_ms;
}

static void begin_trial(struct flow *f)
{
	f->is_trial = f->is_canary = true;
	f->tries = 0;
}

void braking_try_domain(struct domain *dom, int64_t now_ms)
{
	if (!is_time(&dom->flow, now_ms) || dom->dest == NULL)
		return;
	begin_trial(&dom->flow);
	if (dom->has_mail)
		domain_enter_ring(dom);
	turns_touch(dom->dest);
}

void braking_try_dest(struct dest *dst, int64_t now_ms)
{
	if (!is_time(&dst->flow, now_ms))
		return;
	begin_trial(&dst->flow);
	dest_trigger(dst, "try");
}

/* It was the one that was tried. */
static void end_trial(struct drain *d, struct flow *f, const char *what,
		      struct span name, bool is_taken)
{
	f->is_trial = f->is_canary = false;
	if (!is_taken) {
		stops_put_off(f->stop, STOP_TRY_MS);
		return;
	}
	stops_drop(d, f->stop);
	f->stop = NULL;
	log_info(EV_BRAKE, LOG_SPAN(what, name), LOG_STR("state", "released"),
		 LOG_STR("why", "a message was taken"));
}

/* Does a stand for this one, which is stopped? */
static bool is_tried(const struct flow *f, const struct attempt *a)
{
	return f->is_trial && f->ahead == a;
}

/* It comes back; was_dest, was_dom: as is_tried said before it did. */
static void judge_trial(struct dest *dst, struct attempt *a, bool was_dest,
			bool was_dom)
{
	bool is_taken = delivery_job_count(a->job, OUTCOME_DELIVERED) > 0;
	struct domain *dom = a->domain;

	if (was_dest)
		end_trial(dst->drain, &dst->flow, "destination",
			  dst->route->key, is_taken);
	if (was_dom)
		end_trial(dst->drain, &dom->flow, "domain", domain_name(dom),
			  is_taken);
	if (was_dom && dom->flow.stop != NULL)
		domain_leave_ring(dom);
	else if (was_dom && dom->has_mail)
		domain_enter_ring(dom);
	if (was_dest && dst->flow.stop != NULL)
		leave_links(dst);
	if (was_dest || was_dom)
		turns_touch(dst);
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
	bool was_dest = is_tried(&l->dest->flow, a);
	bool was_dom = is_tried(&dom->flow, a);

	if (is_watched && flow_stopped_by(dom) == NULL &&
	    delivery_job_is_decided(a->job))
		look(l->dest, a);
	canary_back(l->dest, a);
	judge_trial(l->dest, a, was_dest, was_dom);
	if (is_watched && flow_stopped_by(dom) != NULL)
		undo(a->job);
}
