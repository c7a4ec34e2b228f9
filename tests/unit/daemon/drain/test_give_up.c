/* How a unit ends without having been delivered. */
#include <criterion/criterion.h>
#include <string.h>

#include "common/base/assert.h"
#include "daemon/drain/give_up.h"
#include "tests/support/drain_world.h"

static const char *refuse_all(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	return strncmp(line, "RCPT", 4) == 0 ? "550 5.1.1 unknown" : NULL;
}

static const char *hang_at_dot(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	return strcmp(line, ".") == 0 ? PEER_HANG : NULL;
}

/* The id of the only message of the domain. */
static uint64_t only_id(struct world *w, const char *domain)
{
	uint64_t id = 0;
	size_t n = 0;

	cr_assert_eq(spool_ready(w->spool, span_str(domain), 0, &id, 1, &n),
		     MX_OK);
	cr_assert_eq(n, 1);
	return id;
}

struct given {
	int calls;
	enum mx_err err;
};

static void on_given_up(enum mx_err err, void *arg)
{
	struct given *g = arg;

	g->calls++;
	g->err = err;
}

static enum mx_err give_up(struct world *w, uint64_t id, struct given *g)
{
	const struct drain_order by = { 0, "1000" };

	return drain_give_up(w->drain, id, SPAN_LIT("d0.example"), &by,
			     on_given_up, g);
}

/* The report goes to a domain that is not ours: it waits for a route. */
static uint64_t reports(struct world *w)
{
	return world_row(w, "sender.example").units;
}

Test(give_up, what_is_refused_is_reported)
{
	struct world w;

	world_begin(&w, "", refuse_all);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_row(&w, "d0.example").units == 0);
	cr_expect_eq(reports(&w), 1);
	world_end(&w);
}

Test(give_up, what_is_refused_is_held_by_the_mode)
{
	struct world w;

	world_begin(&w, "bounce = { mode = \"hold\"; };", refuse_all);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_row(&w, "d0.example").held == 1);
	cr_expect_eq(reports(&w), 0);
	world_end(&w);
}

Test(give_up, nobody_is_told_of_mail_from_nobody)
{
	struct world w;

	world_begin(&w, "", refuse_all);
	w.sender = "";
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_queued(&w) == 0);
	world_end(&w);
}

/* Whatever the mode: it is his word. */
Test(give_up, what_the_operator_returns_is_reported)
{
	struct world w;
	struct given g = { 0 };
	uint64_t id;

	world_begin(&w, "bounce = { mode = \"hold\"; };", NULL);
	peer_stop(w.peer);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_state(&w, "d0.example") == DRAIN_DOWN);
	id = only_id(&w, "d0.example");
	cr_assert_eq(give_up(&w, id, &g), MX_OK);
	cr_expect_eq(g.calls, 0, "not within the call");
	cr_expect_eq(give_up(&w, id, &g), MX_EBUSY, "once");
	cr_expect_not(drain_is_in_flight(w.drain, id, SPAN_LIT("d0.example")),
		      "it is not being delivered");
	cr_expect_eq(drain_in_flight(w.drain, SPAN_LIT("d0.example")), 0);
	WAIT_FOR(&w, g.calls == 1);
	cr_expect_eq(g.err, MX_OK);
	cr_expect_eq(world_row(&w, "d0.example").units, 0);
	cr_expect_eq(reports(&w), 1);
	cr_expect_eq(give_up(&w, id, &g), MX_ENOENT);
	world_end(&w);
	cr_expect_eq(g.calls, 1);
}

/* Delivered or returned, never both. */
Test(give_up, what_is_being_delivered_is_left_alone)
{
	struct world w;
	struct given g = { 0 };
	uint64_t id;

	world_begin(&w, "", hang_at_dot);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, w.peer->message_count == 1);
	id = only_id(&w, "d0.example");
	cr_assert_eq(give_up(&w, id, &g), MX_EBUSY);
	cr_expect(drain_is_in_flight(w.drain, id, SPAN_LIT("d0.example")));
	world_end(&w);
	cr_expect_eq(g.calls, 0);
}

/* The answer comes also when the drain has gone. */
Test(give_up, an_order_outlives_the_drain)
{
	struct world w;
	struct given g = { 0 };

	world_begin(&w, "", NULL);
	peer_stop(w.peer);
	world_send_one(&w, "u@d0.example");
	WAIT_FOR(&w, world_state(&w, "d0.example") == DRAIN_DOWN);
	cr_assert_eq(give_up(&w, only_id(&w, "d0.example"), &g), MX_OK);
	drain_free(&w.drain);
	WAIT_FOR(&w, g.calls == 1);
	cr_expect_eq(g.err, MX_OK);
	world_start_drain(&w);
	world_end(&w);
}
