/* Deferred units that are due. */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "daemon/drain/drain_priv.h"
#include "daemon/drain/due.h"
#include "daemon/drain/retry.h"

void due_arm(struct drain *d, ev_timer *w, int64_t wait_ms)
{
	if (wait_ms < 0)
		wait_ms = 0;
	if (wait_ms > MINUTES(1))
		wait_ms = MINUTES(1); /* the wall clock may be set meanwhile */
	ev_timer_stop(d->loop, w);
	ev_timer_set(w, (double)wait_ms / 1000., 0.);
	ev_timer_start(d->loop, w);
}

/*
 * Nobody waits longer than the longest step of a retry, unless the clock was
 * ahead when that was decided, and then was set right: all are due now, since
 * nobody can say which of them had waited enough.
 */
static bool was_set_back(struct drain *d, int64_t now)
{
	int64_t last;

	return spool_last_due(d->spool, &last) == MX_OK &&
	       last - now > retry_longest_ms(d->config) + MINUTES(1);
}

static void on_due(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct drain *d = w->data;
	int64_t now = clock_wall_ms();
	int64_t at;

	(void)loop;
	(void)revents;
	d->due_at_ms = 0;
	/* what the writer is at is not listed, and it may fail: look again */
	if (spool_next_due(d->spool, &at) != MX_OK) {
		due_arm(d, &d->due, MINUTES(1));
		return;
	}
	if (at <= now) {
		spool_requeue_due(d->spool, now);
		at = now + 200; /* the writer has it; then look again */
	} else if (was_set_back(d, now)) {
		log_warn(EV_WAKE, LOG_STR("why", "the clock was set back"));
		spool_requeue_due(d->spool, INT64_MAX / 2);
		at = now + SECONDS(1);
	}
	due_at(d, at);
}

void due_end_at(struct drain *d, int64_t at_ms)
{
	int64_t wait_ms = at_ms - clock_wall_ms();

	if (wait_ms < 0)
		wait_ms = 0;
	if (ev_timer_remaining(d->loop, &d->ends) * 1000. > (double)wait_ms)
		due_arm(d, &d->ends, wait_ms);
}

void due_at(struct drain *d, int64_t due_ms)
{
	int64_t wait = due_ms - clock_wall_ms();

	if (d->due_at_ms != 0 && d->due_at_ms <= due_ms)
		return;
	d->due_at_ms = due_ms;
	due_arm(d, &d->due, wait < 50 ? 50 : wait);
}

void due_start(struct drain *d)
{
	ev_timer_init(&d->due, on_due, 0., 0.);
	d->due.data = d;
	due_arm(d, &d->due, 0);
}

void due_stop(struct drain *d)
{
	ev_timer_stop(d->loop, &d->due);
}
