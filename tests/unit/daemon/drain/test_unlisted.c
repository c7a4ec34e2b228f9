/* A line that goes, and comes back before the disk knows. */
#include <criterion/criterion.h>

#include "daemon/drain/drain_priv.h"
#include "daemon/drain/unlisted.h"
#include "tests/support/drain_world.h"

Test(unlisted, a_line_that_comes_back_frees_its_mail_however_slow_the_disk)
{
	struct world w;
	struct config *other;
	struct domain *dom;

	world_begin(&w, "", NULL);
	peer_stop(w.peer);
	world_send_one(&w, "u@d0.example");
	other = world_shorter_list(&w);
	dom = domain_need(w.drain, SPAN_LIT("d0.example"));
	w.drain->config = other;
	cr_assert_not(unlisted_may_go(dom), "it is asked to be held");
	dom->marked_ms -= MINUTES(1); /* and the disk takes its time */
	w.drain->config = w.config;
	cr_assert(unlisted_may_go(dom));
	cr_expect_eq(dom->mark, MARK_LISTED);
	WAIT_FOR(&w, !world_row(&w, "d0.example").is_held);
	peer_start(w.peer);
	drain_flush(w.drain, SPAN_LIT("d0.example"));
	WAIT_FOR(&w, world_queued(&w) == 0);
	config_unref(&other);
	world_end(&w);
}
