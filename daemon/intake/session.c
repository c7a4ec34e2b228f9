/* The phases of a session and their deadlines; and the turns in which it does
 * what it can. */
#include "daemon/intake/intake_priv.h"

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/net/proxy.h"

enum {
	/* Replies that wait for a client to read them: past this its commands
	 * are not read either. */
	OUTPUT_MAX = 64 * 1024,
	/* Input that comes while the gate or the disk decides: past this it
	 * waits in the kernel.  Commands are read in pieces of that size, so
	 * that twice as much is all that a session holds. */
	INPUT_MAX = 4 * 1024,
	/*
	 * A turn of a session ends after so many steps (a command each, or a
	 * piece of content) or so many milliseconds.  All sessions that wait
	 * for another turn have TURNS_US of each round of the loop between
	 * them (one has its turn in any case): a client with few commands
	 * waits for a round with each of them.
	 */
	TURN_STEPS = 32,
	TURN_MS = 1,
	TURNS_US = 250,
};
_Static_assert(LINE_MAX_BYTES <= CONN_WHOLE_MAX(INPUT_MAX),
	       "a long line would never come to its end");
_Static_assert((int)PROXY_HEADER_MAX <= INPUT_MAX, /* none was taken before */
	       "a long header would never come to its end");

/* ---- The phases ---- */

enum pace {
	PACE_NONE,    /* we are what is waited for */
	PACE_PROXY,   /* a proxy sends its header at once */
	PACE_TLS,     /* a handshake is a few round trips */
	PACE_COMMAND, /* one whole line; a trickle does not extend it */
	PACE_DATA,    /* each piece of content, with a floor: see within_floor */
	PACE_CHUNK,   /* the next command of it, above the same floor */
	PACE_ASK,     /* links have deadlines; this is the last resort */
};

enum {
	PROXY_MS = 5 * 1000,
	TLS_MS = 60 * 1000, /* or less, see tls_ms */
	/* A client waits five minutes for the greeting and for the replies to
	 * MAIL and RCPT (RFC 5321 section 4.5.3.2). */
	ASK_MS = 4 * 60 * 1000,
	/* Slower than this for five times data_timeout is no honest client:
	 * it would hold its place for days by one byte now and then. */
	FLOOR_BYTES_PER_S = 64,
	FLOOR_GRACE = 5,
	OVERDUE = -1, /* the deadline that was set stands */
};

static enum step step_hold(struct session *s);

/* clang-format off */
static const struct {
	const char *name; /* in the log, when the client falls silent */
	enum pace pace;
	enum step (*run)(struct session *s);
} phases[PH_COUNT] = {
	[PH_PROXY]  = { "proxy",   PACE_PROXY,   step_proxy },
	[PH_TLS]    = { "tls",     PACE_TLS,     step_hold },
	[PH_HELLO]  = { "connect", PACE_COMMAND, step_command },
	[PH_READY]  = { "ready",   PACE_COMMAND, step_command },
	[PH_MAIL]   = { "mail",    PACE_COMMAND, step_command },
	[PH_RCPT]   = { "rcpt",    PACE_COMMAND, step_command },
	[PH_BDAT]   = { "bdat",    PACE_CHUNK,   step_command },
	[PH_CHUNK]  = { "bdat",    PACE_DATA,    step_chunk },
	[PH_DATA]   = { "data",    PACE_DATA,    step_data },
	[PH_ASK]    = { "ask",     PACE_ASK,     step_hold },
	[PH_CARRY]  = { "relay",   PACE_NONE,    step_hold },
	[PH_HAND_OVER] = { "relay", PACE_NONE,   step_hold },
	[PH_COMMIT] = { "commit",  PACE_NONE,    step_hold },
};
/* clang-format on */

int64_t session_floor_ms(const struct session *s)
{
	return (int64_t)(s->paced_bytes / FLOOR_BYTES_PER_S) * 1000;
}

/*
 * Whatever comes of the content extends its deadline (RFC 5321 section
 * 4.5.3.2.5 counts three minutes for each piece), but only as far as the floor
 * permits, be it in one chunk or in many.  OVERDUE: nothing extends it.
 */
static int64_t within_floor(const struct session *s, int64_t timeout_ms)
{
	int64_t floor_ms =
		FLOOR_GRACE * session_config(s)->limits.data_timeout_ms +
		session_floor_ms(s);
	int64_t left_ms = floor_ms - (clock_mono_ms() - s->paced_ms);

	if (left_ms < 1)
		return OVERDUE;
	return left_ms < timeout_ms ? left_ms : timeout_ms;
}

/* For the whole handshake, in however many pieces it comes.  Whoever sets a
 * shorter command_timeout does not want to wait longer for this. */
static int64_t tls_ms(const struct config *c)
{
	return c->limits.command_timeout_ms < TLS_MS
		       ? c->limits.command_timeout_ms
		       : TLS_MS;
}

void session_arm(struct session *s)
{
	const struct config *c = session_config(s);
	int64_t ms = 0;

	switch (phases[s->phase].pace) {
	case PACE_NONE:
		break;
	case PACE_PROXY:
		ms = PROXY_MS;
		break;
	case PACE_TLS:
		ms = tls_ms(c);
		break;
	case PACE_COMMAND:
		ms = c->limits.command_timeout_ms;
		break;
	case PACE_DATA:
		ms = within_floor(s, c->limits.data_timeout_ms);
		break;
	case PACE_CHUNK:
		ms = within_floor(s, c->limits.command_timeout_ms);
		break;
	case PACE_ASK:
		ms = ASK_MS;
		break;
	}
	if (ms != OVERDUE)
		conn_deadline(s->conn, ms);
	s->active_ms = clock_mono_ms();
}

