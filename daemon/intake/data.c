/* DATA and BDAT, the commands that bring content. */
#include "daemon/intake/intake_priv.h"

/* ---- The gate's answer ---- */

/* What has come behind DATA while the gate decided was sent without knowing our
 * answer, as in the command table. */
static enum step data_judged(struct session *s, const struct verdict *v)
{
	enum mx_err err;

	if (session_input_pending(s))
		return session_bye(s, SAY_PIPELINING);
	if (v->code != 0)
		return session_refuse_mail(s, v, SPAN_LIT(""));
	err = content_begin(s);
	if (err != MX_OK)
		return session_refuse(s, storage_reply(err), SPAN_LIT(""));
	s->phase = PH_DATA;
	content_pace(s);
	return session_say(s, SAY_GO_AHEAD);
}

/* Whatever is said, the chunk is on its way and has to be read to its end. */
static enum step chunk_judged(struct session *s, const struct verdict *v)
{
	struct mail *m = s->mail;
	enum mx_err err;

	content_pace(s); /* the wait was not the client's fault */
	if (v->code != 0) {
		m->verdict = arena_alloc(&m->arena, sizeof(*v));
		*m->verdict = *v;
		s->chunk_reply = SAY_VERDICT;
		return STEP_ON;
	}
	err = content_begin(s);
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

/* ---- DATA ---- */

enum step run_data(struct session *s, struct span arg)
{
	(void)arg;
	if (s->mail->count == 0)
		return session_refuse(s, SAY_NO_RCPTS, SPAN_LIT(""));
	return session_ask(s, GATE_CONTENT);
}

enum step step_data(struct session *s)
{
	struct mail *m = s->mail;
	struct span in = conn_input(s->conn);
	const size_t before = in.n;
	bool is_end = false;

	s->stage = "data";
	if (in.n == 0 || content_must_wait(s))
		return STEP_WAIT;
	while (in.n > 0 && !is_end) {
		size_t room, used;
		char *to = content_buffer(m, &room);

		is_end = smtp_decode_data(&m->decoder, &in, to, room, &used);
		content_decoded(s, to, used);
	}
	content_consumed(s, before - in.n);
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
	if (is_first)
		content_pace(s); /* of the chunks behind it, too */
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
		char *to = content_buffer(m, &room);

		smtp_decode_bdat(&m->decoder, &in, to, room, &used);
		content_decoded(s, to, used);
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
		return content_refused(s, s->mail->verdict);
	if (!is_echo)
		return content_failed(s, fault);
	session_arm(s);
	return session_say(s, fault);
}

static enum step chunk_end(struct session *s)
{
	enum reply_id fault = s->chunk_reply;
	char held[4];
	size_t n;

	if (fault == SAY_NONE)
		fault = s->mail->fault;
	if (fault != SAY_NONE)
		return refuse_chunk(s, fault);
	s->phase = PH_BDAT;
	if (!s->is_last) {
		session_arm(s);
		return session_say(s, SAY_CHUNK_OK);
	}
	n = smtp_decode_end(&s->mail->decoder, held);
	content_rest(s, span_of(held, n));
	return content_end(s);
}

enum step step_chunk(struct session *s)
{
	struct span in;

	s->stage = "bdat";
	if (s->chunk_left == 0)
		return chunk_end(s);
	in = conn_input(s->conn);
	if (in.n == 0 || (s->chunk_reply == SAY_NONE && content_must_wait(s)))
		return STEP_WAIT;
	if (in.n > s->chunk_left)
		in.n = (size_t)s->chunk_left;
	if (s->chunk_reply == SAY_NONE)
		chunk_decode(s, in);
	s->chunk_left -= in.n;
	content_consumed(s, in.n);
	return STEP_ON;
}
