/* A host that refuses everybody for now. */
#include <criterion/criterion.h>
#include <string.h>

#include "common/base/assert.h"
#include "tests/support/drain_world.h"

static const char own_retry[] = "drain = { retry = [ \"1h\" ]; };";
static bool is_away;

static const char *refuse_now(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	return is_away && strncmp(line, "RCPT", 4) == 0 ? "451 4.3.0 no disk"
							: NULL;
}

static const char *refuse_u1(struct peer *p, const char *line, void *arg)
{
	(void)p;
	(void)arg;
	return is_away && strstr(line, "RCPT TO:<u1@") != NULL
		       ? "452 4.2.2 mailbox full"
		       : NULL;
}

static void send_three(struct world *w)
{
	static const char *const paths[] = { "u1@d0.example", "u2@d1.example",
					     "u3@d2.example" };

	for (size_t i = 0; i < COUNT(paths); i++)
		world_send_one(w, paths[i]);
}

Test(deferral, what_was_refused_in_an_outage_is_due_when_it_ends)
{
	struct world w;

	is_away = true;
	world_begin(&w, own_retry, refuse_now);
	send_three(&w);
	WAIT_FOR(&w, world_state(&w, "d0.example") == DRAIN_DOWN);
	is_away = false;
	WAIT_FOR(&w, world_queued(&w) == 0);
	world_end(&w);
}

/* A fact in the spool says since when. */
Test(deferral, a_restart_in_between_changes_nothing)
{
	struct world w;

	is_away = true;
	world_begin(&w, own_retry, refuse_now);
	send_three(&w);
	WAIT_FOR(&w, world_state(&w, "d0.example") == DRAIN_DOWN);
	WAIT_FOR(&w, drain_busy(w.drain) == 0);
	drain_free(&w.drain);
	is_away = false;
	world_start_drain(&w);
	WAIT_FOR(&w, world_queued(&w) == 0);
	world_end(&w);
}

/* One mailbox among successes is its own matter. */
Test(deferral, a_mailbox_that_is_full_waits_its_own_retry)
{
	struct world w;

	is_away = true;
	world_begin(&w, own_retry, refuse_u1);
	send_three(&w);
	WAIT_FOR(&w, world_row(&w, "d0.example").deferred == 1);
	WAIT_FOR(&w, world_queued(&w) == 1);
	cr_expect_eq(world_state(&w, "d0.example"), DRAIN_UP);
	is_away = false;
	world_send_one(&w, "u2@d0.example");
	WAIT_FOR(&w, world_queued(&w) == 1);
	/* until mail to the same mailbox goes through */
	world_send_one(&w, "u1@d0.example");
	WAIT_FOR(&w, world_queued(&w) == 0);
	world_end(&w);
}
