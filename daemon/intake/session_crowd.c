/* When places are short: which session goes, for one that comes. */
#include "common/base/clock.h"
#include "daemon/intake/intake_priv.h"

enum {
	LOOK_AT = 64,	    /* sessions a newcomer looks at: a bounded piece */
	IDLE_MS = 2 * 1000, /* a command is on its way for less than that */
	STALLED_MS = 30 * 1000, /* as is the next one of a transaction */
};
/* Who is in no transaction goes before those who stall one. */
static const int64_t idle_first_ms = INT64_C(1) << 40;

/* How long the client has held its transaction up.  Content below the floor is a
 * trickle that does no more than hold the place. */
static int64_t stalled_ms(const struct session *s, int64_t now_ms)
{
	int64_t ms = now_ms - s->active_ms, slow_ms;

	if (s->phase != PH_DATA && s->phase != PH_CHUNK && s->phase != PH_BDAT)
		return ms;
	slow_ms = now_ms - s->paced_ms - session_floor_ms(s);
	return ms > slow_ms ? ms : slow_ms;
}

/* How little it would be missed; 0: it stays. */
static int64_t expendable(const struct session *s, int64_t now_ms)
{
	int64_t ms;

	if (session_is_in_our_hands(s))
		return s->phase != PH_COMMIT && s->phase != PH_HAND_OVER &&
		       s->is_entered &&
		       policy_has_many(s->in->policy, &s->client);
	ms = s->mail != NULL ? stalled_ms(s, now_ms) : now_ms - s->active_ms;
	if (s->mail == NULL && ms >= IDLE_MS)
		return idle_first_ms + ms;
	if (s->mail != NULL && ms >= STALLED_MS)
		return ms;
	return s->is_entered && policy_has_many(s->in->policy, &s->client);
}

/* A session that was looked at goes to the end of the list: the next newcomer
 * looks at others. */
bool session_make_room(struct intake *in)
{
	const int64_t now_ms = clock_mono_ms();
	struct session *s, *found = NULL;
	int64_t most = 0, value;

	for (int i = 0; i < LOOK_AT; i++) {
		s = TAILQ_FIRST(&in->sessions);
		if (s == NULL)
			break;
		TAILQ_REMOVE(&in->sessions, s, link);
		TAILQ_INSERT_TAIL(&in->sessions, s, link);
		value = expendable(s, now_ms);
		if (value > most) {
			most = value;
			found = s;
		}
	}
	if (found == NULL)
		return false;
	session_send_away(found, SAY_CROWDED, "crowded");
	return true;
}
