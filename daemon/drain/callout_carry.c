/* Questions to primaries: how one is asked, and what is answered. */
#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "daemon/drain/callout_priv.h"

enum { TRIES_MAX = 2 };

/* ---- Asking ---- */

static struct unit *unit_for(const struct callout *c)
{
	const struct config *config = c->drain->config;
	struct unit *u = mx_alloc(sizeof(*u));
	struct span to = span_of(c->mailbox, c->mailbox_len);
	struct buf from = { 0 };

	if (c->is_from_us && config->postmaster.n > 0)
		buf_add(&from, config->postmaster);
	else if (c->is_from_us)
		buf_addf(&from, "postmaster@%.*s", SPAN_ARG(config->hostname));
	u->domain = arena_span(&u->arena, domain_name(c->domain));
	u->envelope.from = arena_span(&u->arena, buf_span(&from));
	u->rcpts = arena_alloc_array(&u->arena, 1, sizeof(*u->rcpts));
	u->rcpt_count = 1;
	u->rcpts[0].path = arena_span(&u->arena, to);
	u->rcpts[0].domain = u->domain;
	for (size_t i = 0; i < to.n; i++)
		u->envelope.smtputf8 |= (unsigned char)to.p[i] > 127;
	buf_fini(&from);
	return u;
}

void callout_give(struct link *l, struct callout *c)
{
	static const struct delivery_source none = { 0 };
	struct unit *u;

	c->is_from_us |= clock_mono_ms() < l->dest->null_refused_until_ms;
	u = unit_for(c);
	c->state = OUT;
	c->tries++;
	c->carrier = l;
	c->job = delivery_job_new(&u, none, l->dest->drain->callouts.listener,
				  c);
	delivery_give(l->delivery, c->job);
}

/* ---- The answer ---- */

static void say(const struct callout *c, const struct link *l,
		enum known_said said, struct span reply)
{
	static const char *const names[] = {
		[SAID_YES] = "yes",
		[SAID_NO] = "no",
		[SAID_EARLY] = "no, early",
		[SAID_NOTHING] = "nothing",
		[SAID_DOWN] = "down",
	};

	log_debug(EV_CALLOUT,
		  LOG_PATH("to", span_of(c->mailbox, c->mailbox_len)),
		  LOG_STR("result", names[said]), LOG_STR("host", l->host),
		  LOG_INT("ms", clock_mono_ms() - c->since_ms),
		  LOG_SPAN("reply", reply));
}

static enum known_said said_by(const struct callout *c,
			       const struct delivery_job *job)
{
	const struct settlement *s = &job->set[0];

	if (job->is_obstructed || job->is_mail_refused)
		return SAID_NOTHING;
	if (s->outcome == OUTCOME_DELIVERED)
		return SAID_YES;
	if (s->outcome != OUTCOME_PERMANENT || !job->is_rcpt_refused[0])
		return SAID_NOTHING;
	if (known_meaning(s->reply) != SAID_NO)
		return SAID_NOTHING;
	return flow_knows_its_own(c->domain) ? SAID_NO : SAID_EARLY;
}

static bool is_once_more(struct callout *c, const struct delivery_job *job)
{
	if (!delivery_job_is_decided(job)) /* the connection was lost */
		return c->tries < TRIES_MAX;
	if (c->is_from_us || !job->is_mail_refused ||
	    job->set[0].outcome != OUTCOME_PERMANENT)
		return false;
	c->is_from_us = true;
	return true;
}

static void ask_again(struct callout *c)
{
	struct domain *dom = c->domain;

	c->state = WAITS;
	TAILQ_INSERT_HEAD(&dom->waiting, c, link);
	callout_enter(dom);
}

static void on_done(struct delivery *dl, struct delivery_job *job, void *arg)
{
	struct link *l = arg;
	struct callout *c = job->arg;
	enum known_said said = said_by(c, job);

	(void)dl;
	MX_ASSERT(l->magic == LINK_MAGIC && c->job == job && c->carrier == l);
	c->job = NULL;
	c->carrier = NULL;
	l->jobs_done++;
	if (job->is_mail_refused && c->is_from_us == false &&
	    job->set[0].outcome == OUTCOME_PERMANENT)
		l->dest->null_refused_until_ms = clock_mono_ms() + HOURS(1);
	if (is_once_more(c, job)) {
		ask_again(c);
	} else {
		say(c, l, said, job->set[0].reply);
		callout_answer(c, said, job->set[0].reply);
	}
	delivery_job_free(&job);
}

static const struct delivery_listener listener = { .on_done = on_done };

void callout_start(struct drain *d)
{
	d->callouts.listener = &listener;
	callout_wait_start(d);
}
