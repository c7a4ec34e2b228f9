/* One connection of a destination: what delivery says, told to the machine. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/log.h"
#include "daemon/drain/internal.h"
#include "daemon/drain/turns.h"

enum {
	IDLE_MS = 5000,		/* kept that long without mail */
	FILL_MAX = 64,		/* units given in one go */
	TURN_JOBS = 32,		/* then an equal host may take over */
	SMALL_BYTES = 64 * 1024 /* latency of larger ones is bandwidth */
};

static struct link *link_of(void *arg)
{
	struct link *l = arg;

	MX_ASSERT(l->magic == LINK_MAGIC);
	return l;
}

/* After a loss one is sent ahead.  And for as long as that loss took the next
 * oldest may be of the same kind: the newest go first, and nothing queues
 * behind what may hang. */
static bool is_wary(const struct dest *dst)
{
	return dst->is_shaken || clock_mono_ms() < dst->wary_until_ms;
}

/* Every fifth connection serves the newest mail, if it is not the only one:
 * fresh mail does not wait behind a backlog of days. */
static bool takes_newest(const struct link *l)
{
	return is_wary(l->dest) || (l->is_newest_first && l->dest->live > 1);
}

static bool takes_more(const struct link *l)
{
	if (is_wary(l->dest) && delivery_jobs(l->delivery) > 0)
		return false;
	return delivery_room(l->delivery) > 0;
}

void link_fill(struct link *l)
{
	struct attempt *a;
	struct ev_loop *loop = l->dest->drain->loop;

	if (l->jobs_done >= l->turn_at && l->target != MACHINE_NONE &&
	    dest_seek_relief(l->dest, l->target))
		l->turn_at = l->jobs_done + TURN_JOBS;
	for (int n = 0; n < FILL_MAX && takes_more(l); n++) {
		a = dest_take(l->dest, takes_newest(l));
		if (a == NULL)
			break;
		delivery_give(l->delivery, a->job);
	}
	if (delivery_jobs(l->delivery) > 0) {
		ev_timer_stop(loop, &l->idle);
	} else if (!ev_is_active(&l->idle)) {
		ev_timer_set(&l->idle, IDLE_MS / 1000., 0.);
		ev_timer_start(loop, &l->idle);
	}
}

/* Scouts and singles are beside the connections that the machine decides on. */
static void count_in(struct link *l)
{
	struct dest *dst = l->dest;

	if (l->kind == LINK_SINGLE)
		dst->singles++;
	else if (l->kind == LINK_SCOUT)
		dst->scout = l;
	else
		dst->trying++;
}

static void uncount(struct link *l)
{
	struct dest *dst = l->dest;

	if (l->kind == LINK_SINGLE) {
		dst->singles--;
		if (dst->aside == l)
			dst->aside = NULL;
	} else if (dst->scout == l) {
		dst->scout = NULL;
	} else if (l->is_ready) {
		dst->live--;
	} else {
		dst->trying--;
	}
}

/* No more mail for it; it finishes what it has. */
void link_leave(struct link *l)
{
	struct dest *dst = l->dest;

	if (l->is_leaving)
		return;
	l->is_leaving = true;
	uncount(l);
	ev_timer_stop(dst->drain->loop, &l->idle);
	delivery_quit(l->delivery);
}

static void on_idle(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct link *l = link_of(w->data);

	(void)loop;
	(void)revents;
	link_leave(l);
}

/* ---- What delivery says ---- */

static void say_probe(const struct link *l, const char *result,
		      const char *stage, const char *reply)
{
	const struct tls_facts *tls = delivery_tls(l->delivery);

	log_info(EV_PROBE, LOG_STR("host", l->host), LOG_STR("result", result),
		 LOG_STR("stage", stage), LOG_STR("reply", reply),
		 LOG_STR("tls", tls != NULL ? tls->version : ""),
		 LOG_INT("ms", clock_mono_ms() - l->started_ms));
}

/* The same again is not said again, but each hour, and how often it was. */
static void say_failure(const struct link *l, const char *stage,
			const char *reply)
{
	int64_t now = clock_mono_ms();
	unsigned left_out = 0;
	bool is_news = l->target == MACHINE_NONE ||
		       target_is_news(&l->dest->targets[l->target], stage,
				      reply, now, &left_out);

	log_at(is_news ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, EV_PROBE,
	       LOG_STR("host", l->host), LOG_STR("result", "failed"),
	       LOG_STR("stage", stage), LOG_STR("reply", reply),
	       LOG_INT("repeated", left_out),
	       LOG_INT("ms", now - l->started_ms));
}

