/*
 * A session asks the gate.
 *
 *            session_ask           the answer at once
 *   a phase ────────────▶ gate ───────────────────────▶ moments[].go_on
 *                          │ later                           ▲ in the phase
 *                          ▼                                 │ it was in
 *                        PH_ASK ─────────────────────────────┘
 *                          │      on_answer; then a turn for what came
 *                          │      meanwhile
 *                          └───▶ gate_cancel: the client is gone, or sent away
 *                                to make room, by SIGTERM or after ASK_MS
 *
 * What is asked about lies in a struct asked.  One is ready for whoever's turn
 * it is, so that an answer at once costs no allocation; who has to wait keeps
 * it.
 */
#include "daemon/intake/intake_priv.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"

/* ---- What is asked about ---- */

struct asked *asked_ready(struct intake *in)
{
	if (in->asked == NULL)
		in->asked = mx_alloc(sizeof(*in->asked));
	return in->asked;
}

void asked_free(struct asked **a)
{
	if (*a == NULL)
		return;
	gate_rcpt_fini(&(*a)->to);
	free(*a);
	*a = NULL;
}

/* Whoever asks next may have it. */
static void give_back(struct intake *in, struct asked *a)
{
	config_unref(&a->question.config);
	a->is_held = false;
	if (in->asked == NULL)
		in->asked = a;
	else
		asked_free(&a);
}

void session_hold(struct session *s, struct asked *a)
{
	if (!a->is_held) {
		MX_ASSERT(s->in->asked == a);
		s->in->asked = NULL;
		config_ref(a->question.config);
		a->is_held = true;
	}
	s->asked = a;
	a->phase = s->phase;
}

void session_release(struct session *s, struct asked *a)
{
	if (a->is_held && s->asked != a)
		give_back(s->in, a);
}

/* ---- The moments ---- */

/* clang-format off */
static const struct {
	enum step (*go_on)(struct session *s, struct asked *a,
			   const struct verdict *v);
} moments[GATE_MOMENTS] = {
	[GATE_CONNECTION] = { session_judged },
	[GATE_MAIL]       = { mail_judged },
	[GATE_RCPT]       = { rcpt_judged },
	[GATE_CONTENT]    = { content_judged },
	[GATE_END]        = { end_judged },
};
/* clang-format on */

static void on_answer(struct gate_question *q, const struct verdict *v)
{
	struct asked *a = CONTAINER_OF(q, struct asked, question);
	struct session *s = a->session;
	enum step step;

	s->asked = NULL;
	s->phase = a->phase;
	step = moments[q->moment].go_on(s, a, v);
	session_release(s, a);
	session_answered(s, step); /* may free s */
}

/* The facts, as far as they are known at this moment. */
static void fill(struct session *s, struct asked *a)
{
	struct gate_question *q = &a->question;
	const struct mail *m = s->mail;

	a->session = s;
	q->cb = on_answer;
	q->carries = s->in->door != NULL ? carry_is_due : NULL;
	q->config = m != NULL ? m->config : s->in->config;
	q->sid = s->sid;
	q->client = &s->client;
	q->tls = conn_tls(s->conn);
	q->visit = &s->visit;
	q->helo = span_str(s->helo != NULL ? s->helo : "");
	q->env = m != NULL ? &m->env : NULL;
	q->size = q->added = 0;
	q->to = q->moment == GATE_RCPT ? &a->rcpt.to : NULL;
	q->rcpt = q->moment == GATE_RCPT ? &a->to : NULL;
	q->rcpts = NULL;
	q->rcpt_count = 0;
	q->received = 0;
	if (m == NULL)
		return;
	q->size = q->moment == GATE_END ? m->bytes : m->size;
	if (q->moment == GATE_END)
		q->added = trace_received(s, s->mail).n;
	else if (q->size > 0 && q->moment == GATE_RCPT)
		q->added = trace_expected(s, s->mail, a->rcpt.to.mailbox);
	q->rcpts = m->rcpts;
	q->rcpt_count = m->count;
	q->received = m->scan.received;
}

static enum step ask(struct session *s, struct asked *a)
{
	struct gate_question *q = &a->question;
	struct verdict v;

	if (gate_ask(policy_gate(s->in->policy), q, &v))
		return moments[q->moment].go_on(s, a, &v);
	session_hold(s, a);
	s->phase = PH_ASK;
	session_arm(s);
	return STEP_ON;
}

enum step session_ask(struct session *s, enum gate_moment moment)
{
	struct asked *a = asked_ready(s->in);

	a->question.moment = moment;
	a->is_alone = false;
	fill(s, a);
	return ask(s, a);
}

enum step session_ask_again(struct session *s, struct asked *a)
{
	a->is_alone = true;
	return ask(s, a);
}

enum step session_spoke(struct session *s)
{
	struct asked *a = s->asked;
	struct verdict v;
	enum step step;

	if (!gate_spoke(&a->question, &v))
		return STEP_WAIT;
	s->asked = NULL;
	s->phase = a->phase;
	step = moments[a->question.moment].go_on(s, a, &v);
	session_release(s, a);
	return step;
}

void session_unask(struct session *s)
{
	struct asked *a = s->asked;
	const bool is_out = s->phase == PH_ASK;

	if (a == NULL)
		return;
	s->asked = NULL;
	s->phase = a->phase;
	if (is_out) /* else the primary is asked, and mail_drop says so */
		gate_cancel(&a->question);
	give_back(s->in, a);
}
