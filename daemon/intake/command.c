/*
 * The table is the grammar: what may be said when.
 */
#include "daemon/intake/intake_priv.h"

#include "common/base/assert.h"
#include "common/base/clock.h"

static enum step run_rset(struct session *s, struct span arg)
{
	(void)arg;
	mail_drop(s);
	s->is_failed = false;
	return session_say(s, SAY_OK);
}

static enum step run_noop(struct session *s, struct span arg)
{
	(void)arg;
	return session_say(s, SAY_OK);
}

/* RFC 5321 section 3.5.3: 252 is the answer of who does not tell. */
static enum step run_vrfy(struct session *s, struct span arg)
{
	if (arg.n == 0)
		return session_refuse(s, SAY_SYNTAX, arg);
	return session_say(s, SAY_VRFY);
}

static enum step run_help(struct session *s, struct span arg)
{
	(void)arg;
	return session_say(s, SAY_HELP);
}

static enum step run_quit(struct session *s, struct span arg)
{
	(void)arg;
	return session_bye(s, SAY_BYE);
}

/* Known to RFC 5321 and not done here: 502, not 500 (section 4.2.4). */
static enum step run_not_here(struct session *s, struct span arg)
{
	(void)arg;
	return session_refuse(s, SAY_NOT_HERE, span_str(s->stage));
}

/* A browser made to speak to port 25: nothing of it is a command. */
static enum step run_http(struct session *s, struct span arg)
{
	(void)arg;
	return session_bye(s, SAY_HTTP);
}

enum {
	/* The command takes nothing behind its name. */
	NO_ARG = 1,
	/*
	 * What stands behind it in the same packet was sent without knowing
	 * our answer and would be read as something else by a server that
	 * answered differently: close.  RFC 2920 section 3.1 says more
	 * commands must stand last; for those it does no harm not to insist.
	 */
	ALONE = 2,
	/* It leads to a message. */
	MAIL = 4,
	/* It may be on its way when MAIL is refused (RFC 2920 section 3.1). */
	BEHIND_MAIL = 8,
};

/* So many others without a message between them are no honest client's: those
 * that ask after addresses, or keep us busy. */
enum { CHATTER_MAX = 50 };

struct command {
	struct span verb;
	const char *stage; /* in the log */
	unsigned at;	   /* phases that allow it, elsewhere 503 */
	unsigned flags;
	enum step (*run)(struct session *s, struct span arg);
};

#define ROW(verb, stage, at, flags, run)                                       \
	{ { verb, sizeof(verb) - 1 }, stage, at, flags, run },
/* clang-format off */
static const struct command commands[] = {
	ROW("MAIL",     "mail",     AT_READY,  MAIL,           run_mail)
	ROW("RCPT",     "rcpt",     AT_SENDER, MAIL | BEHIND_MAIL, run_rcpt)
	ROW("DATA",     "data",     AT_SENDER,
	    MAIL | BEHIND_MAIL | NO_ARG | ALONE, run_data)
	ROW("BDAT",     "bdat",     AT_ANY,    MAIL,           run_bdat)
	ROW("EHLO",     "ehlo",     AT_ANY,    0,              run_ehlo)
	ROW("HELO",     "helo",     AT_ANY,    0,              run_helo)
	ROW("RSET",     "rset",     AT_ANY,    NO_ARG,         run_rset)
	ROW("QUIT",     "quit",     AT_ANY,    MAIL | NO_ARG,  run_quit)
	ROW("STARTTLS", "starttls", AT_READY,  NO_ARG | ALONE, run_starttls)
	ROW("NOOP",     "noop",     AT_ANY,    0,              run_noop)
	ROW("VRFY",     "vrfy",     AT_ANY,    0,              run_vrfy)
	ROW("HELP",     "help",     AT_ANY,    0,              run_help)
	ROW("ETRN",     "etrn",     AT_READY,  0,              run_etrn)
	ROW("EXPN",     "expn",     AT_ANY,    0,              run_not_here)
	ROW("AUTH",     "auth",     AT_ANY,    0,              run_not_here)
	ROW("TURN",     "turn",     AT_ANY,    0,              run_not_here)
	ROW("ATRN",     "atrn",     AT_ANY,    0,              run_not_here)
	ROW("SEND",     "send",     AT_ANY,    0,              run_not_here)
	ROW("SOML",     "soml",     AT_ANY,    0,              run_not_here)
	ROW("SAML",     "saml",     AT_ANY,    0,              run_not_here)
	ROW("GET",      "http",     AT_ANY,    0,              run_http)
	ROW("POST",     "http",     AT_ANY,    0,              run_http)
	ROW("CONNECT",  "http",     AT_ANY,    0,              run_http)
};
/* clang-format on */

