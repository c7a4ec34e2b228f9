/* The whole of it on one loop: a spool, a router with primary=, the drain,
 * and a scripted server. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/assert.h"
#include "common/base/metrics.h"
#include "common/base/clock.h"
#include "daemon/drain/drain_priv.h"
#include "tests/support/drain_world.h"

Test(drain, mail_goes_when_it_comes)
{
	struct world w;

	world_begin(&w, "", NULL);
	cr_expect(drain_flows(w.drain, SPAN_LIT("d0.example")), "who knows?");
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_queued(&w) == 0);
	cr_assert_eq(w.peer->message_count, 1);
	cr_assert_eq(world_state(&w, "d0.example"), DRAIN_UP);
	cr_expect(drain_flows(w.drain, SPAN_LIT("d0.example")));
	/* three domains, one destination, one connection */
	world_send_one(&w, "u@d1.example");
	world_send_one(&w, "u@d2.example");
	WAIT_FOR(&w, world_queued(&w) == 0);
	cr_assert_eq(w.peer->connections, 1);
	world_end(&w);
}

Test(drain, mail_waits_for_the_primary)
{
	struct world w;
	struct status_destination st;

	world_begin(&w, "", NULL);
	peer_stop(w.peer);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_state(&w, "d0.example") == DRAIN_DOWN);
	cr_assert(drain_status(w.drain, SPAN_LIT("d0.example"), &st));
	cr_assert_eq(st.target_count, 1);
	cr_assert_gt(st.since_ms, 0);
	cr_assert_gt(st.next_probe_ms, 0);
	cr_expect_not(drain_flows(w.drain, SPAN_LIT("d0.example")));
	cr_assert(drain_is_target(w.drain, SPAN_LIT("d0.example"),
				  &w.peer->addr));
	peer_start(w.peer);
	drain_heard_from(w.drain, &w.peer->addr);
	WAIT_FOR(&w, world_queued(&w) == 0);
	world_end(&w);
}

/* Nothing can be sent before a restart: the next probe is not waited for. */
Test(drain, rests_when_the_disk_has_failed)
{
	struct world w;
	unsigned before;
	bool is_over = false;

	world_begin(&w, "", NULL);
	peer_stop(w.peer);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_state(&w, "d0.example") == DRAIN_DOWN);
	w.drain->is_broken = true;
	before = ev_iteration(w.loop);
	peer_run(w.loop, &is_over, 1500); /* the probe was due after 1 s */
	cr_expect_lt(ev_iteration(w.loop) - before, 1000);
	world_end(&w);
}

static int refusals;

static const char *busy_once(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	if (strncmp(line, "RCPT", 4) == 0 && refusals-- > 0)
		return "450 4.2.1 busy";
	return NULL;
}

static uint64_t counted(enum metric_id id)
{
	struct metrics m;

	metrics_read(&m);
	return m.numbers[id][0];
}

Test(drain, a_transient_failure_waits_its_retry)
{
	struct world w;
	int64_t began = clock_wall_ms(); /* by this it is due */

	refusals = 1;
	world_begin(&w, "drain = { retry = [ \"1s\" ]; };", busy_once);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, counted(METRIC_DELIVERED) == 1);
	cr_assert_geq(clock_wall_ms() - began, 1000);
	cr_assert_eq(world_queued(&w), 0);
	cr_assert_eq(peer_saw(w.peer, "MAIL"), 2);
	cr_assert_eq(counted(METRIC_DEFERRED), 1);
	cr_assert_eq(counted(METRIC_REFUSED), 0);
	world_end(&w);
}

static const char *unknown_u1(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	return strstr(line, "RCPT TO:<u1@") != NULL ? "550 5.1.1 unknown"
						    : NULL;
}

static bool is_held(struct world *w, const char *domain)
{
	struct spool_domain row = world_row(w, domain);

	return row.held == 1 && row.ready + row.deferred == 0;
}

Test(drain, one_recipient_fails_the_other_goes)
{
	static const char *const paths[] = { "u1@d0.example", "u2@d0.example",
					     "u3@d1.example" };
	struct world w;

	world_begin(&w, "bounce = { mode = \"hold\"; };", unknown_u1);
	world_send(&w, paths, COUNT(paths));
	WAIT_FOR(&w, is_held(&w, "d0.example"));
	WAIT_FOR(&w, w.peer->message_count == 2);
	cr_assert_eq(world_queued(&w), 1);
	WAIT_FOR(&w, counted(METRIC_DELIVERED) == 2);
	cr_assert_eq(counted(METRIC_REFUSED), 1);
	cr_assert_eq(counted(METRIC_REPORTS_SENT), 0);
	world_end(&w);
}

static const char *hang_at_dot(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	return strcmp(line, ".") == 0 && refusals-- > 0 ? PEER_HANG : NULL;
}

/* A stop in the middle loses nothing and leaves nothing behind. */
Test(drain, stopped_in_the_middle_and_started_again)
{
	struct world w;

	refusals = 1;
	world_begin(&w, "", hang_at_dot);
	for (int i = 0; i < 10; i++)
		world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, w.peer->message_count == 1);
	cr_assert_gt(drain_busy(w.drain), 0);
	drain_stop(w.drain);
	drain_free(&w.drain);
	world_start_drain(&w);
	WAIT_FOR(&w, world_queued(&w) == 0);
	cr_assert_geq(w.peer->message_count, 10);
	world_end(&w);
}

/* Nobody is sent what is being sent: as many messages as there are. */
Test(drain, each_message_once)
{
	struct world w;

	world_begin(&w, "", NULL);
	peer_stop(w.peer);
	for (int i = 0; i < 120; i++)
		world_send_one(&w, i % 2 ? "u@d0.example" : "u@d1.example");
	peer_start(w.peer);
	drain_flush(w.drain, SPAN_LIT("d0.example"));
	WAIT_FOR(&w, world_queued(&w) == 0);
	cr_assert_eq(w.peer->message_count, 120);
	WAIT_FOR(&w, drain_busy(w.drain) == 0);
	world_end(&w);
}