/* Mail goes to the better host from now on. */
static void retire_worse(struct dest *dst, int target)
{
	unsigned rank = dst->mtargets[target].rank;
	struct link *l, *next;

	for (l = LIST_FIRST(&dst->links); l != NULL; l = next) {
		next = LIST_NEXT(l, entry);
		if (l->target != MACHINE_NONE && l->is_ready &&
		    dst->mtargets[l->target].rank > rank)
			link_leave(l);
	}
}

static void note_ehlo(struct link *l, const struct smtp_ehlo *ehlo)
{
	struct target *t = &l->dest->targets[l->target];
	struct buf text = { 0 };

	smtp_ehlo_print(&text, ehlo);
	snprintf(t->ehlo, sizeof(t->ehlo), "%.*s", SPAN_ARG(buf_span(&text)));
	buf_fini(&text);
}

/* Mail can flow over it. */
static void be_ready(struct link *l)
{
	struct dest *dst = l->dest;
	bool is_scout = dst->scout == l;

	l->is_ready = true;
	l->is_trial = false;
	if (!is_scout)
		dst->trying--;
	dst->live++;
	machine_ready(&dst->machine, l->target, clock_mono_ms());
	if (is_scout) {
		dst->scout = NULL;
		retire_worse(dst, l->target);
		dest_relieve(dst, l);
	}
}

/* It was down, and what it said shows that it is up. */
static void come_up(struct link *l, const char *stage, struct span reply)
{
	be_ready(l);
	dest_note_text(l->dest, l->target, reply);
	dest_store_target(l->dest, l->target);
	target_forget_failure(&l->dest->targets[l->target]);
	say_probe(l, "up", stage, l->dest->last_reply);
}

/* ---- Trials: a host that refused everybody must take a message first ---- */

static void trial_failed(struct link *l)
{
	struct dest *dst = l->dest;
	unsigned here, live;

	link_leave(l);
	dest_count_links(dst, l->target, &here, &live);
	machine_failed(&dst->machine, l->target, FAULT_REFUSES, here, live,
		       clock_mono_ms());
	turns_touch(dst);
}

static void try_it(struct link *l)
{
	struct attempt *a;

	if (delivery_room(l->delivery) == 0)
		return; /* it is about to end */
	a = deferral_trial(l->dest);
	if (a != NULL)
		delivery_give(l->delivery, a->job);
	else
		trial_failed(l);
}

static void on_ready(struct delivery *dl, const struct smtp_ehlo *ehlo,
		     int64_t latency_ms, void *arg)
{
	struct link *l = link_of(arg);
	struct dest *dst = l->dest;
	struct buf reply = { 0 };

	(void)dl;
	if (l->is_leaving)
		return;
	if (l->kind == LINK_SINGLE) {
		alternate_give(l);
		return;
	}
	l->conn_ms = latency_ms;
	if (!dst->mtargets[l->target].is_up)
		note_ehlo(l, ehlo);
	if (machine_wants_trial(&dst->machine, l->target)) {
		l->is_trial = true;
		try_it(l);
		return;
	}
	buf_addf(&reply, "250 %s", ehlo->host);
	if (dst->mtargets[l->target].is_up)
		be_ready(l);
	else
		come_up(l, "ehlo", buf_span(&reply));
	buf_fini(&reply);
	link_fill(l);
	turns_touch(dst);
}

/* Was it answered for good?  A host that says "later" to everything is not
 * asked by more connections. */
static bool is_answer(const struct delivery_job *job)
{
	if (job->is_obstructed) /* nobody was asked */
		return false;
	for (size_t i = 0; i < job->count; i++)
		if (job->set[i].outcome == OUTCOME_DELIVERED ||
		    job->set[i].outcome == OUTCOME_PERMANENT)
			return true;
	return false;
}

static bool is_decided(const struct delivery_job *job)
{
	if (job->is_obstructed)
		return false;
	for (size_t i = 0; i < job->count; i++)
		if (job->set[i].outcome != OUTCOME_UNTRIED)
			return true;
	return false;
}

/*
 * The next connection need not find out again; but servers get mended.  One
 * that was well a moment ago has stumbled over something of ours, rather.
 */
