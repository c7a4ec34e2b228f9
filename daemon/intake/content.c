/*
 * The content, whatever command brings it.  It is decoded straight into the
 * draft; what memory a session needs does not depend on the size of its
 * message.
 */
#include "daemon/intake/intake_priv.h"

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/msgid.h"

/* ---- Beginning ---- */

void content_pace(struct session *s)
{
	s->paced_ms = clock_mono_ms();
	s->paced_bytes = 0;
}

static void on_room(struct spool_waiter *w)
{
	struct mail *m = CONTAINER_OF(w, struct mail, waiter);

	content_pace(m->session); /* the wait was not the client's fault */
	session_go_on(m->session);
}

enum mx_err content_begin(struct session *s)
{
	struct mail *m = s->mail;
	const int64_t wall_ms = clock_wall_ms();
	enum mx_err err = m->store->draft_new(s->in->spool, wall_ms, m->size,
					      &m->draft);

	m->id = (uint64_t)wall_ms << 20;
	if (err == MX_OK)
		m->id = m->store->draft_id(m->draft);
	if (!carry_begin(s, err == MX_OK ? SAY_NONE : storage_reply(err)))
		return err;
	m->waiter.cb = on_room;
	trace_begin(s, m, wall_ms);
	return MX_OK;
}

/* ---- Streaming ---- */

/* The content is refused already: it is read to its end, and nothing kept. */
static void fail_content(struct mail *m, enum reply_id why)
{
	relay_free(&m->relay);
	m->is_full = false;
	m->store->draft_discard(&m->draft);
	holding_set_content(&m->holding, 0, 0);
	m->fault = why;
}

/* The spool does not take it; perhaps the primary does. */
static void lose_draft(struct mail *m, enum reply_id why)
{
	if (!carry_alone(m, why)) {
		fail_content(m, why);
		return;
	}
	m->store->draft_discard(&m->draft);
	holding_set_content(&m->holding, 0, 0);
}

/* For octets that are not kept. */
static char *side_buffer(size_t *room)
{
	static char bin[16 * 1024];

	*room = sizeof(bin);
	return bin;
}

char *content_buffer(struct mail *m, size_t *room)
{
	return m->draft == NULL ? side_buffer(room)
				: m->store->draft_buffer(m->draft, room);
}

/* Content that comes, before it counts. */
static void look_at(struct mail *m, struct span s)
{
	if (m->bytes == 0)
		m->begins_blank = s.p[0] == ' ' || s.p[0] == '\t';
	mail_scan_feed(&m->scan, s);
}

/* Is it still good for anything? */
static bool is_wanted(const struct mail *m)
{
	return m->fault == SAY_NONE &&
	       (m->draft != NULL || m->relay != NULL);
}

static void look_at_draft(struct spool *sp, struct mail *m)
{
	enum mx_err err;

	if (m->draft == NULL)
		return;
	err = m->store->draft_error(m->draft);
	if (err != MX_OK)
		lose_draft(m, storage_reply(err));
	else if (!holding_set_content(&m->holding, m->bytes,
				      m->store->left(sp)))
		lose_draft(m, SAY_NETWORK_FULL);
}

void content_decoded(struct session *s, const char *at, size_t n)
{
	struct mail *m = s->mail;

	if (is_wanted(m) && n > 0) {
		look_at(m, span_of(at, n));
		if (m->relay != NULL)
			carry_content(s, span_of(at, n));
		if (m->draft != NULL)
			m->store->draft_used(m->draft, n);
	}
	m->bytes += n;
	if (!is_wanted(m))
		return;
	if (m->bytes > m->config->limits.message_bytes)
		fail_content(m, SAY_TOO_BIG);
	else
		look_at_draft(s->in->spool, m);
}

void content_rest(struct session *s, struct span octets)
{
	struct mail *m = s->mail;

	if (octets.n == 0)
		return;
	look_at(m, octets);
	carry_content(s, octets);
	if (m->draft != NULL)
		m->store->draft_write(m->draft, octets);
	m->bytes += octets.n;
}

