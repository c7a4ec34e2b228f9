/*
 * Is he a recipient?  By the allowlist, then by what is known, and then, with
 * recipients=verify, by asking the primary while the client waits.
 */
#include "daemon/policy/links.h"

#include <stdlib.h>

#include "common/base/assert.h"
#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "config/allow/domains.h"
#include "daemon/known/verify.h"
#include "daemon/policy/rates.h"
#include "daemon/policy/trusted.h"

/* A question that is out: the link's job. */
struct asking {
	struct gate_question *question;
	struct waiter *waiter;
};

/* The option of the domain decides when nobody does. */
static enum verdict_id without_answer(const struct config_domain *row,
				      enum known_said said)
{
	static const struct {
		enum verdict_id nothing, down;
	} ids[] = {
		[UNKNOWN_DEFER] = { V_RCPT_UNVERIFIED, V_RCPT_UNREACHED },
		[UNKNOWN_ACCEPT] = { V_GO, V_GO },
		[UNKNOWN_REJECT] = { V_RCPT_NOT_NOW, V_RCPT_NOT_NOW },
	};

	return said == SAID_DOWN ? ids[row->unknown].down
				 : ids[row->unknown].nothing;
}

static enum verdict_id verdict_of(const struct config_domain *row,
				  enum known_said said)
{
	switch (said) {
	case SAID_YES:
		return V_GO;
	case SAID_NO:
		return V_RCPT_UNKNOWN;
	case SAID_EARLY:
	case SAID_NOTHING:
	case SAID_DOWN:
		break;
	}
	return without_answer(row, said);
}

static enum gate_reply reply_with(const struct gate_question *q,
				  struct verdict *v, enum verdict_id id)
{
	return id == V_GO ? GATE_GO : gate_refuse_rcpt(q, v, id);
}

static void on_said(enum known_said said, struct span reply, void *arg)
{
	struct asking *a = arg;
	struct gate_question *q = a->question;
	struct verdict v;

	(void)reply;
	free(a);
	q->link_job = NULL;
	verdict_set_for(&v, verdict_of(q->rcpt->row, said), q->rcpt->row);
	gate_answer(q, &v);
}

static struct known *known_of(const struct gate_question *q)
{
	const struct rate_arg *a = q->link_arg;

	return a->opt->known;
}

/* Whoever guesses names does not have the primary asked for more of them. */
static bool has_guessed_enough(const struct gate_question *q)
{
	const struct rate_arg *a = q->link_arg;
	const unsigned most = q->config->policy.rate_unknown;

	return most > 0 &&
	       rates_get(a->rates, q->client, RATE_UNKNOWN, clock_mono_ms()) >=
		       most &&
	       !trusted_is(a->opt, q);
}

static bool is_down(const struct gate_question *q)
{
	const struct rate_arg *a = q->link_arg;
	const struct policy_primary *p = &a->opt->primary;

	return p->answers != NULL &&
	       p->answers(buf_span(&q->rcpt->domain), p->arg) == SAID_DOWN;
}

static enum gate_reply ask_primary(struct gate_question *q, struct verdict *v)
{
	struct asking *a;

	if (q->is_dry && is_down(q))
		return reply_with(q, v,
				  without_answer(q->rcpt->row, SAID_DOWN));
	if (q->is_dry) {
		q->would = "would be asked: recipients=verify";
		return GATE_GO;
	}
	a = mx_alloc(sizeof(*a));
	a->question = q;
	a->waiter = verify_ask(known_of(q), buf_span(&q->rcpt->domain),
			       q->to->mailbox, q->client, on_said, a);
	if (a->waiter != NULL) {
		q->link_job = a;
		return GATE_LATER;
	}
	free(a);
	return reply_with(q, v, without_answer(q->rcpt->row, SAID_NOTHING));
}

/* What is carried is judged by the primary. */
static enum gate_reply let_pass(struct gate_question *q)
{
	if (q->is_dry && q->rcpt->is_carried)
		q->would = "the primary would be asked, with the mail itself: "
			   "standby=relay";
	return GATE_GO;
}

static enum gate_reply vouch(struct gate_question *q)
{
	q->rcpt->is_vouched = true;
	return let_pass(q);
}

/* By the primary's own earlier words, or now by itself: when it will be asked
 * with the client's own transaction, no other question is put. */
static enum gate_reply ask_known(struct gate_question *q, struct verdict *v)
{
	struct gate_rcpt *r = q->rcpt;
	struct known *known = known_of(q);
	struct known_fact fact = { 0 };

	if (known != NULL)
		known_look(known, buf_span(&r->domain), q->to->local,
			   r->row->delimiter, clock_wall_ms(), &fact);
	if (fact.is == FACT_YES)
		return vouch(q);
	if (fact.is == FACT_NO && !r->is_carried)
		return gate_refuse_rcpt(q, v, V_RCPT_UNKNOWN);
	if (has_guessed_enough(q))
		return gate_refuse(v, V_RATE_UNKNOWN);
	if (r->is_carried)
		return let_pass(q);
	if (known == NULL)
		return reply_with(q, v, without_answer(r->row, SAID_DOWN));
	return ask_primary(q, v);
}

/* A table that was never fetched says nothing of anybody: that refuses nobody
 * for good. */
static enum gate_reply say_unread(const struct gate_question *q,
				  struct verdict *v)
{
	return reply_with(q, v,
			  q->rcpt->row->unknown == UNKNOWN_ACCEPT
				  ? V_GO
				  : V_RCPT_UNTOLD);
}

static enum gate_reply ask_recipients(struct gate_question *q,
				      struct verdict *v)
{
	struct gate_rcpt *r = q->rcpt;
	enum listed_as found;

	r->is_vouched = false;
	r->is_carried =
		r->row != NULL && q->carries != NULL && q->carries(q);
	if (r->is_postmaster)
		return vouch(q);
	MX_ASSERT(r->row != NULL); /* else it is not listed, and refused */
	found = domains_recipient(q->config->domains, r->row,
				  buf_span(&r->domain), q->to->local);
	if (found == RECIPIENT_YES)
		return vouch(q);
	if (r->row->verify)
		return ask_known(q, v);
	if (found == RECIPIENT_UNKNOWN && r->is_carried)
		return let_pass(q);
	return found == RECIPIENT_UNKNOWN ? say_unread(q, v)
					  : gate_refuse_rcpt(q, v, V_RCPT_UNKNOWN);
}

static void cancel(struct gate_question *q)
{
	struct asking *a = q->link_job;

	verify_cancel(&a->waiter);
	free(a);
}

const struct gate_link link_recipients = {
	.name = "recipients",
	.ask = { [GATE_RCPT] = ask_recipients },
	.cancel = cancel,
};
