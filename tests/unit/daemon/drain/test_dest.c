/* A destination: when it is run again, and by which route. */
#include <criterion/criterion.h>

#include "common/base/assert.h"
#include "daemon/drain/dest.h"
#include "daemon/drain/drain_priv.h"
#include "tests/support/drain_world.h"

static const char *hang(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)line;
	(void)arg;
	return PEER_HANG;
}

/* The only connection hangs, and another destination's probe is due: it waits
 * until there is room, and not in a circle. */
Test(dest, who_waits_for_room_rests)
{
	struct world w;
	bool no = false;
	unsigned turns;

	world_begin(&w, "", hang);
	drain_free(&w.drain);
	w.most_links = 1;
	world_start_drain(&w);
	world_send_one(&w, "u@away.example");
	WAIT_FOR(&w, world_state(&w, "away.example") == DRAIN_DOWN);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, w.peer->open == 1);
	peer_run(w.loop, &no, 1500); /* the probe is due */
	turns = ev_iteration(w.loop);
	peer_run(w.loop, &no, 300);
	cr_assert_lt(ev_iteration(w.loop) - turns, 300);
	world_end(&w);
}

/* One of our domains and a stranger's are behind the same hosts. */
Test(dest, a_route_of_strangers_replaces_no_whole_one)
{
	struct net_addr addrs[4] = { { .family = AF_INET } };
	struct route_host host = { .name = SPAN_LIT("mx.example"),
				   .addrs = addrs,
				   .addr_count = 4 };
	struct route whole = { .refs = 9,
			       .key = SPAN_LIT("mx.example:25 tls=may"),
			       .source = ROUTE_FROM_MX,
			       .hosts = &host,
			       .host_count = 1 };
	struct route brief = whole, fresh = whole;
	struct world w;
	struct dest *dst;

	world_begin(&w, "", NULL);
	brief.is_brief = true;
	fresh.expires_ms = INT64_MAX;
	dst = dest_need(w.drain, &brief);
	cr_expect_eq(dest_need(w.drain, &whole), dst);
	cr_expect_eq(dst->route, &whole, "more than before");
	dest_need(w.drain, &brief);
	cr_expect_eq(dst->route, &whole, "though it has expired");
	dest_need(w.drain, &fresh);
	cr_expect_eq(dst->route, &fresh);
	dest_free(dst);
	world_end(&w);
}

static void keep(struct span key, struct span value, void *arg)
{
	struct buf *last = arg;

	(void)key;
	buf_reset(last);
	buf_add(last, value);
}

/* The machine's time is monotonic, the history's the wall's. */
Test(dest, tells_the_history_what_it_does)
{
	struct world w;
	struct buf last = { 0 };
	struct history *h =
		history_new(&(struct history_options){ keep, &last });
	struct outage o;

	world_begin(&w, "", NULL);
	w.drain->history = h;
	world_send_one(&w, "u@away.example");
	WAIT_FOR(&w, world_state(&w, "away.example") == DRAIN_DOWN);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_queued(&w) == 1);
	history_tick(h, MINUTES(1), clock_wall_ms() + 11000);
	cr_assert(outage_get(SPAN_LIT("outage:0000000000000000"),
			     buf_span(&last), &o),
		  "%s", buf_cstr(&last));
	cr_expect(span_eq(o.domains, SPAN_LIT("away.example")));
	cr_expect_lt(clock_wall_ms() - o.began_ms, 10000);
	cr_expect_eq(o.messages, 0);
	cr_expect_gt(o.reply.n, 0);
	cr_expect_eq(o.ended_ms, 0);
	world_end(&w);
	history_free(&h);
	buf_fini(&last);
}
