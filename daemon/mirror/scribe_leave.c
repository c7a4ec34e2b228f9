#include "daemon/mirror/scribe_priv.h"

/*
 * Leaving: the daemon takes no mail and begins no delivery any more; those
 * under way come to their end, and what they leave is sent in step, as ever.
 * Then all that is here is in the mirror, and others may take it at once.
 */

/* What ended a moment ago may still be on its way through the writer. */
enum { LOOK_MS = 100, QUIET_LOOKS = 10 };

static void run_busy(struct call *c)
{
	struct mirror *m = c->arg;

	call_done(c, MX_OK, m->opt.is_busy(m->opt.arg));
}

static bool is_busy(struct scribe *s)
{
	struct call *c = call_new(run_busy, NULL, sizeof(*c));
	bool busy = calls_wait(s->m->calls, c) != MX_OK || c->count != 0;

	call_release(c);
	return busy;
}

static enum turn hand_over(struct scribe *s)
{
	struct param p[] = { PARAM_INT(s->id.owner), PARAM_INT(s->id.fence) };
	enum mx_err err;

	/* before the database knows: from here on nothing is ours */
	board_lease(s->m, 0, 0);
	db_begin(s->db);
	db_send(s->db, SQL_LEAVE, p);
	err = db_commit(s->db, scribe_timeout(s));
	return err == MX_OK ? TURN_HANDED : scribe_failed(s, err);
}

enum turn scribe_leave(struct scribe *s)
{
	enum turn turn = scribe_in_step(s);

	if (turn != TURN_ASKED)
		return turn;
	s->quiet = is_busy(s) ? 0 : s->quiet + 1;
	if (s->quiet >= QUIET_LOOKS)
		return hand_over(s);
	return mirror_sleep(s->m, LOOK_MS) ? TURN_LOST : TURN_NONE;
}

/* Others take it.  What they have goes from here; the row stays left, also when
 * the connection has to be made anew. */
enum turn scribe_left(struct scribe *s)
{
	size_t n = 0;

	hand_close(s->m->hand);
	if (!db_is_open(s->db) && scribe_connect(s) != MX_OK) {
		(void)mirror_sleep(s->m, 2 * scribe_timeout(s));
		return TURN_NONE;
	}
	if (scribe_drop_taken(s, &n) != MX_OK)
		board_error(s->m, BOARD_SCRIBE, db_error(s->db));
	if (n == 0)
		(void)mirror_sleep(s->m, scribe_timeout(s));
	return TURN_NONE;
}
