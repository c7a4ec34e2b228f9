/* One report a message. */
#include <criterion/criterion.h>
#include <string.h>

#include "common/base/assert.h"
#include "tests/support/drain_world.h"

static const char *const paths[] = { "u1@d0.example", "u2@d1.example",
				     "u3@d2.example" };

static const char *refuse(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	if (strncmp(line, "RCPT", 4) != 0)
		return NULL;
	return strstr(line, "later@") != NULL ? "450 4.2.1 later"
					      : "550 5.1.1 unknown";
}

static uint64_t reports(struct world *w)
{
	return world_row(w, "sender.example").units;
}

static uint64_t left(struct world *w)
{
	return world_row(w, "d0.example").units +
	       world_row(w, "d1.example").units +
	       world_row(w, "d2.example").units;
}

Test(join, units_of_a_message_are_in_one_report)
{
	struct world w;

	world_begin(&w, "", refuse);
	world_send(&w, paths, COUNT(paths));
	WAIT_FOR(&w, left(&w) == 0);
	cr_expect_eq(reports(&w), 1);
	world_end(&w);
}

Test(join, each_message_has_its_own)
{
	struct world w;

	world_begin(&w, "", refuse);
	for (size_t i = 0; i < COUNT(paths); i++)
		world_send_one(&w, paths[i]);
	WAIT_FOR(&w, left(&w) == 0);
	cr_expect_eq(reports(&w), COUNT(paths));
	world_end(&w);
}

/* What comes later is waited for a moment only; then the message has been
 * reported on, and the rest waits until it may be again. */
Test(join, a_unit_that_comes_later_is_not_waited_for)
{
	static const char *const some[] = { "u1@d0.example", "u2@d1.example",
					    "later@d2.example" };
	struct world w;

	world_begin(&w, "", refuse);
	world_send(&w, some, COUNT(some));
	WAIT_FOR(&w, reports(&w) == 1 && left(&w) == 1);
	cr_expect_eq(world_row(&w, "d2.example").deferred, 1);
	world_end(&w);
}

/* They do not wait for each other any more. */
Test(join, a_stop_hurries_them)
{
	static const char *const some[] = { "u1@d0.example",
					    "later@d2.example" };
	struct world w;

	world_begin(&w, "", refuse);
	world_send(&w, some, COUNT(some));
	WAIT_FOR(&w, world_row(&w, "d2.example").deferred == 1);
	drain_stop(w.drain);
	WAIT_FOR(&w, drain_busy(w.drain) == 0);
	cr_expect_eq(reports(&w), 1);
	world_end(&w);
}

static const char *refuse_bad(struct peer *p, const char *line, void *arg)
{
	return strstr(line, "good@") != NULL ? NULL : refuse(p, line, arg);
}

/* Of the only unit of d0.example. */
static size_t rcpts_left(struct world *w)
{
	struct unit *u;
	uint64_t id;
	size_t n;

	cr_assert_eq(spool_ready(w->spool, SPAN_LIT("d0.example"), 0, &id, 1,
				 &n),
		     MX_OK);
	if (n == 0 || spool_unit_load(w->spool, id, SPAN_LIT("d0.example"),
				      &u) != MX_OK)
		return 0;
	n = u->rcpt_count;
	unit_free(&u);
	return n;
}

/* A crash would send it again. */
Test(join, what_was_taken_does_not_wait_for_the_report)
{
	static const char *const some[] = { "good@d0.example", "u1@d0.example",
					    "later@d2.example" };
	struct world w;

	world_begin(&w, "", refuse_bad);
	world_send(&w, some, COUNT(some));
	WAIT_FOR(&w, rcpts_left(&w) == 1);
	cr_expect_eq(reports(&w), 0);
	WAIT_FOR(&w, reports(&w) == 1 && left(&w) == 1);
	world_end(&w);
}

/* ---- What is not final at once ---- */

#define LATE "drain = { brake_window = \"300ms\"; };"

static uint64_t parked(struct world *w)
{
	return world_row(w, "d0.example").refused +
	       world_row(w, "d1.example").refused +
	       world_row(w, "d2.example").refused;
}

/* They come back one by one. */
Test(join, what_was_parked_is_in_one_report)
{
	struct world w;

	world_begin(&w, LATE, refuse);
	world_send(&w, paths, COUNT(paths));
	WAIT_FOR(&w, parked(&w) == COUNT(paths));
	cr_expect_eq(reports(&w), 0);
	WAIT_FOR(&w, left(&w) == 0);
	cr_expect_eq(reports(&w), 1);
	cr_expect_eq(peer_saw(w.peer, "RCPT"), COUNT(paths));
	world_end(&w);
}

/* After a restart, too: they are due together. */
Test(join, what_was_parked_before_a_restart_is_in_one_report)
{
	struct world w;

	world_begin(&w, LATE, refuse);
	world_send(&w, paths, COUNT(paths));
	WAIT_FOR(&w, parked(&w) == COUNT(paths));
	drain_free(&w.drain);
	world_start_drain(&w);
	WAIT_FOR(&w, left(&w) == 0);
	cr_expect_eq(reports(&w), 1);
	world_end(&w);
}

static const char *refuse_all(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	return strncmp(line, "RCPT", 4) == 0 ? "550 5.1.1 unknown" : NULL;
}

/* For how long the only recipient of d2.example is parked; -1: it is not. */
static int64_t parked_ms(struct world *w, uint64_t id)
{
	struct unit *u = NULL;
	int64_t ms = -1;

	if (spool_unit_load(w->spool, id, SPAN_LIT("d2.example"), &u) ==
		    MX_OK &&
	    u->rcpts[0].state == RECIPIENT_REFUSED)
		ms = u->rcpts[0].until_ms - clock_wall_ms();
	unit_free(&u);
	return ms;
}

/* Once it was reported on, what is refused later stays parked until it may be
 * again; no host is asked about it meanwhile. */
Test(join, what_is_parked_late_waits_for_the_next_report)
{
	static const char *const some[] = { "u1@d0.example", "u2@d1.example",
					    "later@d2.example" };
	struct world w;
	uint64_t id = 0;
	size_t n;

	world_begin(&w, LATE, refuse);
	world_send(&w, some, COUNT(some));
	cr_assert_eq(spool_ready(w.spool, SPAN_LIT("d2.example"), 0, &id, 1,
				 &n),
		     MX_OK);
	WAIT_FOR(&w, reports(&w) == 1 && left(&w) == 1);
	w.peer->opt.reply = refuse_all;
	spool_flush(w.spool,
		    (struct spool_selection){ id, SPAN_LIT("d2.example") },
		    NULL, NULL);
	WAIT_FOR(&w, parked_ms(&w, id) > SECONDS(10));
	cr_expect_eq(reports(&w), 1);
	cr_expect_eq(peer_saw(w.peer, "RCPT"), COUNT(some) + 1);
	world_end(&w);
}
