/* How long the loop's turns take. */
#include "daemon/web/turn.h"

#include <criterion/criterion.h>

#include "common/base/clock.h"
#include "common/base/metrics.h"

enum { WORK_MS = 30, WAIT_MS = 300 };

static void on_work(struct ev_loop *loop, ev_timer *w, int revents)
{
	int64_t until_ms = clock_mono_ms() + WORK_MS;

	(void)w;
	(void)revents;
	while (clock_mono_ms() < until_ms)
		continue;
	ev_break(loop, EVBREAK_ONE);
}

static void work_after(struct ev_loop *loop, int64_t ms)
{
	ev_timer timer;

	ev_timer_init(&timer, on_work, (double)ms / 1000., 0.);
	ev_timer_start(loop, &timer);
	ev_run(loop, 0);
	ev_run(loop, EVRUN_NOWAIT); /* the turn ends with the next wait */
}

Test(turn, work_counts_and_waiting_does_not)
{
	struct ev_loop *loop = ev_loop_new(0);
	const struct metric *row = metric_get(METRIC_TURN);
	struct metrics before, m;
	struct turn t;
	uint64_t sum_us;

	metrics_read(&before);
	turn_start(&t, loop);
	work_after(loop, WAIT_MS);
	metrics_read(&m);
	sum_us = metrics_sum(&m, METRIC_TURN) -
		 metrics_sum(&before, METRIC_TURN);
	cr_expect_geq(sum_us, (WORK_MS - 1) * 1000);
	cr_expect_gt(metrics_up_to(&m, METRIC_TURN, row->count),
		     metrics_up_to(&m, METRIC_TURN, 2),
		     "none was longer than 20 ms");
	turn_stop(&t, loop);
	before = m;
	work_after(loop, 1);
	metrics_read(&m);
	cr_expect_eq(metrics_up_to(&m, METRIC_TURN, row->count),
		     metrics_up_to(&before, METRIC_TURN, row->count));
	ev_loop_destroy(loop);
}