static void learn_without(const struct link *l, const struct delivery *dl)
{
	unsigned without = delivery_without(dl);
	int64_t now = clock_mono_ms();
	struct target *t;

	if (l->target == MACHINE_NONE)
		return;
	t = &l->dest->targets[l->target];
	without &= ~t->without;
	if (without != 0) {
		bool was_well = now < t->proven_until_ms &&
				(without & DELIVERY_TRUST) == 0;

		t->without |= without;
		if ((without & DELIVERY_TRUST) == 0)
			t->untested |= without;
		t->without_until_ms = now + (was_well ? MINUTES(1) : HOURS(1));
	}
	if (delivery_is_proven(dl))
		t->proven_until_ms = now + HOURS(1);
}

/* Was it the way of speaking?  Not if it is no better without. */
static void test_without(const struct link *l, bool is_better)
{
	struct target *t;

	if (l->target == MACHINE_NONE)
		return;
	t = &l->dest->targets[l->target];
	t->untested &= t->without;
	if ((l->without & t->untested) == 0)
		return;
	if (!is_better)
		t->without &= ~(l->without & t->untested);
	t->untested &= ~l->without;
}

/* The reply that says most: the first of these outcomes. */
static struct span reply_for(const struct delivery_job *job, enum outcome o)
{
	for (size_t i = 0; i < job->count; i++)
		if (job->set[i].outcome == o)
			return job->set[i].reply;
	return span_of("", 0);
}

/* No more goes to this target; who is being served there, is. */
static void give_up_target(struct link *l, struct span reply)
{
	struct dest *dst = l->dest;
	int target = l->target;
	unsigned here, live;
	struct link *k, *next;

	dest_note_text(dst, target, reply);
	for (k = LIST_FIRST(&dst->links); k != NULL; k = next) {
		next = LIST_NEXT(k, entry);
		if (k->target == target && k->is_ready)
			link_leave(k);
	}
	dest_count_links(dst, target, &here, &live);
	machine_refused(&dst->machine, target, live, clock_mono_ms());
	dest_store_target(dst, target);
}

/* What the job's outcomes mean for the host; the job is still whole. */
static enum temper_news learn_temper(struct link *l, struct attempt *a)
{
	struct machine_target *t;
	enum temper_news news;

	if (l->kind == LINK_SINGLE || l->target == MACHINE_NONE)
		return TEMPER_SAME;
	t = &l->dest->mtargets[l->target];
	news = deferral_weigh(l, a);
	if (news == TEMPER_REFUSES && !l->is_trial)
		give_up_target(l, reply_for(a->job, OUTCOME_TRANSIENT));
	else if (news == TEMPER_TAKES && l->is_trial && !l->is_leaving)
		come_up(l, "dot", reply_for(a->job, OUTCOME_DELIVERED));
	else if (news == TEMPER_TAKES && t->is_down)
		t->next_ms = clock_mono_ms(); /* said on its way out */
	return news;
}

/* A refusal ends the trial, a message that is refused for good (or cannot go
 * there at all) says nothing. */
static void go_on_trial(struct link *l, bool is_refused)
{
	if (l->is_leaving)
		return;
	if (is_refused)
		trial_failed(l);
	else
		try_it(l);
}

static const char *stage_of(const struct delivery_job *job)
{
	static const char *const names[] = {
		[REFUSED_NOT] = "",	      [REFUSED_AT_MAIL] = "mail",
		[REFUSED_AT_RCPT] = "rcpt",   [REFUSED_AT_DATA] = "data",
		[REFUSED_AT_CONTENT] = "dot",
	};

	return names[job->refused_at];
}

static void judge_trial(struct link *l, const struct delivery_job *job,
			bool *is_refused)
{
	*is_refused = job->refused_at != REFUSED_NOT;
	if (!*is_refused || l->is_leaving)
		return;
	dest_note_text(l->dest, l->target, reply_for(job, OUTCOME_TRANSIENT));
	say_failure(l, stage_of(job), l->dest->last_reply);
}

static void take_latency(const struct link *l, const struct delivery_job *job)
{
	int64_t ms = job->ended_ms - job->started_ms;

	if (is_answer(job) && l->target != MACHINE_NONE &&
	    l->kind != LINK_SINGLE && job->unit->envelope.bytes <= SMALL_BYTES)
		machine_success(&l->dest->machine, l->target,
				ms / (int64_t)(delivery_jobs(l->delivery) + 1),
				clock_mono_ms());
}