bool content_must_wait(struct session *s)
{
	if (s->mail == NULL || carry_must_wait(s))
		return s->mail != NULL;
	if (s->mail->draft == NULL ||
	    !s->in->store->is_busy(s->in->spool))
		return false;
	if (!s->mail->waiter.is_waiting) {
		s->in->store->wait(s->in->spool, &s->mail->waiter);
		session_pause(s);
		conn_deadline(s->conn, 0);
	}
	return true;
}

void content_consumed(struct session *s, size_t n)
{
	if (n == 0)
		return;
	s->paced_bytes += n;
	conn_consume(s->conn, n);
	session_arm(s);
}

/* ---- The end ---- */

/* The content is refused; the transaction is over. */
static enum step refused(struct session *s, enum step step)
{
	mail_drop(s);
	session_arm(s);
	return step;
}

enum step content_failed(struct session *s, enum reply_id id)
{
	return refused(s, session_refuse(s, id, SPAN_LIT("")));
}

enum step content_refused(struct session *s, const struct verdict *v)
{
	return refused(s, session_refuse_mail(s, v, SPAN_LIT("")));
}

void content_taken(struct session *s, struct span reply)
{
	s->errors = s->chatter = 0;
	s->refused = 0;
	s->accepted++;
	conn_write(s->conn, reply);
	mail_drop(s);
}

/* One of its domains has its quota full: whose that is decided as a gate would
 * have it. */
static enum step refuse_for_quota(struct session *s)
{
	const struct mail *m = s->mail;
	const struct config_domain *row = NULL;
	struct verdict v;

	for (uint32_t i = 0; i < m->count && row == NULL; i++)
		if (m->rcpts[i].quota_bytes > 0)
			row = domains_find(m->config->domains,
					   m->rcpts[i].domain);
	verdict_set_for(&v, V_QUOTA, row);
	policy_count(s->in->policy, row, v.reason);
	return content_refused(s, &v);
}

static enum step refuse_storage(struct session *s, enum mx_err err)
{
	return err == MX_EQUOTA ? refuse_for_quota(s)
				: content_failed(s, storage_reply(err));
}

static struct span queued(struct session *s, uint64_t id)
{
	struct buf *b = &s->in->scratch;

	buf_reset(b);
	buf_adds(b, "250 2.6.0 Message accepted, queued as ");
	msg_id_add(b, id);
	buf_adds(b, "\r\n");
	return buf_span(b);
}

static void on_commit(enum mx_err err, uint64_t id, void *arg)
{
	struct mail *m = arg;
	struct session *s = m->session;

	if (err == MX_OK)
		trace_accepted(m, id);
	if (s == NULL) { /* gone: it will send the message again */
		mail_free(&m);
		return;
	}
	s->phase = PH_RCPT; /* the mail is ours again, and dropped */
	s->stage = "data";
	if (m->said != NULL)
		carry_committed(s, err);
	else if (err == MX_OK)
		content_taken(s, queued(s, id));
	else /* STEP_ON: a storage error is never the client's */
		(void)refuse_storage(s, err);
	session_go_on(s);
	/* s may be gone */
}

enum step content_commit(struct session *s)
{
	struct mail *m = s->mail;

	/* RFC 8689 section 5: the parameter outranks the field */
	m->env.tls_required_no = m->scan.tls_required_no && !m->env.requiretls;
	s->phase = PH_COMMIT;
	session_arm(s);
	/* the spool may give the mail back when the drain is gone */
	relay_free(&m->relay);
	mail_claim(s->in, m);
	/* its parts are as short as a line: it fits */
	MX_ASSERT(m->store->draft_prefix(m->draft, trace_received(s, m)) ==
		  MX_OK);
	m->store->commit(&m->draft, &m->env, m->rcpts, m->count, on_commit, m);
	return STEP_ON;
}

enum step content_end(struct session *s)
{
	struct mail *m = s->mail;

	if (m->fault != SAY_NONE)
		return content_failed(s, m->fault);
	return session_ask(s, GATE_END);
}

enum step end_judged(struct session *s, struct asked *a,
		     const struct verdict *v)
{
	(void)a;
	if (v->code != 0)
		return content_refused(s, v);
	return s->mail->relay != NULL ? carry_end(s) : content_commit(s);
}
