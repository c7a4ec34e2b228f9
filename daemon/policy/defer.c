/*
 * standby=defer: while the primary answers, mail is its own to take.  Who comes
 * here is sent there, and is let in when he comes back after a while: he cannot
 * reach it, whatever we can.
 *
 *               the primary answers            the same once more
 *   RCPT ───────────────────────────▶ 450 ───────────────────────────▶ go
 *     │ it does not, or not in time         after policy.defer or more
 *     └───────────────────────────────────────────────────────────────▶ go
 *
 * Who is no recipient was refused before, so that only mail that would be taken
 * has a place in memory.
 */
#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "daemon/policy/links.h"
#include "daemon/policy/policy.h"
#include "daemon/policy/returns.h"
#include "daemon/policy/trusted.h"

/* A hail that is out: the link's job. */
struct hailing {
	struct gate_question *question;
	void *hail;
};

static bool is_anywhere(const struct config *c)
{
	return domains_have_standby(c->domains, STANDBY_DEFER);
}

static const struct policy_primary *primary_of(const struct gate_question *q)
{
	const struct defer_arg *a = q->link_arg;

	return &a->opt->primary;
}

static struct span sender(const struct gate_question *q)
{
	return q->env != NULL ? q->env->from : SPAN_LIT("");
}

static bool has_come_back(const struct gate_question *q)
{
	const struct defer_arg *a = q->link_arg;
	const struct span to = buf_span(&q->rcpt->path);
	const int64_t wait_ms = q->config->policy.defer_ms;
	const int64_t now_ms = clock_mono_ms();

	return q->is_dry ? returns_is_due(a->returns, q->client, sender(q), to,
					  wait_ms, now_ms)
			 : returns_come(a->returns, q->client, sender(q), to,
					wait_ms, now_ms);
}

static enum gate_reply send_away(struct gate_question *q, struct verdict *v)
{
	return has_come_back(q) ? GATE_GO : gate_refuse_rcpt(q, v, V_STANDBY);
}

static void on_hailed(enum known_said said, struct span reply, void *arg)
{
	struct hailing *h = arg;
	struct gate_question *q = h->question;
	struct verdict v = { .code = 0 };

	(void)reply;
	free(h);
	q->link_job = NULL;
	if (said == SAID_YES)
		send_away(q, &v);
	gate_answer(q, &v);
}

/* Nobody knows whether it answers. */
static enum gate_reply find_out(struct gate_question *q)
{
	const struct policy_primary *p = primary_of(q);
	struct hailing *h;

	if (q->is_dry) {
		q->would = "the primary would be asked whether it answers: "
			   "standby=defer";
		return GATE_GO;
	}
	h = mx_alloc(sizeof(*h));
	h->question = q;
	h->hail = p->hail(buf_span(&q->rcpt->domain), on_hailed, h, p->arg);
	if (h->hail != NULL) {
		q->link_job = h;
		return GATE_LATER;
	}
	free(h);
	return GATE_GO;
}

static bool is_exempt(const struct gate_question *q)
{
	const struct defer_arg *a = q->link_arg;
	const struct gate_rcpt *r = q->rcpt;

	return r->row == NULL || r->row->standby != STANDBY_DEFER ||
	       r->is_postmaster || a->opt->primary.answers == NULL ||
	       trusted_is(a->opt, q);
}

static enum gate_reply ask_defer(struct gate_question *q, struct verdict *v)
{
	const struct policy_primary *p = primary_of(q);

	if (is_exempt(q))
		return GATE_GO;
	switch (p->answers(buf_span(&q->rcpt->domain), p->arg)) {
	case SAID_YES:
		return send_away(q, v);
	case SAID_NOTHING:
		return find_out(q);
	case SAID_NO:
	case SAID_EARLY:
	case SAID_DOWN:
		break;
	}
	return GATE_GO;
}

static void cancel(struct gate_question *q)
{
	struct hailing *h = q->link_job;
	const struct policy_primary *p = primary_of(q);

	p->cancel(h->hail, p->arg);
	free(h);
}

const struct gate_link link_defer = {
	.name = "defer",
	.is_on = is_anywhere,
	.ask = { [GATE_RCPT] = ask_defer },
	.cancel = cancel,
};
