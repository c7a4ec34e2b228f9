/*
 * A client waits for the greeting (RFC 5321 section 3.1); what only sends does
 * not.  So the greeting comes late, and who has spoken before is sent away.
 */
#include <ev.h>
#include <stdlib.h>

#include "common/base/alloc.h"
#include "daemon/policy/links.h"
#include "daemon/policy/trusted.h"

struct wait {
	ev_timer timer;
	struct ev_loop *loop;
	struct gate_question *q;
};

static bool is_late(const struct config *c)
{
	return c->policy.pregreet_ms > 0;
}

static void forget(struct gate_question *q)
{
	struct wait *w = q->link_job;

	ev_timer_stop(w->loop, &w->timer);
	free(w);
}

static void on_silence(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct wait *w = timer->data;
	struct gate_question *q = w->q;

	(void)loop;
	(void)revents;
	forget(q);
	gate_answer(q, NULL);
}

/* Behind a TLS handshake the client has spoken, as it had to. */
static enum gate_reply ask_pregreet(struct gate_question *q, struct verdict *v)
{
	const struct policy_options *opt = q->link_arg;
	struct wait *w;

	(void)v;
	if (q->tls != NULL || q->is_dry || trusted_is(opt, q))
		return GATE_GO;
	w = mx_alloc(sizeof(*w));
	w->loop = opt->loop;
	w->q = q;
	ev_timer_init(&w->timer, on_silence,
		      (double)q->config->policy.pregreet_ms / 1000., 0.);
	w->timer.data = w;
	ev_timer_start(w->loop, &w->timer);
	q->link_job = w;
	return GATE_LATER;
}

static bool has_spoken(struct gate_question *q, struct verdict *v)
{
	forget(q);
	verdict_set(v, V_EARLY);
	return true;
}

const struct gate_link link_pregreet = {
	.name = "pregreet",
	.is_on = is_late,
	.ask = { [GATE_CONNECTION] = ask_pregreet },
	.cancel = forget,
	.spoke = has_spoken,
};
