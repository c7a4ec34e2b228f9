/*
 * What is relayed: a session's transaction that goes to the primary while it
 * arrives (daemon/relay), beside the draft that keeps it.
 *
 *   RCPT     the gate ─▶ the primary ─▶ 250, 5yz: its words
 *                │            └───────▶ it cannot now: kept, or asked of the
 *                │                      gate again, as in an outage
 *                └──────▶ kept: another destination, or nobody answers
 *   content  to both, as it comes
 *   end      the gate ─▶ the primary ─▶ taken: the draft goes, or is committed
 *                             │         for those that were kept
 *                             ├───────▶ refused: the draft goes
 *                             └───────▶ it cannot now: committed for all
 *
 * So what the spool has to keep beside the primary is committed behind the
 * primary's yes, when all its content is on the way to the disk.  Should that
 * commit fail nevertheless, the client hears 4yz and sends it again: those whom
 * the primary took get it twice.  The other way round a refusal would find mail
 * in the spool that must not be there, and a crash between the two leave it.
 */
#include "daemon/intake/intake_priv.h"

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "config/allow/domains.h"

/* From the loop: what it has sent meanwhile can be run at once. */
static void go_on(struct session *s, enum step step)
{
	if (step == STEP_END)
		session_answered(s, step);
	else
		session_go_on(s);
}

/* ---- RCPT ---- */

bool carry_is_due(struct gate_question *q)
{
	const struct asked *a = CONTAINER_OF(q, struct asked, question);
	const struct session *s = a->session;

	return !a->is_alone && s->mail != NULL &&
	       a->to.row->standby == STANDBY_RELAY &&
	       relay_may(s->in->door, s->mail->relay, buf_span(&a->to.domain));
}

/* Words for who has none: the primary was asked, and did not say. */
static enum step refuse_for_now(struct session *s, struct asked *a,
				const struct relay_said *said)
{
	struct verdict v = said->words;

	if (v.code == 0)
		verdict_set(&v, V_RCPT_UNVERIFIED);
	return session_refuse_rcpt(s, &v, a->rcpt.to.mailbox);
}

static enum step pass_on(struct session *s, struct asked *a,
			 const struct relay_said *said)
{
	struct verdict v = said->words;

	if (v.code < 400) {
		rcpt_relayed(s, a);
		session_say_words(s, &v);
		return STEP_ON;
	}
	gate_refused(policy_gate(s->in->policy), &a->question, &v);
	return session_refuse_rcpt(s, &v, a->rcpt.to.mailbox);
}

static enum step answered(struct session *s, struct asked *a,
			  const struct relay_said *said)
{
	switch (relay_answer(said->fate, a->to.is_vouched, true)) {
	case ANSWER_WORDS:
		return pass_on(s, a, said);
	case ANSWER_250:
		return rcpt_keep(s, a);
	case ANSWER_JUDGE:
		return session_ask_again(s, a);
	case ANSWER_LATER:
	case ANSWER_NONE:
		break;
	}
	return refuse_for_now(s, a, said);
}

static void on_rcpt(const struct relay_said *said, void *arg)
{
	struct mail *m = arg;
	struct session *s = m->session;
	struct asked *a = s->asked;
	enum step step;

	MX_ASSERT(s->phase == PH_CARRY && a != NULL);
	s->asked = NULL;
	s->phase = a->phase;
	s->stage = "rcpt";
	step = answered(s, a, said);
	session_release(s, a);
	go_on(s, step); /* may free s */
}

static void on_room(void *arg);
static void on_end(const struct relay_said *said, void *arg);

static const struct relay_listener listener = {
	.on_rcpt = on_rcpt,
	.on_room = on_room,
	.on_end = on_end,
};

enum step carry_rcpt(struct session *s, struct asked *a)
{
	struct mail *m = s->mail;
	const struct recipient to = {
		.path = buf_span(&a->to.path),
		.domain = buf_span(&a->to.domain),
		.orcpt = a->rcpt.orcpt,
		.notify = a->rcpt.notify,
	};

	if (m->relay == NULL)
		m->relay = relay_new(&(struct relay_options){
			.loop = s->in->loop,
			.door = s->in->door,
			.env = &m->env,
			.size = m->size,
			.client = &s->client,
			.listener = &listener,
			.arg = m,
		});
	session_hold(s, a);
	s->phase = PH_CARRY;
	session_arm(s);
	relay_rcpt(m->relay, &to);
	return STEP_ON;
}

