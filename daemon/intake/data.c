/*
 * The content: DATA and BDAT.  It is decoded straight into the draft; what
 * memory a session needs does not depend on the size of its message.
 */
#include "daemon/intake/intake_priv.h"

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/msgid.h"

/* ---- Beginning ---- */

/* Count the floor of the data deadline from here. */
static void pace(struct session *s)
{
	s->paced_ms = clock_mono_ms();
	s->paced_bytes = 0;
}

static void on_room(struct spool_waiter *w)
{
	struct mail *m = CONTAINER_OF(w, struct mail, waiter);

	pace(m->session); /* the wait was not the client's fault */
	session_go_on(m->session);
}

static enum mx_err draft_begin(struct session *s)
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

enum step run_data(struct session *s, struct span arg)
{
	(void)arg;
	if (s->mail->count == 0)
		return session_refuse(s, SAY_NO_RCPTS, SPAN_LIT(""));
	return session_ask(s, GATE_CONTENT);
}

/* What has come behind DATA while the gate decided was sent without knowing our
 * answer, as in the command table. */
static enum step data_judged(struct session *s, const struct verdict *v)
{
	enum mx_err err;

	if (session_input_pending(s))
		return session_bye(s, SAY_PIPELINING);
	if (v->code != 0)
		return session_refuse_mail(s, v, SPAN_LIT(""));
	err = draft_begin(s);
	if (err != MX_OK)
		return session_refuse(s, storage_reply(err), SPAN_LIT(""));
	s->phase = PH_DATA;
	pace(s);
	return session_say(s, SAY_GO_AHEAD);
}

/* Whatever is said, the chunk is on its way and has to be read to its end. */
static enum step chunk_judged(struct session *s, const struct verdict *v)
{
	struct mail *m = s->mail;
	enum mx_err err;

	pace(s); /* the wait was not the client's fault */
	if (v->code != 0) {
		m->verdict = arena_alloc(&m->arena, sizeof(*v));
		*m->verdict = *v;
		s->chunk_reply = SAY_VERDICT;
		return STEP_ON;
	}
	err = draft_begin(s);
	if (err != MX_OK)
		s->chunk_reply = storage_reply(err);
	return STEP_ON;
}