static void hand_back(struct link *l, struct attempt *a)
{
	const struct tls_facts *tls = delivery_tls(l->delivery);

	memcpy(a->host, l->host, sizeof(a->host));
	a->offered = a->job->offered;
	a->conn_ms = l->conn_ms;
	a->tls = tls != NULL ? tls->version : "";
	if (l->kind == LINK_SINGLE) {
		if (!a->is_aside)
			alternate_over(a->job);
		link_leave(l);
	}
	if (!a->job->is_obstructed || !alternate_send(a, l))
		conclude(a);
}

/* It answers; the next connection need not wait for its time. */
static void mend(struct link *l)
{
	struct dest *dst = l->dest;

	if (!dst->is_shaken)
		return;
	dst->is_shaken = false;
	aside_mended(dst);
	deferral_mended(dst);
	if (l->target != MACHINE_NONE && dst->mtargets[l->target].is_down)
		dst->mtargets[l->target].next_ms = clock_mono_ms();
}

static void on_done(struct delivery *dl, struct delivery_job *job, void *arg)
{
	struct link *l = link_of(arg);
	struct attempt *a = job->arg;
	enum temper_news news;
	bool is_trial = l->is_trial, is_refused = false;
	bool was_shaken = l->dest->is_shaken;

	learn_without(l, dl);
	if (is_answer(job))
		test_without(l, true);
	if (is_decided(job))
		l->jobs_done++;
	if (is_decided(job) && (l->kind != LINK_SINGLE || a->is_aside))
		mend(l);
	take_latency(l, job);
	news = learn_temper(l, a);
	if (l->is_trial)
		judge_trial(l, job, &is_refused);
	hand_back(l, a);
	if (l->is_trial)
		go_on_trial(l, is_refused);
	else if (is_trial || was_shaken || news != TEMPER_SAME)
		turns_touch(l->dest);
}

static bool may_finish(struct delivery *dl, struct delivery_job *job, void *arg)
{
	(void)dl;
	return risk_take(job->arg, link_of(arg));
}

static void on_room(struct delivery *dl, void *arg)
{
	struct link *l = link_of(arg);

	(void)dl;
	if (l->is_leaving || !l->is_ready)
		return;
	link_fill(l);
	if (l->dest->live + l->dest->trying < l->dest->machine.limit)
		turns_touch(l->dest);
}

static enum machine_fault fault_of(const struct delivery_end *end)
{
	switch (end->why) {
	case DELIVERY_CLOSED:
	case DELIVERY_STARVED:
		return FAULT_NONE;
	case DELIVERY_BUSY:
	case DELIVERY_REFUSED:
	case DELIVERY_SELF:
		return FAULT_BUSY;
	case DELIVERY_LOST:
	case DELIVERY_TLS:
		break;
	}
	return FAULT_GONE;
}

/* It works no longer, or never did. */
static void tell_machine(struct link *l, const struct delivery_end *end)
{
	struct dest *dst = l->dest;
	enum machine_fault fault = fault_of(end);
	int64_t now = clock_mono_ms();
	unsigned here, live;

	if (end->why == DELIVERY_STARVED) {
		machine_starved(&dst->machine, now);
		return;
	}
	dest_count_links(dst, l->target, &here, &live);
	if (l->is_ready)
		machine_ended(&dst->machine, l->target, fault, l->jobs_done > 0,
			      here, live, now);
	else if (l->target != MACHINE_NONE)
		machine_failed(&dst->machine, l->target,
			       fault == FAULT_NONE ? FAULT_GONE : fault, here,
			       live, now);
}

/* Every destination may be at it: one line a second. */
static void say_starved(const struct link *l, const struct smtp_reply *reply)
{
	struct drain *d = l->dest->drain;
	int64_t now = clock_mono_ms();

	if (now < d->starved_said_ms + SECONDS(1))
		return;
	d->starved_said_ms = now;
	log_error(EV_PROBE, LOG_STR("host", l->host),
		  LOG_STR("result", "not tried"),
		  LOG_SPAN("error", buf_span(&reply->text)));
}

static void say_end(struct link *l, const struct delivery_end *end)
{
	struct dest *dst = l->dest;

	if (end->why == DELIVERY_STARVED) {
		say_starved(l, &end->reply);
	} else if (end->why != DELIVERY_CLOSED ||
		   !(l->is_ready || l->is_trial || l->kind == LINK_SINGLE)) {
		dest_note(dst, l->target, &end->reply);
		if (!l->is_leaving && l->is_ready)
			say_probe(l, "lost", end->stage, dst->last_reply);
		else if (!l->is_leaving)
			say_failure(l, end->stage, dst->last_reply);
	}
	if (end->why == DELIVERY_SELF)
		log_error(EV_ROUTE, LOG_STR("host", l->host),
			  LOG_STR("result", "it greets with our own name: "
					    "mail would loop and is kept"));
}

