/* The end of a lifetime. */
#include <criterion/criterion.h>

#include "tests/support/drain_world.h"

static uint64_t reports(struct world *w)
{
	return world_row(w, "sender.example").units;
}

static void begin(struct world *w, const char *conf)
{
	world_begin(w, conf, NULL);
	peer_stop(w->peer);
	w->lifetime_ms = SECONDS(1);
}

Test(expire, ends_with_a_report)
{
	struct world w;

	begin(&w, "");
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_row(&w, "d0.example").units == 0);
	cr_expect_eq(reports(&w), 1);
	world_end(&w);
}

Test(expire, ends_in_a_hold_by_the_mode)
{
	struct world w;

	begin(&w, "bounce = { mode = \"hold\"; };");
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_row(&w, "d0.example").held == 1);
	cr_expect_eq(reports(&w), 0);
	world_end(&w);
}
