#include "daemon/relay/said.h"


#include "common/base/assert.h"
#include "daemon/known/known.h"

static const char reason[] = "primary";
static const char setting[] = "policy.standby";

/* ---- Words ---- */

/* Of ours about the primary, "(size) 5.3.4 Message is larger ...": the code is
 * the one that belongs to it. */
static void echo_made(struct verdict *v, struct span reply)
{
	struct span status = smtp_reply_made_status(reply), text = reply;
	int code = 451;

	span_cut(&text, ' ');
	if (span_starts(text, status))
		span_cut(&text, ' ');
	if (status.n > 0 && status.p[0] == '5')
		code = span_eq(status, SPAN_LIT("5.3.4")) ? 552 : 550;
	else if (span_eq(status, SPAN_LIT("4.5.3")))
		code = 452;
	verdict_echo(v, code, status, text, reason, setting);
}

static void echo(struct verdict *v, struct span reply)
{
	struct smtp_reply r = { 0 };

	*v = (struct verdict){ .code = 0 };
	if (smtp_reply_is_made(reply))
		echo_made(v, reply);
	else if (smtp_reply_parse(reply, &r) == MX_OK)
		verdict_echo(v, r.code, span_str(r.enhanced), buf_span(&r.text),
			     reason, setting);
	smtp_reply_fini(&r);
}

/* Words of another class than the event would say something else. */
static bool fits(const struct relay_said *s)
{
	const int class = s->words.code / 100;

	switch (s->fate) {
	case FATE_WORDS:
		return class == (s->event == PRIMARY_YES ? 2 : 5);
	case FATE_KEPT:
		return class == 4 && s->words.code != 421;
	default:
		return false;
	}
}

static void say(struct relay_said *s, enum relay_stage stage,
		enum relay_event event, struct span reply)
{
	s->stage = stage;
	s->event = event;
	s->fate = relay_fate(stage, event);
	MX_ASSERT(s->fate != FATE_ON);
	span_copy(reply, s->reply, sizeof(s->reply));
	echo(&s->words, reply);
	if (fits(s))
		return;
	if (s->fate == FATE_WORDS) /* no words to pass on: not for good */
		s->fate = FATE_KEPT;
	s->words.code = 0;
}

void said_made(struct relay_said *s, enum relay_stage stage,
	       enum relay_event event, struct span why)
{
	say(s, stage, event, why);
}

void said_too_big(struct relay_said *s, bool is_only)
{
	say(s, RELAY_CONTENT, is_only ? PRIMARY_NEVER : PRIMARY_CLOSED,
	    SPAN_LIT("(size) 5.3.4 Message is larger than the primary takes"));
}

/* ---- RCPT ---- */

/* It cannot go to this server as it is, whenever it is tried. */
static bool is_obstacle(struct span reply)
{
	struct span status = smtp_reply_made_status(reply);

	return status.n > 0 && status.p[0] == '5' &&
	       !span_eq(status, SPAN_LIT("5.7.10"));
}

void said_of_rcpt(struct relay_said *s, enum meaning m, struct span reply,
		  struct span from, bool is_only)
{
	enum relay_event event = PRIMARY_LATER;

	if (m == MEANS_YES)
		event = PRIMARY_YES;
	else if (m == MEANS_NEVER || (is_only && is_obstacle(reply)))
		event = PRIMARY_NEVER;
	say(s, RELAY_RCPT, event, reply);
	s->words.is_guess =
		event == PRIMARY_NEVER &&
		known_meaning_from(reply, from) == SAID_NO;
}

/* ---- The end of a job ---- */

static enum relay_stage stage_at(enum refused_at at)
{
	switch (at) {
	case REFUSED_AT_MAIL:
		return RELAY_MAIL;
	case REFUSED_NOT:
	case REFUSED_AT_RCPT:
		return RELAY_RCPT;
	case REFUSED_AT_DATA:
		return RELAY_DATA;
	case REFUSED_AT_CONTENT:
		break;
	}
	return RELAY_DOT;
}

/* By the names of delivery. */
static enum relay_stage stage_named(const char *name)
{
	static const struct {
		const char *name;
		enum relay_stage stage;
	} names[] = {
		{ "rset", RELAY_MAIL },	      { "sync", RELAY_MAIL },
		{ "quit", RELAY_MAIL },	      { "mail", RELAY_MAIL },
		{ "rcpt", RELAY_RCPT },	      { "data", RELAY_DATA },
		{ "content", RELAY_CONTENT }, { "dot", RELAY_DOT },
		{ "bdat", RELAY_DOT },
	};

	for (size_t i = 0; i < COUNT(names); i++)
		if (strcmp(names[i].name, name) == 0)
			return names[i].stage;
	return RELAY_CONNECT;
}

static enum relay_event event_of(const struct delivery_end *end)
{
	if (end->reply.made == NULL)
		return end->reply.code == 421 ? PRIMARY_LEAVES : PRIMARY_CLOSED;
	if (span_eq(buf_span(&end->reply.text), SPAN_LIT("Time-out")))
		return PRIMARY_SILENT;
	return PRIMARY_CLOSED;
}

/* Whom it had taken hears of it from the moment on at which content began, and
 * nobody else does. */
static enum relay_stage stage_of(const struct delivery_end *end,
				 const struct delivery_job *job, bool has_taken)
{
	enum relay_stage stage = stage_named(end->stage);

	if (!has_taken)
		return stage > RELAY_RCPT ? RELAY_RCPT : stage;
	if (job->in_doubt)
		return RELAY_DOT;
	return stage < RELAY_DATA ? RELAY_DATA : stage;
}

static void said_by_end(struct relay_said *s, const struct delivery_job *job,
			const struct delivery_end *end, bool has_taken,
			struct span reply)
{
	struct buf line = { 0 };

	if (end == NULL) { /* it cannot be spoken to so that it is certain */
		say(s, has_taken ? RELAY_DATA : RELAY_CONNECT, PRIMARY_CLOSED,
		    reply);
		return;
	}
	smtp_reply_print(&line, &end->reply);
	say(s, stage_of(end, job, has_taken), event_of(end), buf_span(&line));
	if (job->in_doubt && has_taken)
		s->fate = FATE_DOUBT; /* also where 421 came behind it */
	buf_fini(&line);
}

void said_of_job(struct relay_said *s, const struct delivery_job *job,
		 const struct delivery_end *end, size_t i, bool is_taken)
{
	const struct settlement *set = &job->set[i];

	MX_ASSERT(i < job->count);
	switch (set->outcome) {
	case OUTCOME_DELIVERED:
		say(s, RELAY_DOT, PRIMARY_YES, set->reply);
		break;
	case OUTCOME_PERMANENT:
		say(s, stage_at(job->failed_at), PRIMARY_NEVER, set->reply);
		break;
	case OUTCOME_TRANSIENT:
		say(s, stage_at(job->refused_at), PRIMARY_LATER, set->reply);
		break;
	default:
		said_by_end(s, job, end, is_taken, set->reply);
		break;
	}
}
