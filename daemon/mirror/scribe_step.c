#include <poll.h>

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/base/metrics.h"
#include "daemon/mirror/scribe_priv.h"

/* In step: each batch of the spool is written here as it is written there. */

enum turn scribe_serve(struct scribe *s)
{
	int64_t begin_us = clock_mono_us();
	uint64_t seq;
	struct parcel *p = hand_take(s->m->hand, &seq);
	enum mx_err err;

	if (p == NULL)
		return TURN_NONE;
	err = scribe_send(s, SQL_FENCE, p, seq);
	metrics_observe(METRIC_MIRROR_COMMIT, clock_mono_us() - begin_us);
	if (err == MX_OK)
		scribe_renewed(s);
	hand_answer(s->m->hand, err);
	parcel_free(&p);
	return err == MX_OK ? TURN_NONE : scribe_failed(s, err);
}

/* A parcel, the time to renew, the connection's end, or ours. */
static void await(struct scribe *s)
{
	enum { LOOK_MS = 1000 }; /* at what the loop and a reload changed */
	struct pollfd fds[] = {
		{ .fd = hand_fd(s->m->hand), .events = POLLIN },
		{ .fd = s->m->stop_fd, .events = POLLIN },
		{ .fd = db_socket(s->db), .events = POLLIN },
	};
	int64_t left_ms = scribe_renew_at(s) - clock_boot_ms();

	if (left_ms > LOOK_MS)
		left_ms = LOOK_MS;
	(void)poll(fds, COUNT(fds), left_ms > 0 ? (int)left_ms : 0);
	if (fds[2].revents != 0)
		db_look(s->db);
}

enum turn scribe_in_step(struct scribe *s)
{
	enum turn turn = scribe_serve(s);

	if (turn == TURN_NONE && !hand_is_open(s->m->hand))
		turn = TURN_LACKS;
	if (turn == TURN_NONE)
		turn = scribe_renew(s);
	if (turn != TURN_NONE)
		return turn;
	if (atomic_load(&s->m->is_lacking))
		return TURN_KNOWN; /* something was noted: send it */
	if (atomic_load(&s->m->is_leaving))
		return TURN_ASKED;
	await(s);
	if (db_is_open(s->db))
		return TURN_NONE;
	return scribe_failed(s, MX_ENET);
}