enum step content_judged(struct session *s, struct asked *a,
			 const struct verdict *v)
{
	(void)a;
	return s->phase == PH_CHUNK ? chunk_judged(s, v) : data_judged(s, v);
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

/* Where the next octets are decoded to. */
static char *decode_buffer(struct mail *m, size_t *room)
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

/* These n bytes were decoded to at, which decode_buffer gave. */
static void decoded(struct session *s, struct mail *m, const char *at, size_t n)
{
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

/* The disk, or the primary, is slower than the client: leave the rest in the
 * kernel. */
static bool must_wait(struct session *s)
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

static void consumed(struct session *s, size_t n)
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

static enum step refuse_content(struct session *s, enum reply_id id)
{
	return refused(s, session_refuse(s, id, SPAN_LIT("")));
}

enum step content_failed(struct session *s, enum reply_id id)
{
	return refuse_content(s, id);
}

static enum step refuse_in_words(struct session *s, const struct verdict *v)
{
	return refused(s, session_refuse_mail(s, v, SPAN_LIT("")));
}

enum step content_refused(struct session *s, const struct verdict *v)
{
	return refuse_in_words(s, v);
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
	return refuse_in_words(s, &v);
}

static enum step refuse_storage(struct session *s, enum mx_err err)
{
	return err == MX_EQUOTA ? refuse_for_quota(s)
				: refuse_content(s, storage_reply(err));
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

static enum step content_end(struct session *s)
{
	struct mail *m = s->mail;

	if (m->fault != SAY_NONE)
		return refuse_content(s, m->fault);
	return session_ask(s, GATE_END);
}

enum step end_judged(struct session *s, struct asked *a,
		     const struct verdict *v)
{
	(void)a;
	if (v->code != 0)
		return refuse_in_words(s, v);
	return s->mail->relay != NULL ? carry_end(s) : content_commit(s);
}

/* ---- DATA ---- */

enum step step_data(struct session *s)
{
	struct mail *m = s->mail;
	struct span in = conn_input(s->conn);
	const size_t before = in.n;
	bool is_end = false;

	s->stage = "data";
	if (in.n == 0 || must_wait(s))
		return STEP_WAIT;
	while (in.n > 0 && !is_end) {
		size_t room, used;
		char *to = decode_buffer(m, &room);

		is_end = smtp_decode_data(&m->decoder, &in, to, room, &used);
		decoded(s, m, to, used);
	}
	consumed(s, before - in.n);
	return is_end ? content_end(s) : STEP_ON;
}

/* ---- BDAT, RFC 3030 ---- */

/*
 * The octets of a BDAT that failed are taken and thrown away before the reply
 * (section 2), but nobody waits for a chunk that could never be of use.
 */
static bool is_absurd(const struct session *s, uint64_t size)
{
	const uint64_t most = session_config(s)->limits.message_bytes;

	return size > most && size - most > most + (64u << 20);
}

/* What is wrong with this chunk before an octet of it has come? */
static enum reply_id chunk_fault(struct session *s, uint64_t size)
{
	const struct mail *m = s->mail;

	s->stage = "bdat";
	if (s->phase == PH_HELLO)
		return SAY_HELO_FIRST;
	if (m == NULL)
		return SAY_SEQUENCE;
	if (m->count == 0)
		return SAY_NO_RCPTS;
	if (size > m->config->limits.message_bytes ||
	    m->bytes > m->config->limits.message_bytes - size)
		return SAY_TOO_BIG;
	return SAY_NONE;
}

/*
 * Nobody knows how long its chunk is, so what is at hand behind it must not be
 * run as commands: it may be content.
 */
static enum step bad_bdat(struct session *s, struct span arg)
{
	enum step step = session_refuse(s, SAY_SYNTAX, arg);

	return session_input_pending(s) ? STEP_END : step;
}

enum step run_bdat(struct session *s, struct span arg)
{
	const bool is_first = s->phase != PH_BDAT;
	uint64_t size;
	bool last;

	if (smtp_bdat_parse(arg, &size, &last) != SMTP_SYNTAX_OK)
		return bad_bdat(s, arg);
	if (is_absurd(s, size))
		return session_bye(s, SAY_TOO_BIG);
	s->chunk_reply = chunk_fault(s, size);
	s->chunk_left = size;
	s->is_last = last;
	s->phase = PH_CHUNK;
	pace(s);
	return is_first && s->chunk_reply == SAY_NONE
		       ? session_ask(s, GATE_CONTENT)
		       : STEP_ON;
}

/* Decode what is at hand of the chunk. */
static void chunk_decode(struct session *s, struct span in)
{
	struct mail *m = s->mail;

	while (in.n > 0) {
		size_t room, used;
		char *to = decode_buffer(m, &room);

		smtp_decode_bdat(&m->decoder, &in, to, room, &used);
		decoded(s, m, to, used);
	}
}

/*
 * The transaction is over.  Chunks that the client had on the way before it
 * could know are refused as well, but they are no further errors.
 */
static enum step refuse_chunk(struct session *s, enum reply_id fault)
{
	const bool is_echo = s->is_failed && fault == SAY_SEQUENCE;

	s->phase = s->helo != NULL ? PH_READY : PH_HELLO;
	s->is_failed = !s->is_last;
	if (fault == SAY_VERDICT)
		return refuse_in_words(s, s->mail->verdict);
	if (!is_echo)
		return refuse_content(s, fault);
	session_arm(s);
	return session_say(s, fault);
}

static enum step chunk_end(struct session *s)
{
	struct mail *m = s->mail;
	enum reply_id fault = s->chunk_reply;
	char held[4];
	size_t n;

	if (fault == SAY_NONE)
		fault = m->fault;
	if (fault != SAY_NONE)
		return refuse_chunk(s, fault);
	s->phase = PH_BDAT;
	if (!s->is_last) {
		session_arm(s);
		return session_say(s, SAY_CHUNK_OK);
	}
	n = smtp_decode_end(&m->decoder, held);
	if (n > 0) {
		look_at(m, span_of(held, n));
		carry_content(s, span_of(held, n));
		if (m->draft != NULL)
			m->store->draft_write(m->draft, span_of(held, n));
		m->bytes += n;
	}
	return content_end(s);
}

enum step step_chunk(struct session *s)
{
	struct span in;

	s->stage = "bdat";
	if (s->chunk_left == 0)
		return chunk_end(s);
	in = conn_input(s->conn);
	if (in.n == 0 || (s->chunk_reply == SAY_NONE && must_wait(s)))
		return STEP_WAIT;
	if (in.n > s->chunk_left)
		in.n = (size_t)s->chunk_left;
	if (s->chunk_reply == SAY_NONE)
		chunk_decode(s, in);
	s->chunk_left -= in.n;
	consumed(s, in.n);
	return STEP_ON;
}