static void on_end(struct delivery *dl, const struct delivery_end *end,
		   void *arg)
{
	struct link *l = link_of(arg);
	struct dest *dst = l->dest;
	struct attempt *single = l->single;
	int target = l->target;
	bool was_up = target != MACHINE_NONE && dst->mtargets[target].is_up;
	bool was_down = target != MACHINE_NONE && dst->mtargets[target].is_down;
	bool was_leaving = l->is_leaving;

	if (end->why == DELIVERY_CLOSED && (l->is_ready || l->is_trial))
		learn_without(l, dl);
	else if (end->why == DELIVERY_LOST)
		test_without(l, false);
	say_end(l, end);
	if (end->why == DELIVERY_TLS && target != MACHINE_NONE &&
	    dst->targets[target].host->tls.is_sts)
		dest_doubt_policy(dst);
	if (!was_leaving) {
		uncount(l);
		l->is_leaving = true;
		if (l->kind != LINK_SINGLE)
			tell_machine(l, end);
	}
	l->delivery = NULL; /* delivery frees itself */
	link_free(l);
	if (single != NULL && single->is_aside)
		aside_failed(single);
	else if (single != NULL)
		alternate_failed(single, dst);
	if (target != MACHINE_NONE &&
	    (was_up != dst->mtargets[target].is_up ||
	     was_down != dst->mtargets[target].is_down))
		dest_store_target(dst, target);
	else if (target != MACHINE_NONE)
		dest_store_now_and_then(dst, target);
	turns_touch(dst);
}

const struct delivery_listener link_listener = {
	.on_done = on_done,
	.may_finish = may_finish,
};

static const struct delivery_events events = {
	.on_ready = on_ready,
	.on_room = on_room,
	.on_end = on_end,
};

/* ---- Life ---- */

static unsigned still_without(struct target *t)
{
	if (t->without != 0 && clock_mono_ms() >= t->without_until_ms)
		t->without = 0;
	return t->without;
}

/* No other mail waits behind an single: it has all the time there is. */
static int64_t connect_ms(const struct dest *dst, int target,
			  enum link_kind kind)
{
	return kind == LINK_SINGLE ? dst->machine.params.connect_timeout_ms
				   : machine_connect_ms(&dst->machine, target);
}

struct link *link_new(struct dest *dst, int target, enum link_kind kind)
{
	struct drain *d = dst->drain;
	struct target *t = &dst->targets[target];
	struct link *l = mx_alloc(sizeof(*l));
	struct delivery_options opt = {
		.loop = d->loop,
		.helo = d->config->hostname,
		.local_name = d->config->hostname,
		.host = t->host,
		.route = dst->route,
		.target = &t->addr,
		.tls = d->config->tls_client,
		.connect_timeout_ms = connect_ms(dst, target, kind),
		.reply_timeout_ms = d->config->drain.reply_timeout_ms,
		.greeting_timeout_ms =
			kind == LINK_SINGLE
				? 0
				: machine_greeting_ms(&dst->machine, target),
		.without = still_without(t),
		.is_proven = clock_mono_ms() < t->proven_until_ms,
	};

	slots_limit(dst, &opt);
	l->magic = LINK_MAGIC;
	l->dest = dst;
	slots_take(l);
	l->target = target;
	l->without = opt.without;
	l->kind = kind;
	l->turn_at = TURN_JOBS;
	l->config = config_ref(d->config);
	l->is_newest_first = dst->serial++ % 5 == 1;
	l->started_ms = clock_mono_ms();
	memcpy(l->host, t->name, sizeof(l->host));
	ev_timer_init(&l->idle, on_idle, 0., 0.);
	l->idle.data = l;
	LIST_INSERT_HEAD(&dst->links, l, entry);
	count_in(l);
	if (kind != LINK_SINGLE)
		machine_started(&dst->machine, target, l->started_ms);
	l->delivery = delivery_new(&opt, &events, l);
	return l;
}

void link_free(struct link *l)
{
	ev_timer_stop(l->dest->drain->loop, &l->idle);
	risk_forget(l);
	LIST_REMOVE(l, entry);
	delivery_free(&l->delivery);
	slots_give_back(l);
	config_unref(&l->config);
	l->magic = 0;
	free(l);
}
