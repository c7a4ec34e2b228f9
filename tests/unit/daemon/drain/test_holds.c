/* Holds of destinations. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "daemon/drain/drain_priv.h"
#include "tests/support/drain_world.h"

static void on_held(enum mx_err err, uint64_t units, void *arg)
{
	(void)units;
	cr_assert_eq(err, MX_OK);
	*(bool *)arg = true;
}

static struct dest *dest_of(struct world *w)
{
	return domain_find(w->drain, SPAN_LIT("d0.example"))->dest;
}

Test(holds, stop_a_destination_until_they_end)
{
	const struct spool_selection row = { .domain = SPAN_LIT("@127.0.0.1") };
	struct world w;
	bool done = false;

	world_begin(&w, "", NULL);
	peer_stop(w.peer);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_state(&w, "d0.example") == DRAIN_DOWN);
	cr_expect(holds_names(dest_of(&w), SPAN_LIT("127.0.0.1")));
	cr_expect_not(holds_names(dest_of(&w), SPAN_LIT("127.0.0.2")));
	cr_expect_null(hold_of(dest_of(&w)));
	spool_hold(w.spool, row, SPAN_LIT("they move"), on_held, &done);
	WAIT_FOR(&w, done);
	drain_destination_changed(w.drain, SPAN_LIT("127.0.0.1"));
	cr_assert_not_null(hold_of(dest_of(&w)));
	cr_expect_str_eq(hold_of(dest_of(&w))->reason, "they move");
	peer_start(w.peer);
	drain_flush(w.drain, SPAN_LIT("d0.example"));
	/* it comes back with a restart */
	drain_free(&w.drain);
	world_start_drain(&w);
	WAIT_FOR(&w, domain_find(w.drain, SPAN_LIT("d0.example")) != NULL &&
			     dest_of(&w) != NULL);
	cr_expect_not_null(hold_of(dest_of(&w)));
	cr_expect_eq(w.peer->connections, 0);
	done = false;
	spool_release(w.spool, row, on_held, &done);
	WAIT_FOR(&w, done);
	drain_destination_changed(w.drain, SPAN_LIT("127.0.0.1"));
	WAIT_FOR(&w, world_queued(&w) == 0);
	world_end(&w);
}