static const struct command *command_find(struct span verb)
{
	for (size_t i = 0; i < COUNT(commands); i++)
		if (span_ieq(commands[i].verb, verb))
			return &commands[i];
	return NULL;
}

/* A transaction goes by the configuration it began with, all of which it
 * keeps: 10,000,000 recipients may stand there.  So long is enough for any
 * that is not only kept alive. */
static bool is_outdated(const struct session *s)
{
	return s->mail != NULL && s->mail->config != s->in->config &&
	       clock_mono_ms() - s->mail->began_ms > MINUTES(10);
}

/* A group that was sent before its MAIL was refused is one error, or a hundred
 * recipients would end the session; more than there may be are none of it. */
static enum step out_of_place(struct session *s, const struct command *c,
			      struct span line)
{
	if (s->phase == PH_HELLO)
		return session_refuse(s, SAY_HELO_FIRST, line);
	if (s->phase != PH_READY || !s->is_failed ||
	    !(c->flags & BEHIND_MAIL) ||
	    s->pardoned++ > s->in->config->limits.recipients)
		return session_refuse(s, SAY_SEQUENCE, line);
	s->is_failed = c->run != run_data; /* the last of the group */
	return session_refuse_again(s, SAY_SEQUENCE);
}

/* One line without its CRLF.  Known?  In its place?  Then run it. */
static enum step session_command(struct session *s, struct span line)
{
	struct span arg = line, verb = span_cut(&arg, ' ');
	const struct command *c = command_find(verb);

	s->stage = "command";
	if (s->in->is_stopping)
		return session_bye(s, SAY_STOPPING);
	if (is_outdated(s))
		return session_bye(s, SAY_OUTDATED);
	if (c == NULL)
		return session_refuse(s, SAY_UNKNOWN, line);
	s->stage = c->stage;
	if (!(c->flags & MAIL) && ++s->chatter > CHATTER_MAX)
		return session_bye(s, SAY_CHATTER);
	if ((c->flags & ALONE) && session_input_pending(s))
		return session_bye(s, SAY_PIPELINING);
	if (!(c->at & 1u << s->phase))
		return out_of_place(s, c, line);
	arg = span_trim(arg);
	if ((c->flags & NO_ARG) && arg.n > 0)
		return session_refuse(s, SAY_NO_ARGUMENT, line);
	return c->run(s, arg);
}

enum step step_command(struct session *s)
{
	struct span in = conn_input(s->conn), line = { NULL, 0 };
	bool skipping = s->is_skipping;
	char *copy = asked_ready(s->in)->line;
	enum line_kind kind;
	enum step step;
	size_t used;

	if (in.n == 0)
		return STEP_WAIT;
	kind = line_cut(in, &skipping, &line, &used);
	s->is_skipping = skipping;
	s->stage = "command";
	/* The line is ours from here on: what runs it may write and consume. */
	memcpy(copy, line.n > 0 ? line.p : "", line.n);
	line.p = copy;
	if (used > 0)
		conn_consume(s->conn, used);
	switch (kind) {
	case LINE_MORE:
		return STEP_WAIT;
	case LINE_LONG:
		step = session_refuse(s, SAY_TOO_LONG, line);
		break;
	case LINE_BARE:
		step = session_refuse(s, SAY_BARE, line);
		break;
	default:
		step = session_command(s, line);
		break;
	}
	session_arm(s);
	return step;
}