/* ---- Content ---- */

bool carry_alone(struct mail *m, enum reply_id why)
{
	if (m->relay == NULL || m->kept > 0)
		return false;
	m->unkept = why;
	return true;
}

bool carry_begin(struct session *s, enum reply_id why)
{
	struct mail *m = s->mail;

	if (m->relay != NULL && !relay_has_rcpts(m->relay))
		relay_free(&m->relay);
	if (why != SAY_NONE && !carry_alone(m, why))
		return false;
	if (m->relay != NULL)
		relay_data(m->relay);
	return true;
}

/* Our field stands in front of the first octet: it depends on that. */
static void begin_content(struct session *s)
{
	struct mail *m = s->mail;

	if (m->has_field)
		return;
	m->has_field = true;
	relay_feed(m->relay, trace_received(s, m));
}

void carry_content(struct session *s, struct span octets)
{
	if (s->mail->relay == NULL)
		return;
	begin_content(s);
	relay_feed(s->mail->relay, octets);
}

bool carry_must_wait(struct session *s)
{
	struct mail *m = s->mail;

	if (m->relay == NULL || !relay_is_full(m->relay))
		return false;
	m->is_full = true;
	session_pause(s);
	conn_deadline(s->conn, 0);
	return true;
}

static void on_room(void *arg)
{
	struct mail *m = arg;

	if (!m->is_full)
		return;
	m->is_full = false;
	m->session->paced_ms = clock_mono_ms(); /* it was not the client */
	m->session->paced_bytes = 0;
	session_go_on(m->session); /* may free it */
}

/* ---- The end ---- */

enum step carry_end(struct session *s)
{
	begin_content(s);
	s->phase = PH_HAND_OVER;
	session_arm(s);
	relay_end(s->mail->relay);
	return STEP_ON;
}

/* The primary has the others. */
static void leave_kept(struct mail *m)
{
	struct spool_rcpt *rcpts = m->rcpts;
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->count; i++)
		if (m->ways[i] == WAY_SPOOL)
			rcpts[n++] = rcpts[i];
	m->count = n;
}

static enum step taken(struct session *s, const struct relay_said *said)
{
	struct mail *m = s->mail;
	char line[VERDICT_LINE_MAX];

	trace_relayed(m, said);
	if (m->kept == 0) {
		content_taken(s, verdict_line(&said->words, line));
		return STEP_ON;
	}
	m->said = arena_alloc(&m->arena, sizeof(*m->said));
	*m->said = *said;
	leave_kept(m);
	return content_commit(s);
}

void carry_committed(struct session *s, enum mx_err err)
{
	struct mail *m = s->mail;
	char line[VERDICT_LINE_MAX];

	if (err == MX_OK) {
		content_taken(s, verdict_line(&m->said->words, line));
		return;
	}
	log_warn(EV_RELAYED, LOG_HEX("sid", m->sid), LOG_ID("mid", m->id),
		 LOG_STR("error", mx_strerror(err)),
		 LOG_STR("note", "the primary took it for some, and it could "
				 "not be kept for others: a duplicate is "
				 "possible"));
	(void)content_failed(s, storage_reply(err));
}

/* Its recipients count as refused, each for its domain. */
static enum step refused(struct session *s, const struct relay_said *said)
{
	const struct mail *m = s->mail;

	for (uint32_t i = 0; i < m->count; i++)
		if (m->ways[i] == WAY_RELAY)
			policy_count(s->in->policy,
				     domains_find(m->config->domains,
						  m->rcpts[i].domain),
				     said->words.reason);
	return content_refused(s, &said->words);
}

static enum step concluded(struct session *s, const struct relay_said *said)
{
	struct mail *m = s->mail;

	switch (relay_answer(said->fate, true, m->draft != NULL)) {
	case ANSWER_WORDS:
		return said->words.code < 400 ? taken(s, said)
					      : refused(s, said);
	case ANSWER_250:
		trace_kept(m, said);
		return content_commit(s);
	default:
		return content_failed(s, m->unkept);
	}
}

static void on_end(const struct relay_said *said, void *arg)
{
	struct mail *m = arg;
	struct session *s = m->session;

	MX_ASSERT(s->phase == PH_HAND_OVER);
	s->phase = PH_RCPT;
	s->stage = "data";
	go_on(s, concluded(s, said)); /* may free s */
}
