/* Replies, and the log line of each refusal. */
#include <string.h>

#include "daemon/intake/intake_priv.h"

#include "common/base/clock.h"

struct span session_client(struct session *s)
{
	struct buf *b = &s->in->scratch;

	buf_reset(b);
	net_addr_add(b, &s->client);
	return buf_span(b);
}

enum reply_id storage_reply(enum mx_err err)
{
	switch (err) {
	case MX_ESPACE:
		return SAY_NO_SPACE;
	case MX_ESHARE:
		return SAY_DOMAIN_FULL;
	case MX_EQUOTA:
		return SAY_QUOTA;
	case MX_EMIRROR:
		return SAY_MIRROR;
	default:
		return SAY_DISK;
	}
}

/* What is behind a refusal, for the log. */
struct cause {
	const char *reason, *setting; /* "": no setting is */
	unsigned line;		      /* of the allowlist; 0: not that */
};

/* "/etc/mx20/domains:12" */
static struct span place(struct session *s, unsigned line)
{
	struct buf *b = &s->in->place;

	buf_reset(b);
	buf_add(b, session_config(s)->domains_path);
	buf_addf(b, ":%u", line);
	return buf_span(b);
}

/* The message that is refused, if its content is: who asks for it has its
 * Message-ID, or a recipient. */
static const struct mail *refused_mail(const struct session *s)
{
	bool is_content = strcmp(s->stage, "data") == 0 ||
			  strcmp(s->stage, "bdat") == 0;

	return s->mail != NULL && is_content ? s->mail : NULL;
}

static void log_refusal(struct session *s, struct span reply, struct cause c,
			struct log_field what)
{
	if (!log_enabled(LOG_LEVEL_INFO) ||
	    !policy_may_log(s->in->policy, &s->client, clock_mono_ms())) {
		log_unsaid(EV_REJECTED, LOG_STR("stage", s->stage),
			   LOG_STR("reason", c.reason));
		return;
	}
	const struct log_field end = { LOG_KIND_END, NULL, { NULL, 0 }, 0 };
	const struct log_field none = LOG_STR("", "");
	const struct mail *m = refused_mail(s);
	struct buf to = { 0 };

	for (uint32_t i = 0; m != NULL && i < m->count && i < LOG_PATHS_MAX;
	     i++)
		log_list_path(&to, i, m->rcpts[i].path);
	const struct log_field fields[] = {
		LOG_HEX("sid", s->sid),
		LOG_STR("stage", s->stage),
		LOG_SPAN("client", session_client(s)),
		m != NULL ? LOG_SPAN("msgid", span_of(m->scan.msgid,
						      m->scan.msgid_n))
			  : none,
		s->mail != NULL ? LOG_PATH("from", s->mail->env.from)
				: LOG_SPAN("from", SPAN_LIT("")),
		m != NULL ? LOG_SPAN("to", buf_span(&to)) : none,
		m != NULL ? LOG_INT("rcpts", m->count) : none,
		what,
		LOG_SPAN("reply", reply),
		LOG_STR("reason", c.reason),
		LOG_STR("setting", c.setting),
		c.line > 0 ? LOG_SPAN("at", place(s, c.line)) : end,
		end,
	};

	log_fields(LOG_LEVEL_INFO, EV_REJECTED, fields);
	buf_fini(&to);
}

static struct cause cause_of(enum reply_id id)
{
	return (struct cause){ reply_get(id)->reason, reply_get(id)->setting,
			       0 };
}

/* 421 follows at once behind the reply to the last error, as Postfix does it.
 */
static enum step count_error(struct session *s)
{
	if (s->errors < UINT16_MAX)
		s->errors++;
	if (s->errors < session_config(s)->limits.errors)
		return STEP_ON;
	return session_bye(s, SAY_ERRORS);
}

enum step session_say(struct session *s, enum reply_id id)
{
	conn_write(s->conn, reply_get(id)->line);
	return STEP_ON;
}

/* Enough to see what it was. */
static struct log_field line_field(struct span line)
{
	const size_t most = 200;

	return LOG_SPAN("line", span_of(line.p, line.n < most ? line.n : most));
}

static enum step refuse(struct session *s, enum reply_id id,
			struct log_field what)
{
	log_refusal(s, reply_text(id), cause_of(id), what);
	session_say(s, id);
	return reply_is_error(id) ? count_error(s) : STEP_ON;
}

enum step session_refuse(struct session *s, enum reply_id id, struct span line)
{
	return refuse(s, id, line_field(line));
}

enum step session_refuse_path(struct session *s, enum reply_id id,
			      struct span path)
{
	return refuse(s, id, LOG_PATH("to", path));
}

enum step session_refuse_again(struct session *s, enum reply_id id)
{
	log_unsaid(EV_REJECTED, LOG_STR("stage", s->stage),
		   LOG_STR("reason", reply_get(id)->reason));
	return session_say(s, id);
}

static void say_verdict(struct session *s, const struct verdict *v,
			struct log_field what)
{
	char line[VERDICT_LINE_MAX];
	const struct span reply = verdict_line(v, line);

	log_refusal(s, span_of(line, reply.n - 2),
		    (struct cause){ v->reason, v->setting, v->line }, what);
	conn_write(s->conn, reply);
}

void session_say_words(struct session *s, const struct verdict *v)
{
	char line[VERDICT_LINE_MAX];

	conn_write(s->conn, verdict_line(v, line));
}

enum step session_refuse_client(struct session *s, const struct verdict *v)
{
	say_verdict(s, v, line_field(SPAN_LIT("")));
	return STEP_END;
}

enum step session_refuse_mail(struct session *s, const struct verdict *v,
			      struct span line)
{
	say_verdict(s, v, line_field(line));
	if (v->code == 421) /* RFC 5321 section 3.8 */
		return STEP_END;
	return v->is_error ? count_error(s) : STEP_ON;
}

/*
 * Whoever guesses names runs into limits.errors, also with RSET between them; a
 * mailing list with a few stale addresses among many good ones does not.
 */
enum step session_refuse_rcpt(struct session *s, const struct verdict *v,
			      struct span path)
{
	say_verdict(s, v, LOG_PATH("to", path));
	if (v->code == 421)
		return STEP_END;
	if (!v->is_error || ++s->refused <= s->mail->count)
		return STEP_ON;
	return count_error(s);
}

enum step session_bye(struct session *s, enum reply_id id)
{
	if (*reply_get(id)->reason != '\0')
		log_refusal(s, reply_text(id), cause_of(id),
			    line_field(SPAN_LIT("")));
	session_say(s, id);
	return STEP_END;
}
