#include "daemon/mirror/scribe_priv.h"

#include <stdlib.h>

#include "common/base/alloc.h"
#include "common/base/assert.h"
#include "common/base/random.h"

static enum turn (*const steps[COURSE_COUNT])(struct scribe *s) = {
	[COURSE_AWAY] = scribe_away,	     [COURSE_RETURNING] = scribe_return,
	[COURSE_COMPARING] = scribe_compare, [COURSE_CATCHING] = scribe_catch,
	[COURSE_STEP] = scribe_in_step,	     [COURSE_LEAVING] = scribe_leave,
	[COURSE_LEFT] = scribe_left,
};

static const enum mirror_state states[COURSE_COUNT] = {
	[COURSE_AWAY] = MIRROR_AWAY,	    [COURSE_RETURNING] = MIRROR_BEHIND,
	[COURSE_COMPARING] = MIRROR_BEHIND, [COURSE_CATCHING] = MIRROR_BEHIND,
	[COURSE_STEP] = MIRROR_STEP,	    [COURSE_LEAVING] = MIRROR_LEAVING,
	[COURSE_LEFT] = MIRROR_LEFT,
};

/* Whatever leads away ends the identity, and the writer hears of it. */
static void turn_to(struct scribe *s, enum course next, enum turn why)
{
	static const struct identity nobody;

	if (next == s->course)
		return;
	if (states[next] == MIRROR_AWAY || states[next] == MIRROR_BEHIND) {
		board_step(s->m, false);
		hand_close(s->m->hand);
	}
	if (next == COURSE_AWAY) {
		db_close(s->db);
		board_identity(s->m, &nobody);
		board_cut(s->m);
		s->has_lease = false;
	}
	if (next == COURSE_STEP) {
		board_step(s->m, true);
		s->tries = 0;
	}
	s->after = 0;
	s->course = next;
	board_state(s->m, states[next],
		    why == TURN_LACKS ? "the spool did not wait any longer"
				      : "");
}

/* When we stop, only a writer in step needs us. */
static bool is_over(struct scribe *s)
{
	return atomic_load(&s->m->is_stopping) && s->course != COURSE_STEP &&
	       s->course != COURSE_LEAVING;
}

/* For whoever wonders why this node is silent.  Not as long as anything waits:
 * that is taken over if we are away for long. */
static void say_stopped(struct scribe *s)
{
	enum { GOODBYE_MS = 1000 };
	struct param p[] = { PARAM_INT(s->id.owner), PARAM_INT(s->id.fence) };

	if (s->course != COURSE_STEP || !hand_is_open(s->m->hand) ||
	    !db_is_open(s->db) || atomic_load(&s->m->is_lacking))
		return;
	db_outlast(s->db);
	db_begin(s->db);
	db_send(s->db, SQL_STOP, p);
	(void)db_commit(s->db, GOODBYE_MS);
}

static void *run(void *arg)
{
	struct scribe *s = arg;

	while (!mirror_sleep(s->m, 0)) {
		enum turn turn;
		enum course next;

		if (is_over(s)) {
			hand_close(s->m->hand);
			(void)mirror_sleep(s->m, -1);
			break;
		}
		turn = steps[s->course](s);
		next = course_next(s->course, turn);
		MX_ASSERT(next != COURSE_COUNT);
		turn_to(s, next, turn);
	}
	say_stopped(s);
	hand_close(s->m->hand);
	db_close(s->db);
	return NULL;
}

struct scribe *scribe_start(struct mirror *m)
{
	struct scribe *s = mx_alloc(sizeof(*s));
	struct buf name = { 0 };

	buf_addf(&name, "mx20 %s", m->node);
	s->m = m;
	s->random = random_secret();
	s->db = db_new(&(struct db_options){ m->conninfo, buf_cstr(&name),
					     m->stop_fd });
	buf_fini(&name);
	if (mirror_thread(&s->thread, run, s))
		return s;
	db_free(&s->db);
	free(s);
	return NULL;
}

bool scribe_join(struct scribe **sp)
{
	struct scribe *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return true;
	if (!mirror_join(s->thread))
		return false;
	db_free(&s->db);
	free(s);
	return true;
}
