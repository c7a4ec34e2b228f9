/*
 * One message that kills or silences the primary must not hold the others; and
 * most that were under way when a network broke are innocent.
 *
 *           lost                another went through
 *   (unit) -----> set aside ------------------------------> side connection
 *                    |                                        |   |     ^
 *                    | nothing else waits                answered lost  | due
 *                    v                                        |   v     |
 *               usual connection --lost----------------> waits twice what
 *                    |                                   it has cost so far
 *                    +--answered--> forgotten <----------+
 *
 * Example, with the time-outs of RFC 5321: the primary hangs at the end of a
 * message.  After 10 minutes the connection is given up; the newest message
 * goes first and is taken, the others follow, newest first and one at a time
 * for each connection, and the bad one has a connection of its own beside
 * them.  That is lost after 10 minutes more; the message waits 40 minutes, and
 * nobody with it.
 */
#include "daemon/drain/suspect.h"

bool suspect_lost(struct suspect *s, int64_t cost_ms, int64_t now_ms)
{
	s->losses++;
	s->cost_ms += cost_ms;
	if (s->losses == 1)
		return false;
	s->due_ms = now_ms + 2 * s->cost_ms;
	return true;
}

enum suspect_way suspect_way(const struct suspect *s, bool is_alone,
			     bool is_well, int64_t now_ms)
{
	if (now_ms < s->due_ms)
		return WAY_NONE;
	if (is_alone && s->losses == 1)
		return WAY_USUAL;
	return is_alone || is_well ? WAY_SIDE : WAY_NONE;
}