const char *session_phase(const struct session *s)
{
	return phases[s->phase].name;
}

bool session_awaits_client(const struct session *s)
{
	return phases[s->phase].pace == PACE_COMMAND ||
	       phases[s->phase].pace == PACE_DATA ||
	       phases[s->phase].pace == PACE_CHUNK;
}

bool session_is_in_our_hands(const struct session *s)
{
	return s->phase >= PH_ASK ||
	       (s->mail != NULL &&
		(s->mail->waiter.is_waiting || s->mail->is_full));
}

/* ---- The driver ---- */

void session_pause(struct session *s)
{
	if (s->is_paused || s->is_eof)
		return;
	s->is_paused = true;
	conn_pause(s->conn);
}

/* Does it not read our replies?  Then it is not read either, so that what waits
 * for it in memory is bounded. */
static bool is_clogged(struct session *s)
{
	if (s->is_eof || conn_output_pending(s->conn) <= OUTPUT_MAX)
		return false;
	conn_flush(s->conn);
	if (conn_output_pending(s->conn) <= OUTPUT_MAX)
		return false;
	session_pause(s);
	return true;
}

/* STEP_ON: its turn is over, and there is more to do. */
static enum step take_steps(struct session *s)
{
	const int64_t begun_ms = clock_mono_ms();
	enum step step = STEP_ON;

	for (int i = 0; step == STEP_ON && i < TURN_STEPS; i++) {
		step = is_clogged(s) ? STEP_WAIT : phases[s->phase].run(s);
		if (step == STEP_ON && clock_mono_ms() > begun_ms + TURN_MS)
			break;
	}
	return step;
}

/* Turns are given in the next round of the loop, too. */
static void next_round(struct intake *in)
{
	if (ev_is_active(&in->turn)) /* not to be set then */
		return;
	ev_timer_set(&in->turn, 0., 0.);
	ev_timer_start(in->loop, &in->turn);
}

static void queue_up(struct session *s)
{
	struct intake *in = s->in;

	s->is_queued = true;
	TAILQ_INSERT_TAIL(&in->turns, s, turn);
	next_round(in);
	conn_flush(s->conn);
}

void session_set_reading(struct session *s)
{
	conn_read_most(s->conn, phases[s->phase].pace == PACE_DATA ? SIZE_MAX
								   : INPUT_MAX);
}

/* Do what can be done in one turn; frees the session when it ends. */
static void take_turn(struct session *s)
{
	enum step step;

	MX_ASSERT(!s->is_driven);
	s->is_driven = true;
	step = take_steps(s);
	s->is_driven = false;
	session_set_reading(s);
	s->is_greedy = step == STEP_ON || (step == STEP_WAIT && s->is_paused);
	if (step == STEP_ON) {
		queue_up(s);
		return;
	}
	if (step == STEP_WAIT && s->in->is_stopping &&
	    (s->phase == PH_HELLO || s->phase == PH_READY))
		step = session_bye(s, SAY_STOPPING);
	/* After a half-close only what is in our own hands goes on. */
	if (step == STEP_WAIT && s->is_eof && !session_is_in_our_hands(s))
		step = STEP_END;
	if (step == STEP_END)
		session_end(s, "end"); /* frees s: nothing may follow */
	else
		conn_flush(s->conn); /* this may be no event of conn's */
}

/* Who left more undone in his last turn than it had room for waits with the
 * others of his kind. */
void session_drive(struct session *s)
{
	if (s->is_queued)
		return; /* its turn comes */
	if (s->is_greedy)
		queue_up(s);
	else
		take_turn(s);
}

/* Round robin: whoever needs yet another turn goes to the end.  The timer is
 * due in the next round of the loop, so that what arrives is served in between.
 */
static void on_turn(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct intake *in = w->data;
	const int64_t begun_us = clock_mono_us();
	struct session *last = TAILQ_LAST(&in->turns, session_turns), *s;

	(void)loop;
	(void)revents;
	while ((s = TAILQ_FIRST(&in->turns)) != NULL) {
		bool is_last = s == last;

		TAILQ_REMOVE(&in->turns, s, turn);
		s->is_queued = false;
		take_turn(s); /* may free s */
		if (is_last || clock_mono_us() >= begun_us + TURNS_US)
			break;
	}
	if (!TAILQ_EMPTY(&in->turns))
		next_round(in);
}

void session_turns_init(struct intake *in)
{
	TAILQ_INIT(&in->turns);
	ev_timer_init(&in->turn, on_turn, 0., 0.);
	in->turn.data = in;
}

void session_turns_fini(struct intake *in)
{
	ev_timer_stop(in->loop, &in->turn);
}

void session_go_on(struct session *s)
{
	bool was_paused = s->is_paused;

	s->is_paused = false;
	session_arm(s);
	if (!was_paused || s->is_eof) {
		session_drive(s);
		return;
	}
	conn_flush(s->conn);
	conn_resume(s->conn); /* offers the input again */
}

void session_answered(struct session *s, enum step step)
{
	if (step == STEP_END) {
		session_end(s, "end");
		return;
	}
	session_arm(s); /* the wait was not the client's fault */
	if (s->is_paused) {
		s->is_paused = false;
		conn_resume(s->conn);
	}
	if (!s->is_queued)
		queue_up(s);
}

/* The client may send more, but beyond a bound it is not read. */
static enum step step_hold(struct session *s)
{
	if (s->phase == PH_ASK && session_input_pending(s)) {
		enum step step = session_spoke(s);

		if (step != STEP_WAIT)
			return step;
	}
	if (session_is_in_our_hands(s) && conn_input(s->conn).n > INPUT_MAX)
		session_pause(s);
	return STEP_WAIT;
}
